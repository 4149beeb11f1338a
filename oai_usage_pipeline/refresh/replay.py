"""Deriving rejected events anew after a fix: from bronze, by reason and range of days.

Belongs here: which events are rejected for what, and what a replay makes of them. A day is brought up to
date as any other (`day`): replaced in one commit, and gold, cost and chargeback follow by themselves.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.day import refresh_days
from oai_usage_pipeline.refresh.derivation import day_of, rows_of
from oai_usage_pipeline.refresh.silver import CHUNK_ROWS, USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.refresh.source import source_of
from oai_usage_pipeline.tables import EVENT_KEY, OPENAI_EVENTS, USAGE_EVENTS
from oai_usage_pipeline.usage.derive import derive

UNNAMED = "no reason given"


@dataclass(frozen=True)
class Rejection:
    """How many events are rejected for one reason, and from which to which day (ISO dates, inclusive).

    `reason` is the first that a row gives, without what follows it.
    """

    reason: str
    events: int
    days: int
    first_day: str
    last_day: str


@dataclass(frozen=True)
class ReplayedDay:
    """What became of a day's events that were rejected for the reason.

    `statuses` counts them by what they are now, or would be; `is_replaced` tells whether the day was written.
    """

    day: str
    events: int
    statuses: dict[str, int]
    is_replaced: bool

    @property
    def accepted(self) -> int:
        """How many are no longer rejected."""
        return self.events - self.statuses.get("rejected", 0)

    def __str__(self) -> str:
        """The day as a sentence."""
        listed = ", ".join(f"{count:,} {status}" for status, count in sorted(self.statuses.items()))
        return f"{self.day}: {self.accepted:,} of {self.events:,} are no longer rejected ({listed})"


def rejections(lake: Lake) -> list[Rejection]:
    """The reasons why events are rejected, the most frequent first; none before there is silver."""
    try:
        silver = lake.existing(USAGE_EVENTS)
    except NoTable:
        return []
    day = pl.col("enqueued_date").cast(pl.String)
    found = silver.read(
        _rejected(silver.scan())
        .group_by("why")
        .agg(
            pl.struct(EVENT_KEY).n_unique().cast(pl.Int64).alias("events"),
            day.n_unique().cast(pl.Int64).alias("days"),
            day.min().alias("first_day"),
            day.max().alias("last_day"),
        )
    )
    return [Rejection(*row) for row in found.sort("events", "why", descending=[True, False]).iter_rows()]


def replay(
    lake: Lake,
    reason: str,
    first_day: str | None = None,
    last_day: str | None = None,
    *,
    dry_run: bool = False,
    report: Callable[[ReplayedDay], None] = lambda _: None,
) -> list[ReplayedDay]:
    """Derive the days anew that hold events rejected for a reason, oldest first; returns what became of them.

    `first_day` and `last_day` are ISO dates of the hub's time, inclusive. A day whose events would all stay
    as they are isn't written, so doing it again changes nothing. `dry_run` writes nothing at all. Each day
    is one commit: what was done before a crash stays done. Raises NoTable, LakeUnavailable, and LakeDamaged
    when bronze was lost.
    """
    source_of(lake, USAGE_EVENTS_DERIVATION)
    silver = lake.existing(USAGE_EVENTS)
    rejected = _rejected(silver.scan()).filter(pl.col("why") == reason)
    days = silver.read(rejected.select(pl.col("enqueued_date").cast(pl.String).unique().sort()))
    done = []
    for day in days["enqueued_date"]:
        if (first_day or day) <= day <= (last_day or day):
            done.append(_replayed(lake, reason, day, dry_run=dry_run))
            report(done[-1])
    return done


def _replayed(lake: Lake, reason: str, day: str, *, dry_run: bool) -> ReplayedDay:
    silver = lake.existing(USAGE_EVENTS)
    rejected = _rejected(day_of(silver, day)).filter(pl.col("why") == reason)
    before = silver.read(rejected.select(EVENT_KEY).unique())
    statuses = _statuses(_derived(lake, day, before))
    is_changed = statuses.get("rejected", 0) != len(before)
    if is_changed and not dry_run:
        refresh_days(lake, USAGE_EVENTS_DERIVATION, [day], anew=True)
    return ReplayedDay(day, len(before), statuses, is_replaced=is_changed and not dry_run)


def _derived(lake: Lake, day: str, events: pl.DataFrame) -> Iterable[pl.DataFrame]:
    """What today's parser makes of some of a day's events."""
    bronze = rows_of(lake.grown(OPENAI_EVENTS), "enqueued_date", day)
    for chunk in bronze.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=False):
        yield derive(chunk.join(events, on=EVENT_KEY, how="semi"))


def _statuses(silver: Iterable[pl.DataFrame]) -> dict[str, int]:
    """Events by status; one of several records is rejected if any of them is, else as its first."""
    found: dict[str, int] = {}
    for rows in silver:
        is_rejected = (pl.col("status") == "rejected").any()
        status = pl.when(is_rejected).then(pl.lit("rejected")).otherwise(pl.col("status").first())
        for event_status in rows.sort("event_index").group_by(EVENT_KEY).agg(status.alias("is"))["is"]:
            found[event_status] = found.get(event_status, 0) + 1
    return found


def _rejected(silver: pl.LazyFrame) -> pl.LazyFrame:
    """Rejected rows, with the first of their reasons as `why`."""
    first = pl.col("reason").str.split(";").list.first().str.strip_chars().fill_null(UNNAMED)
    return silver.filter(pl.col("status") == "rejected").with_columns(first.alias("why"))
