"""How far a derived table has followed its source, day by day, and which days are therefore stale.

Belongs here: watermarks and what they mean. A watermark is a version of the source table, kept as
an application transaction of the derived table, in the same commit as the rows made of it. Its
name holds the version since which the contract makes rows as it does now (`TableContract.rebuilt_since`),
so a day derived before has none; and the source table's id, so a source made anew is not mistaken for
the old one. Beside it stands the digest of the reference data that the day was made with: other prices,
for instance, make it stale.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from oai_usage_pipeline.errors import HistoryGone
from oai_usage_pipeline.lake.change_counts import CHANGE_COUNTS
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.derivation import EVERY_DAY, Reference


@dataclass(frozen=True)
class DayChanges:
    """What a day's source rows went through since its watermark.

    `behind_since` is the commit of the first change not yet followed. `must_rebuild` when rows were
    also deleted or replaced, when the day was never derived as today's contract derives it or with today's
    reference data, or when the source no longer tells what changed.
    """

    day: str
    new_rows: int
    must_rebuild: bool
    behind_since: datetime


def watermark_id(target: LakeTable, source: LakeTable, day: str) -> str:
    """The name of the watermark of a day that follows from one very table."""
    contract = target.contract
    return f"{contract.name}/{source.id}/v{contract.rebuilt_since}/{day}"


class Watermarks:
    """Compares one version of a source table with the watermarks of the table derived from it."""

    def __init__(self, source: LakeTable, day_column: str, target: LakeTable, reference: Reference) -> None:
        self.source = source
        self.day_column = day_column
        self.reference = reference
        self._changes = self._read_changes(target)
        self._days: list[str] = self._changes["day"].unique().sort().to_list()

    def app_id(self, target: LakeTable, day: str) -> str:
        """The name of a day's watermark."""
        return watermark_id(target, self.source, day)

    def since(self, target: LakeTable, day: str) -> int | None:
        """The source version that a day is up to date with; None if it was never derived so."""
        if not self._has_todays_reference(target, day):
            return None
        marks = (target.position(self.app_id(target, each)) for each in (day, EVERY_DAY))
        return max((mark for mark in marks if mark is not None), default=None)

    def day_changes(self, target: LakeTable, day: str) -> DayChanges | None:
        """What happened to a day since its watermark, None if nothing."""
        since = self.since(target, day)
        rows = self._changes.filter(pl.col("day") == day)
        if since is not None:
            rows = rows.filter(pl.col("version") > since)
        if rows.is_empty():
            return None
        new_rows = int(rows.filter(pl.col("kind") != "delete")["len"].sum())
        return DayChanges(
            day,
            new_rows,
            must_rebuild=since is None or set(rows["kind"]) != {"insert"},
            behind_since=datetime.fromtimestamp(int(rows["committed_ms"].min()) / 1000, UTC),  # type: ignore[arg-type]  # rows is not empty
        )

    def stale_days(self, target: LakeTable) -> list[DayChanges]:
        """Every day that is behind its source, oldest first."""
        found = (self.day_changes(target, day) for day in self._days)
        return [each for each in found if each is not None]

    def marks(self, target: LakeTable, day: str) -> dict[str, int]:
        """What to commit with a day's rows: the day's own marks, and everyone's if it was the last."""
        # Days are done from the oldest on, so one that is left is soonest found among the newest.
        others = (each for each in reversed(self._days) if each != day)
        is_last = all(self.day_changes(target, each) is None for each in others)
        marks = {}
        for each in [day, EVERY_DAY] if is_last else [day]:
            marks[self.app_id(target, each)] = self.source.version
            digest, digest_id = self.reference.digest(each), self._digest_id(target, each)
            # Nothing to depend on is kept only where there was something before.
            if digest or target.position(digest_id):
                marks[digest_id] = digest
        if not is_last and not self._has_todays_reference(target, EVERY_DAY):
            # From here on no digest holds for all of them, not even if the old reference data come back.
            marks[self._digest_id(target, EVERY_DAY)] = MIXED
        return marks

    def _digest_id(self, target: LakeTable, day: str) -> str:
        return f"{self.app_id(target, day)}/reference"

    def _has_todays_reference(self, target: LakeTable, day: str) -> bool:
        return (target.position(self._digest_id(target, day)) or 0) == self.reference.digest(day)

    def _read_changes(self, target: LakeTable) -> pl.DataFrame:
        """Rows changed per day, source version and kind, of all versions not yet followed by every day."""
        followed = target.position(self.app_id(target, EVERY_DAY))
        if followed is not None:
            with suppress(HistoryGone):
                return pl.concat([self._changed(followed), self._with_other_reference(target)])
        return self._changes_by_day(target)

    def _with_other_reference(self, target: LakeTable) -> pl.DataFrame:
        """Days whose reference data are no longer those that they were made with."""
        if self._has_todays_reference(target, EVERY_DAY):
            return pl.DataFrame(schema=CHANGE_COUNTS)
        days = target.days() | self.reference.days()
        return self._replaced({day: 0 for day in days if not self._has_todays_reference(target, day)})

    def _changes_by_day(self, target: LakeTable) -> pl.DataFrame:
        """The same where days have marks of their own, or none, or older ones than the log remembers."""
        counts = self._rows_by_day(target)
        marks = {day: self.since(target, day) for day in counts}
        for since in sorted({mark for mark in marks.values() if mark is not None}):
            with suppress(HistoryGone):
                changed = self._changed(since)
                known = [day for day, mark in marks.items() if mark is not None and mark >= since]
                lost = {day: count for day, count in counts.items() if day not in known}
                return pl.concat([changed.filter(pl.col("day").is_in(known)), self._replaced(lost)])
        return self._replaced(counts)

    def _changed(self, since: int) -> pl.DataFrame:
        if since >= self.source.version:
            return pl.DataFrame(schema=CHANGE_COUNTS)
        return self.source.change_counts(since, self.source.version, self.day_column)

    def _replaced(self, counts: Mapping[str, int]) -> pl.DataFrame:
        """Days that can only be rebuilt, as if all their rows had just been replaced."""
        rows = [(day, self.source.version, "replace", 0, count) for day, count in counts.items()]
        return pl.DataFrame(rows, schema=CHANGE_COUNTS, orient="row")

    def _rows_by_day(self, target: LakeTable) -> dict[str, int]:
        """Rows of the source by day, with 0 for days that only the target has or must have."""
        others = dict.fromkeys(target.days() | self.reference.days(), 0)
        if self.day_column == self.source.contract.partition_by:
            return others | self.source.rows_by_day()
        day = pl.col(self.day_column).cast(pl.String)
        counts = self.source.scan().group_by(day).len().collect()
        return others | dict(counts.iter_rows())


MIXED = -1
"""In place of everyone's digest: some days were made with other reference data than others. No digest is
negative, and 0 is that of nothing."""
