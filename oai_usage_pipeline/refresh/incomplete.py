"""Hours from which events are missing: what the gaps of capture mean for the hours of calls.

Belongs here: which hours a gap makes incomplete. Whether somebody acknowledged it makes no difference:
the events are missing all the same. Gaps themselves are for `capture.gaps`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import polars as pl

from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.dated_rows import as_number, digest_of
from oai_usage_pipeline.refresh.derivation import EVERY_DAY
from oai_usage_pipeline.tables import CAPTURE_GAPS

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

LONGEST_CALL = timedelta(minutes=10)
"""Gold's hours are those in which calls began; the hub received their events when they had ended."""

Hours = tuple[tuple[datetime, datetime], ...]
"""Spans of whole hours by their first and their last one, in order and apart."""


@dataclass(frozen=True)
class IncompleteHours:
    """The hours that gaps lie in; a `Reference` of gold."""

    spans: Hours

    @classmethod
    def read(cls, lake: Lake) -> "IncompleteHours":
        """As the gaps are recorded now; none where none ever was."""
        try:
            table = lake.existing(CAPTURE_GAPS)
        except NoTable:
            return cls(())
        table.refuse_cut_files()
        return cls.of(table.read(table.scan()).iter_rows(named=True))

    @classmethod
    def of(cls, gaps: Iterable[Mapping[str, Any]]) -> "IncompleteHours":
        """Those of rows of CAPTURE_GAPS."""
        return cls(_merged(_hours(gap) for gap in gaps))

    def of_day(self, day: str) -> Hours:
        """Those of one day (ISO date)."""
        first = datetime.combine(datetime.fromisoformat(day).date(), time(), UTC)
        last = first + DAY - HOUR
        return tuple(
            (max(start, first), min(end, last)) for start, end in self.spans if _meet(start, end, first, last)
        )

    def marked(self, gold: pl.DataFrame, day: str) -> pl.DataFrame:
        """A day's gold rows with `is_incomplete` set; expects the column."""
        is_in = [pl.col("hour_at").is_between(start, end) for start, end in self.of_day(day)]
        return gold.with_columns(is_incomplete=pl.any_horizontal(pl.lit(value=False), *is_in))

    def digest(self, day: str) -> int:
        """See `Reference.digest`."""
        spans = self.spans if day == EVERY_DAY else self.of_day(day)
        return as_number(digest_of(each.isoformat() for span in spans for each in span)) if spans else 0

    def days(self) -> set[str]:
        """See `Reference.days`: a day without a call has no row to mark."""
        return set()


def first_missing_at(gap: Mapping[str, Any]) -> datetime:
    """The earliest that the hub can have received an event of a gap (a row of CAPTURE_GAPS)."""
    end: datetime = gap["before_at"]
    start: datetime | None = gap["after_at"] or _created_at(gap["incarnation"])
    return min(start or end, end)


def _hours(gap: Mapping[str, Any]) -> tuple[datetime, datetime]:
    return _hour(first_missing_at(gap) - LONGEST_CALL), _hour(gap["before_at"])


def _created_at(incarnation: str) -> datetime | None:
    """When the hub was made, which an incarnation is named by."""
    try:
        created = datetime.fromisoformat(incarnation)
    except ValueError:
        return None
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _meet(start: datetime, end: datetime, first: datetime, last: datetime) -> bool:
    return start <= last and first <= end


def _merged(spans: Iterable[tuple[datetime, datetime]]) -> Hours:
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + HOUR:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return tuple(found)
