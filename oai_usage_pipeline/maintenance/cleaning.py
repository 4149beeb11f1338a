"""Deleting what no reader needs any more: files of replaced rows, files of no version, old log entries.

Belongs here: how long they stay. A closed month's statement is readable for good: files of a version that
`month_closings` names are kept, and so is the log of that table.
"""

from dataclasses import dataclass

from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import CHARGEBACK_MONTHLY, MONTH_CLOSINGS, TableContract

FOR_GOOD_DAYS = 36_500
"""A hundred years: Delta knows no "for ever"."""


@dataclass(frozen=True)
class Cleaning:
    """What cleaning a table did, or would do: old files and their bytes, files of the log and theirs."""

    table: str
    old_files: int
    old_bytes: int
    log_files: int
    log_files_after: int
    log_bytes: int
    log_bytes_after: int


TOLD_DAYS = 7
"""The log tells for so much longer since when a file isn't needed: health finds what upkeep left by that."""


def clean(lake: Lake, contract: TableContract, history_days: int, *, dry_run: bool = False) -> Cleaning:
    """Delete files and log entries that have not been needed for so many days, both at most that old.

    With `dry_run` nothing is changed; how far the log would shrink isn't known then. A derived table that has
    not followed for longer is rebuilt where it could have been extended. Raises NoTable, PositionConflict.
    """
    table = lake.existing(contract)
    kept = _statements(lake, table) if contract == CHARGEBACK_MONTHLY else []
    old = table.old_files(history_days * 24, kept)
    log = table.log_size()
    after = log
    if not dry_run:
        log_days = FOR_GOOD_DAYS if contract == CHARGEBACK_MONTHLY else history_days
        if table.retain(log_days, history_days + TOLD_DAYS):
            table = lake.existing(contract)
        # Entries may go only where a checkpoint stands for them.
        table.checkpoint()
        table.clean_log()
        if old:
            table.remove_old_files(history_days * 24, history_days * 24, kept)
        after = lake.existing(contract).log_size()
    return Cleaning(contract.name, len(old), sum(old.values()), log.files, after.files, log.size, after.size)


def _statements(lake: Lake, table: LakeTable) -> list[int]:
    """Versions that hold what was charged for a closed month, as far as the log still tells them."""
    try:
        closings = lake.existing(MONTH_CLOSINGS)
    except NoTable:
        return []
    versions = closings.scan().select("chargeback_version").drop_nulls().unique().collect()
    first = table.first_readable_version()
    return sorted(each for each in versions["chargeback_version"] if first <= each <= table.version)
