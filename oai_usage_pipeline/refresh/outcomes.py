"""What becomes of the events of a day, one by one, when they are derived anew.

Belongs here: comparing silver as it stands with what today's parser makes of bronze, by position. Whether the
day is then written, and what of it is told, is for `replay`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.derivation import day_of, rows_of
from oai_usage_pipeline.refresh.silver import CHUNK_ROWS, counted
from oai_usage_pipeline.tables import EVENT_KEY, OPENAI_EVENTS, USAGE_EVENTS
from oai_usage_pipeline.usage.derive import derive

UNNAMED = "no reason given"
GONE = "no longer in openai_events"
"""In place of a status: silver has a row of an event that bronze has lost."""

MOST_SHOWN = 5

_PARTITION = ("event_hub", "incarnation", "partition_id")


@dataclass(frozen=True)
class Outcome:
    """Events of one partition of which the same became: their numbers, in order.

    `before` and `after` are a status, with the reason behind it where that is `rejected`; GONE where the
    event is no longer there. `is_asked_for` tells the events rejected for the reason from others of their
    day that today's parser rejects and the earlier one didn't, or the other way round.
    """

    event_hub: str
    incarnation: str
    partition_id: str
    before: str
    after: str
    is_asked_for: bool
    sequence_numbers: tuple[int, ...]

    def __str__(self) -> str:
        """The outcome as a sentence; of many numbers the first."""
        shown = ", ".join(str(each) for each in self.sequence_numbers[:MOST_SHOWN])
        more = len(self.sequence_numbers) - MOST_SHOWN
        return (
            f"{self.event_hub} partition {self.partition_id}, events {shown}"
            f"{f' and {more:,} more' if more > 0 else ''}: {self.before} -> {self.after}"
        )


def first_reason() -> pl.Expr:
    """The first reason of a row, without what follows it."""
    return pl.col("reason").str.split(";").list.first().str.strip_chars().fill_null(UNNAMED)


def compared(lake: Lake, day: str, reason: str) -> pl.DataFrame:
    """The events of a day rejected for a reason, and others that a rebuild would reject, or no longer.

    A row for each: EVENT_KEY; `is_asked_for`; `status`, `told` and `rows` as they stand, and the same with
    `_now` of what today's parser makes of them (null where bronze has lost the event). `told` is the status
    with the reason, `rows` all that its records say. Reads the day of silver and of bronze, and parses it.
    """
    silver = lake.existing(USAGE_EVENTS)
    before = silver.read(_by_event(day_of(silver, day), reason))
    found = [_which_matter(before, now) for now in _derived(lake, day, reason)]
    asked = before.filter("is_asked_for")
    matter = pl.concat(found) if found else _which_matter(before, before.clear())
    lost = asked.join(matter, on=EVENT_KEY, how="anti")
    return pl.concat([matter, lost], how="diagonal")


def outcomes_of(events: pl.DataFrame) -> tuple[Outcome, ...]:
    """What `compared` found, event by event, those asked for first."""
    what = pl.col("told_now").fill_null(GONE)
    grouped = (
        events.with_columns(what.alias("after"))
        .group_by(*_PARTITION, "told", "after", "is_asked_for")
        .agg(pl.col("sequence_number").sort())
        .sort(~pl.col("is_asked_for"), "after", *_PARTITION, "told")
    )
    return tuple(
        Outcome(
            row["event_hub"],
            row["incarnation"],
            row["partition_id"],
            before=row["told"],
            after=row["after"],
            is_asked_for=row["is_asked_for"],
            sequence_numbers=tuple(row["sequence_number"]),
        )
        for row in grouped.iter_rows(named=True)
    )


def _which_matter(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Events not yet in silver have no before: they are new, whatever they are."""
    is_rejected, was_rejected = pl.col("status_now") == "rejected", pl.col("status") == "rejected"
    joined = before.join(now.drop("is_asked_for"), on=EVENT_KEY, suffix="_now")
    return joined.filter(pl.col("is_asked_for") | (is_rejected != was_rejected))


def _by_event(rows: pl.LazyFrame, reason: str) -> pl.LazyFrame:
    """One of several records is rejected if any of them is, else as its first."""
    is_rejected = pl.col("status") == "rejected"
    row = pl.format("{} {} {}", "event_index", "status", pl.col("reason").fill_null(""))
    first = pl.col("status").sort_by("event_index").first()
    why = first_reason().filter(is_rejected).sort_by(pl.col("event_index").filter(is_rejected)).first()
    return (
        rows.group_by(EVENT_KEY)
        .agg(
            pl.when(is_rejected.any()).then(pl.lit("rejected")).otherwise(first).alias("status"),
            why.alias("why"),
            (is_rejected & (first_reason() == reason)).any().alias("is_asked_for"),
            row.sort().str.join("\n").alias("rows"),
        )
        .with_columns(
            pl.when(pl.col("why").is_null())
            .then("status")
            .otherwise(pl.format("{}: {}", "status", pl.col("why").fill_null("")))
            .alias("told")
        )
        .drop("why")
    )


def _derived(lake: Lake, day: str, reason: str) -> Iterable[pl.DataFrame]:
    """What today's parser makes of a day's events."""
    bronze = lake.grown(OPENAI_EVENTS)
    rows = rows_of(bronze, "enqueued_date", day)
    chunks = rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=False)
    for chunk in counted(chunks, bronze.rows_by_day().get(day, 0)):
        yield _by_event(derive(chunk).lazy(), reason).collect()
