"""How far a derived table has followed its source, day by day, and which days are therefore stale.

Belongs here: watermarks and what they mean. A watermark is a version of the source table, kept as
an application transaction of the derived table, in the same commit as the rows made of it. Its
name holds the contract's version, so a day derived by an older contract has none; and the source
table's id, so a source made anew is not mistaken for the old one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from oai_usage_pipeline.errors import LakeUnavailable
from oai_usage_pipeline.lake.table import LakeTable


@dataclass(frozen=True)
class DayChanges:
    """What a day's source rows went through since its watermark.

    `behind_since` is the commit of the first change not yet followed. `must_rebuild` when rows were
    also deleted or replaced, when the day was never derived by today's contract, or when the source
    no longer tells what changed.
    """

    day: str
    new_rows: int
    must_rebuild: bool
    behind_since: datetime


class Watermarks:
    """Compares one version of a source table with the watermarks of the table derived from it."""

    def __init__(self, source: LakeTable, day_column: str, target: LakeTable) -> None:
        self.source = source
        self.day_column = day_column
        self._changes = self._read_changes(target)

    def app_id(self, target: LakeTable, day: str) -> str:
        """The name of a day's watermark; the day 'all' means every day."""
        contract = target.contract
        return f"{contract.name}/{self.source.id}/v{contract.version}/{day}"

    def since(self, target: LakeTable, day: str) -> int | None:
        """The source version that a day is up to date with; None if it was never derived so."""
        marks = (target.position(self.app_id(target, each)) for each in (day, "all"))
        return max((mark for mark in marks if mark is not None), default=None)

    def day_changes(self, target: LakeTable, day: str) -> DayChanges | None:
        """What happened to a day since its watermark, None if nothing."""
        since = self.since(target, day)
        after = -1 if since is None else since
        rows = self._changes.filter((pl.col("day") == day) & (pl.col("version") > after))
        if rows.is_empty():
            return None
        is_insert = pl.col("kind") == "insert"
        inserted = int(rows.filter(is_insert)["len"].sum())
        only_inserts = rows.filter(~is_insert).is_empty()
        return DayChanges(
            day,
            inserted,
            must_rebuild=since is None or not only_inserts,
            behind_since=datetime.fromtimestamp(int(rows["committed_ms"].min()) / 1000, UTC),  # type: ignore[arg-type]  # rows is not empty
        )

    def stale_days(self, target: LakeTable) -> list[DayChanges]:
        """Every day that is behind its source, oldest first."""
        days = self._changes["day"].unique().sort()
        found = (self.day_changes(target, day) for day in days)
        return [each for each in found if each is not None]

    def marks(self, target: LakeTable, day: str) -> dict[str, int]:
        """The watermarks to commit with a day's rows: the day's own, and everyone's if it was the last."""
        others: Iterable[DayChanges] = (each for each in self.stale_days(target) if each.day != day)
        days = [day] if any(others) else [day, "all"]
        return {self.app_id(target, each): self.source.version for each in days}

    def _read_changes(self, target: LakeTable) -> pl.DataFrame:
        """Rows changed per day, source version and kind, of all versions not yet followed by every day."""
        followed = target.position(self.app_id(target, "all"))
        since = -1 if followed is None else followed
        if since >= self.source.version:
            return _NO_CHANGES
        try:
            reader = self.source.changes(since, self.source.version, [self.day_column])
            changed = pl.DataFrame(reader)
        except LakeUnavailable:
            # Delta removes old log entries; what they said can then only be had by rebuilding.
            return self._every_day_replaced()
        return (
            changed.group_by(
                pl.col(self.day_column).cast(pl.String).alias("day"),
                pl.col("_commit_version").cast(pl.Int64).alias("version"),
                pl.col("_change_type").alias("kind"),
                pl.col("_commit_timestamp").dt.timestamp("ms").alias("committed_ms"),
            )
            .len()
            .cast({"len": pl.Int64})
        )

    def _every_day_replaced(self) -> pl.DataFrame:
        day = pl.col(self.day_column).cast(pl.String).alias("day")
        days = self.source.scan().group_by(day).len().collect()
        return days.select(
            "day",
            pl.lit(self.source.version, pl.Int64).alias("version"),
            pl.lit("replace").alias("kind"),
            pl.lit(0, pl.Int64).alias("committed_ms"),
            pl.col("len").cast(pl.Int64),
        )


_NO_CHANGES = pl.DataFrame(
    schema={
        "day": pl.String(),
        "version": pl.Int64(),
        "kind": pl.String(),
        "committed_ms": pl.Int64(),
        "len": pl.Int64(),
    }
)
