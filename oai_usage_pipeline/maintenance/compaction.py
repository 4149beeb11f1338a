"""Merging the small files of a day: which days are due, and doing it beside whoever writes.

Belongs here: the plan and the retries. That two compactions can't double rows is the work of `lake.upkeep`.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import uuid4

from oai_usage_pipeline.errors import HistoryGone, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.upkeep import DataFile
from oai_usage_pipeline.tables import OPENAI_EVENTS, TableContract

logger = logging.getLogger(__name__)

TARGET_BYTES = 128 * 1024**2
"""What a file has at most. Fabric's Spark aims at the same for tables below 10 GB (docs/MAINTENANCE.md)."""

ROW_GROUP_ROWS = 1_048_576
"""Direct Lake and Spark ask for a million rows or more in a row group; few days have as many."""

BRONZE_ROW_GROUP_ROWS = 5_000
"""Bronze is read whole, in chunks of so many rows; a row group of a day's texts would not fit in memory."""

MOST_SMALL_FILES = 32
"""So many small files a day may have that still grows; a day that is over, one."""

ATTEMPTS = 5


@dataclass(frozen=True)
class DueDay:
    """A partition whose small files are to be merged; None for a table without partitions."""

    day: str | None
    files: int
    size: int

    @property
    def files_after(self) -> int:
        """How many files its small ones come to, about."""
        return -(-self.size // TARGET_BYTES)


@dataclass(frozen=True)
class Compaction:
    """What compacting a table did, or would do: partitions, files and bytes of it, versions."""

    table: str
    days: int
    files: int
    files_after: int
    bytes: int
    bytes_after: int
    version: int
    version_after: int


def due_days(files: Iterable[DataFile], today: date) -> list[DueDay]:
    """Partitions with small files to merge, oldest first: those that are over with two, others with many."""
    small: dict[str | None, list[int]] = defaultdict(list)
    for each in files:
        if each.size < TARGET_BYTES // 2:
            small[each.day].append(each.size)
    found = [DueDay(day, len(sizes), sum(sizes)) for day, sizes in small.items()]
    due = (each for each in found if each.files > (1 if _is_over(each.day, today) else MOST_SMALL_FILES))
    return sorted(due, key=lambda each: each.day or "")


def compact(
    lake: Lake,
    contract: TableContract,
    today: date,
    *,
    dry_run: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Compaction:
    """Merge the small files of each day that is due; `today` is the day of now, UTC.

    With `dry_run` nothing is changed, and what would be is estimated. Raises NoTable; PositionConflict when
    another compaction of the table has begun, or a day is replaced again and again; LakeDamaged when another
    program compacted the same files at the same time.
    """
    table = lake.existing(contract)
    before, files = table.version, table.data_files()
    due = due_days(files, today)
    sizes = len(files), sum(each.size for each in files)
    if dry_run or not due:
        merged = sum(each.files - each.files_after for each in due)
        return Compaction(
            contract.name, len(due), sizes[0], sizes[0] - merged, sizes[1], sizes[1], before, before
        )
    claim = _claim(lake, contract)
    for each in due:
        _compact_day(lake, contract, each.day, claim)
        report(f"{contract.name}{f' of {each.day}' if each.day else ''}: merged {each.files} files")
    table = lake.existing(contract)
    after = table.data_files()
    return Compaction(
        contract.name,
        len(due),
        sizes[0],
        len(after),
        sizes[1],
        sum(each.size for each in after),
        before,
        table.version,
    )


def _is_over(day: str | None, today: date) -> bool:
    """Whether nothing but late events comes to a partition; months stand under their first day."""
    growing = {today.isoformat(), (today + timedelta(days=1)).isoformat(), today.replace(day=1).isoformat()}
    return day not in growing | {None}


def _claim(lake: Lake, contract: TableContract) -> str:
    claim = uuid4().hex
    for _ in range(ATTEMPTS):
        try:
            lake.existing(contract).claim_compaction(claim)
        except PositionConflict as conflict:
            logger.info("%s: %s", contract.name, conflict)
            continue
        return claim
    raise PositionConflict(
        f"{contract.name} can't be claimed for compaction: other writers keep getting ahead"
    )


def _compact_day(lake: Lake, contract: TableContract, day: str | None, claim: str) -> None:
    row_group_rows = BRONZE_ROW_GROUP_ROWS if contract == OPENAI_EVENTS else ROW_GROUP_ROWS
    for _ in range(ATTEMPTS):
        table = lake.existing(contract)
        if not table.is_claimed_by(claim):
            raise PositionConflict(f"{contract.name}: another compaction has begun; this one gives way to it")
        try:
            table.compact(day, claim, TARGET_BYTES, row_group_rows)
        except (PositionConflict, HistoryGone) as conflict:
            # Rows were replaced, or replaced ones deleted, while they were being merged.
            logger.info("%s of %s: %s", contract.name, day, conflict)
            continue
        return
    raise PositionConflict(f"{contract.name} of {day} can't be compacted: other writers keep getting ahead")
