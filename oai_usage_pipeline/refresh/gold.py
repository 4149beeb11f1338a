"""Gold from silver: sums add up, so a day plus the sums of its new rows is the day.

Unless a new row is a further record of a call that is counted already: then the day is added up
anew. Belongs here: which silver rows that needs. What makes two rows one call is for `usage.calls`, and
which hours are marked as incomplete for `incomplete`.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta

import polars as pl

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.derivation import Derivation, day_of
from oai_usage_pipeline.refresh.incomplete import IncompleteHours
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY, USAGE_EVENTS
from oai_usage_pipeline.usage.aggregate import aggregate, combine
from oai_usage_pipeline.usage.calls import CALL_IDS, CALL_WINDOW, is_repeated, one_row_per_call, repeated_ids

DAY = timedelta(days=1)


class TokenUsageHourly(Derivation[IncompleteHours]):
    """See the module."""

    source = USAGE_EVENTS
    target = TOKEN_USAGE_HOURLY
    day_column = "usage_date"

    def reference(self, lake: Lake, source: LakeTable) -> IncompleteHours:
        """See `Derivation.reference`."""
        del source
        return IncompleteHours.read(lake)

    def also_stale(self, source: LakeTable, day: str, since: int | None) -> set[str]:
        """See `Derivation.also_stale`: a neighbour that shares a call across midnight with the day."""
        midnight = _midnight(day)
        found = set()
        for border, neighbour in ((midnight, midnight - DAY), (midnight + DAY, midnight + DAY)):
            new = _new_near(source, day, since, border)
            if not new.is_empty():
                other = _between(source, neighbour, neighbour + DAY, near=border).select(CALL_IDS).collect()
                if len(repeated_ids(new.unique(), other.unique())):
                    found.add(neighbour.date().isoformat())
        return found

    def extend(
        self,
        target: LakeTable,
        day: str,
        source: LakeTable,
        new: Iterator[pl.DataFrame],
        marks: Mapping[str, int],
        reference: IncompleteHours,
    ) -> None:
        """See `Derivation.extend`."""
        rows = pl.concat([USAGE_EVENTS.empty(), *(frame.select(*USAGE_EVENTS.schema) for frame in new)])
        if _is_news(source, rows):
            gold = combine(day_of(target, day).collect(), aggregate(rows))
        else:
            gold = gold_of(source, day)
        target.replace_day(day, reference.marked(gold, day), marks)

    def rebuild(
        self,
        target: LakeTable,
        day: str,
        source: LakeTable,
        marks: Mapping[str, int],
        reference: IncompleteHours,
    ) -> None:
        """See `Derivation.rebuild`."""
        target.replace_day(day, reference.marked(gold_of(source, day), day), marks)


TOKEN_USAGE_HOURLY_DERIVATION = TokenUsageHourly()


def gold_of(silver: LakeTable, day: str) -> pl.DataFrame:
    """The gold rows of a day, from all silver rows that can have to do with it; none is marked yet."""
    midnight = _midnight(day)
    rows = _between(silver, midnight - CALL_WINDOW, midnight + DAY + CALL_WINDOW)
    repeated = repeated_ids(rows.select(CALL_IDS).collect())
    is_days = pl.col("usage_date") == midnight.date()
    sums = aggregate(rows.filter(is_days & ~is_repeated(repeated)))
    if repeated.is_empty():
        return sums
    calls = one_row_per_call(rows.filter(is_repeated(repeated)).collect())
    return combine(sums, aggregate(calls.filter(is_days)))


def _is_news(silver: LakeTable, new: pl.DataFrame) -> bool:
    """Whether each new row is the only record of its call, silver's new and old rows together."""
    if new.is_empty():
        return True
    first, last = new["event_at"].min(), new["event_at"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    around = _between(silver, first - CALL_WINDOW, last + CALL_WINDOW + timedelta(microseconds=1))
    repeated = repeated_ids(around.select(CALL_IDS).collect())
    return new.filter(is_repeated(repeated)).is_empty()


def _new_near(silver: LakeTable, day: str, since: int | None, border: datetime) -> pl.DataFrame:
    """The call ids of a day's new rows that lie near one of its ends."""
    midnight = _midnight(day)
    if since is None:
        return _between(silver, midnight, midnight + DAY, near=border).select(CALL_IDS).collect()
    new = silver.changes(since, silver.version, f"usage_date = '{day}'")
    near = (pl.col("event_at") - pl.lit(border)).abs() <= CALL_WINDOW
    frames = (pl.DataFrame(batch).filter(near).select(CALL_IDS) for batch in new)
    return pl.concat([USAGE_EVENTS.empty().select(CALL_IDS), *frames])


def _between(silver: LakeTable, start: datetime, end: datetime, near: datetime | None = None) -> pl.LazyFrame:
    """Rows of `start` <= event_at < `end`; with `near`, only those within a call's window of it."""
    if near is not None:
        start, end = max(start, near - CALL_WINDOW), min(end, near + CALL_WINDOW)
    at = pl.col("event_at")
    return silver.scan().filter(
        # Both columns have statistics; whole days are what prunes most files.
        pl.col("usage_date").is_between(start.date(), end.date()) & (at >= start) & (at < end)
    )


def _midnight(day: str) -> datetime:
    return datetime.combine(datetime.fromisoformat(day).date(), time(), UTC)
