"""How a table stands: rows, files, days that are behind, what waits to be deleted, its newest checkpoint.

Belongs here: the figures, from the Delta log and a listing of the table's folder, and what is wrong about
them in a sentence. Rows are not read, but for the days of changes that a derived table has not followed yet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from oai_usage_pipeline.audit.spans import counted, span
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import stale_days
from oai_usage_pipeline.refresh.watermark import DayChanges
from oai_usage_pipeline.tables import CHARGEBACK_MONTHLY, TableContract

GRACE = timedelta(minutes=10)
"""How long a day may be behind: live passes come every few seconds, and one may be under way."""

UPKEEP_GRACE = timedelta(days=2)
"""How late the nightly deletion of old files may be, beyond the days that they stay."""


@dataclass(frozen=True)
class TableHealth:
    """One table. `version` is Delta's, None where it isn't made yet; `size` is in bytes, instants are UTC.

    - `stale_days`: days, or months, that are behind the table that it follows; None where it follows none.
      The first is `oldest_stale_day`; `is_overdue` when one has been behind for more than ten minutes.
    - `old_files` are in its folder and no longer named by the newest version, the oldest not since
      `oldest_old_file_at` (None where the log doesn't tell): what upkeep will delete.
    - `checkpoint_version`: the newest checkpoint. It holds what the log says, bronze's the positions, too:
      they are backed up as of then; what came later stands in the log's entries.
    """

    table: str
    version: int | None
    rows: int
    latest_day: str | None
    files: int
    size: int
    stale_days: int | None
    oldest_stale_day: str | None
    is_overdue: bool
    old_files: int
    old_size: int
    oldest_old_file_at: datetime | None
    checkpoint_version: int | None
    checkpoint_at: datetime | None

    def problems(self, now: datetime, history_days: int) -> Iterator[str]:
        """What is wrong as of `now`, and what to do; old files are to stay for `history_days`."""
        if self.is_overdue and self.stale_days:
            is_monthly = self.table == CHARGEBACK_MONTHLY.name
            days = counted(self.stale_days, "month" if is_monthly else "day")
            yield (
                f"{self.table} is behind on {days}, from {self.oldest_stale_day} on: see why the last run "
                f"`{'chargeback' if is_monthly else 'refresh'}` failed, or bring it up to date with "
                "`oai-usage run --until-idle`"
            )
        longest = timedelta(days=history_days) + UPKEEP_GRACE
        # Files of closed months' statements stay for good.
        if self.table == CHARGEBACK_MONTHLY.name or not self.oldest_old_file_at:
            return
        if (age := now - self.oldest_old_file_at) > longest:
            yield (
                f"{self.table} has files that nothing has named for {span(age.total_seconds())}, and they "
                f"are to stay for {history_days}: see why the last run `maintain` failed, or delete them "
                "with `oai-usage maintain`"
            )


def table_health(lake: Lake, contract: TableContract, now: datetime) -> TableHealth:
    """How a table stands as of `now`; makes and changes nothing. Raises LakeUnavailable, LakeDamaged."""
    try:
        table = lake.existing(contract)
    except NoTable:
        return _not_made(contract)
    files, old, checkpoint = table.data_files(), table.leftovers(), table.checkpoint_written()
    behind = _behind(lake, contract)
    return TableHealth(
        table=contract.name,
        version=table.version,
        rows=table.row_count(),
        latest_day=max((each.day for each in files if each.day), default=None),
        files=len(files),
        size=sum(each.size for each in files),
        stale_days=None if behind is None else len(behind),
        oldest_stale_day=min((each.day for each in behind or ()), default=None),
        is_overdue=any(each.behind_since <= now - GRACE for each in behind or ()),
        old_files=old.files,
        old_size=old.size,
        oldest_old_file_at=old.oldest_at,
        checkpoint_version=checkpoint.version if checkpoint else None,
        checkpoint_at=checkpoint.written_at if checkpoint else None,
    )


def _not_made(contract: TableContract) -> TableHealth:
    return TableHealth(
        table=contract.name,
        version=None,
        rows=0,
        latest_day=None,
        files=0,
        size=0,
        stale_days=None,
        oldest_stale_day=None,
        is_overdue=False,
        old_files=0,
        old_size=0,
        oldest_old_file_at=None,
        checkpoint_version=None,
        checkpoint_at=None,
    )


def _behind(lake: Lake, contract: TableContract) -> list[DayChanges] | None:
    derivation = next((each for each in DERIVATIONS if each.target == contract), None)
    return None if derivation is None else stale_days(lake, derivation)
