"""How long texts stay in bronze: which days are beyond it, and taking the texts out of them.

Belongs here: what a number of days means. Days are those on which the hub accepted an event, UTC.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.privacy.rewriting import follow, holds_old_files, remove_old_files, rewrite_day
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.payload import is_accounting, without_texts


@dataclass(frozen=True)
class Purged:
    """What a purge did, or would do: events with texts by day, and files deleted."""

    days: dict[str, int]
    removed_files: int = 0

    def __str__(self) -> str:
        """The result as a sentence."""
        if not self.days:
            return f"No day holds texts beyond its time; {self.removed_files} old files were deleted"
        return (
            f"Took the texts out of {sum(self.days.values()):,} events of {len(self.days)} days "
            f"({min(self.days)} to {max(self.days)}) and deleted {self.removed_files} old files"
        )


def first_day_kept(now: datetime, retention_days: int) -> date:
    """The first day whose texts stay: `retention_days` whole days before the one of `now` (UTC)."""
    return now.date() - timedelta(days=retention_days)


def texts_by_day(lake: Lake, before: date | None = None) -> dict[str, int]:
    """Events that hold texts by ISO date, oldest first, of days before the given one; reads one column."""
    try:
        table = lake.existing(OPENAI_EVENTS)
    except NoTable:
        return {}
    rows = table.scan()
    has_texts = ~is_accounting() if "payload" in rows.collect_schema() else pl.lit(value=True)
    day = pl.col(OPENAI_EVENTS.day_column)
    if before is not None:
        rows = rows.filter(day < before)
    found = rows.filter(has_texts).group_by(day.cast(pl.String)).len().sort(OPENAI_EVENTS.day_column)
    return dict(found.collect(engine="streaming").iter_rows())


def purge(
    lake: Lake,
    before: date,
    report: Callable[[str], None] = lambda _: None,
    *,
    old_files: bool = False,
) -> Purged:
    """Take the texts out of all days before the given one, and remove the files that held them.

    Where nothing was rewritten, by this call or one that died, files are only looked for with `old_files`.
    Call it again after a failure. Raises PositionConflict, LakeUnavailable or LakeDamaged.
    """
    days = texts_by_day(lake, before)
    for day, count in days.items():
        rewrite_day(lake, day, without_texts)
        report(f"{day}: took the texts out of {count:,} events")
    follow(lake, [USAGE_EVENTS_DERIVATION])
    is_left = old_files or holds_old_files(lake)
    return Purged(days, remove_old_files(lake, [OPENAI_EVENTS]) if is_left else 0)
