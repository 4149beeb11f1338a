"""Deriving rejected events anew after a fix: from bronze, by reason and range of days.

Belongs here: which events are rejected for what, and what a replay makes of them. A day is brought up to
date as any other (`day`): replaced in one commit, and gold, cost and chargeback follow by themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.day import refresh_days
from oai_usage_pipeline.refresh.outcomes import GONE, Outcome, compared, first_reason, outcomes_of
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.refresh.source import source_of
from oai_usage_pipeline.tables import EVENT_KEY, USAGE_EVENTS


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

    `statuses` counts them by what they are now, or would be; `outcomes` tells it event by event, also of
    other events of the day that are rejected now and weren't, or the other way round. `is_replaced` tells
    whether the day was written.
    """

    day: str
    events: int
    statuses: dict[str, int]
    is_replaced: bool
    outcomes: tuple[Outcome, ...]

    @property
    def accepted(self) -> int:
        """How many of those asked for are no longer rejected."""
        return self.events - sum(self.statuses.get(each, 0) for each in ("rejected", GONE))

    @property
    def broken(self) -> int:
        """How many others are rejected now, that weren't."""
        return sum(
            len(each.sequence_numbers)
            for each in self.outcomes
            if not each.is_asked_for and each.after.startswith("rejected")
        )

    def __str__(self) -> str:
        """The day in sentences: the count, then what became of which events."""
        listed = ", ".join(f"{count:,} {status}" for status, count in sorted(self.statuses.items()))
        broken = f"; others that weren't rejected are now: {self.broken:,}" if self.broken else ""
        return "\n  ".join(
            [
                f"{self.day}: {self.accepted:,} of {self.events:,} are no longer rejected ({listed}){broken}",
                *map(str, self.outcomes),
            ]
        )


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

    `first_day` and `last_day` are ISO dates of the hub's time, inclusive. A day whose events rejected for it
    would all stay as they are isn't written, so doing it again changes nothing. `dry_run` writes nothing at
    all. Each day is one commit: what was done before a crash stays done. Raises NoTable, LakeUnavailable, and
    LakeDamaged when bronze was lost.
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
    events = compared(lake, day, reason)
    asked = events.filter("is_asked_for")
    statuses = asked.group_by(pl.col("status_now").fill_null(GONE)).len().iter_rows()
    # Others alone are no reason: they follow from today's parser with the next rebuild, whoever asks for it.
    is_changed = asked.select((pl.col("rows_now").ne_missing(pl.col("rows"))).any()).item()
    if is_changed and not dry_run:
        refresh_days(lake, USAGE_EVENTS_DERIVATION, [day], anew=True)
    return ReplayedDay(
        day, len(asked), dict(statuses), is_replaced=is_changed and not dry_run, outcomes=outcomes_of(events)
    )


def _rejected(silver: pl.LazyFrame) -> pl.LazyFrame:
    """Rejected rows, with the first of their reasons as `why`."""
    return silver.filter(pl.col("status") == "rejected").with_columns(first_reason().alias("why"))
