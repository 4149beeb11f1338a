"""Keeping a table fit: few files instead of many, old ones gone, a short log.

Belongs here: what delta-rs must be told for that to be safe beside writers. Which days are due, and how long
old files stay, is for `maintenance`.

delta-rs 1.6.6 lets two compactions of the same files pass, which doubles all their rows; it forgets the
application transactions that a compaction is given, and so can't be told by those. But it refuses each commit
that was prepared before a change of the table's properties. So:

1. A compaction claims the table: a commit that sets a property to a name of its own. Whatever other
   compaction is under way is thereby refused. (So are other writers, once: they look again.)
2. It opens the table, sees that its claim still stands, and compacts what it finds there.

If another claims in between, step 2 or the commit is refused. A claim holds nothing up: the next one replaces
it, whether its owner has died or not.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl
from deltalake import CommitProperties, DeltaTable

from oai_usage_pipeline.errors import LakeDamaged, PositionConflict
from oai_usage_pipeline.lake.failures import explained, explaining
from oai_usage_pipeline.lake.leftovers import Leftovers, leftovers
from oai_usage_pipeline.lake.log import Checkpoint, LogFiles, LogSize
from oai_usage_pipeline.lake.properties import COMPACTION, FILE_RETENTION, LOG_RETENTION
from oai_usage_pipeline.lake.rewrites import OURS
from oai_usage_pipeline.lake.writing import writer
from oai_usage_pipeline.tables import TableContract


@dataclass(frozen=True)
class DataFile:
    """A file that holds rows: its partition as text (None where there are none), its size in bytes."""

    day: str | None
    size: int


class Upkeep:
    """The half of a table's handle that keeps it fit; `LakeTable` opens it."""

    contract: TableContract
    uri: str
    _storage_options: dict[str, str]
    _handle: DeltaTable

    @explained
    def data_files(self) -> list[DataFile]:
        """Every file of this version, from the log alone."""
        files = pl.DataFrame(self._handle.get_add_actions(flatten=True))
        name = f"partition.{self.contract.partition_by}"
        day = pl.col(name).cast(pl.String) if name in files.columns else pl.lit(None, pl.String)
        return [DataFile(*row) for row in files.select(day, "size_bytes").iter_rows()]

    @explained
    def claim_compaction(self, claim: str) -> None:
        """Step 1. Raises PositionConflict when another writer changed the table's properties or columns."""
        self._set({COMPACTION: claim})

    @explained
    def compact(self, day: str | None, claim: str, target_bytes: int, row_group_rows: int) -> None:
        """Step 2: merge a partition's files, or all of a table without, up to so many bytes a file.

        No row changes, and the change feed tells of none. Raises PositionConflict when the claim is lost, or
        rows of the table were replaced meanwhile; LakeDamaged when another program compacted the same files.
        """
        if not self.is_claimed_by(claim):
            raise PositionConflict(f"{self.contract.name}: another compaction has begun")
        before = self.version
        self._handle.optimize.compact(
            partition_filters=None if day is None else [(self.contract.day_column, "=", day)],
            target_size=target_bytes,
            max_concurrent_tasks=1,
            writer_properties=writer(self.contract, row_group_rows),
            commit_properties=CommitProperties(custom_metadata=OURS),
        )
        self._refuse_doubled(before)

    def is_claimed_by(self, claim: str) -> bool:
        """Whether this version of the table is claimed so."""
        return self._handle.metadata().configuration.get(COMPACTION) == claim

    def _refuse_doubled(self, before: int) -> None:
        """Programs that claim nothing are refused by no claim; what they doubled is at least told at once."""
        removed: Counter[str] = Counter()
        for version in range(before + 1, self.version + 1):
            removed.update(self._log.removed_by(version))
        if any(times > 1 for times in removed.values()):
            raise LakeDamaged(
                f"{self.contract.name}: another program compacted the same files at the same time, and their "
                "rows are now there twice. Let one program alone compact (docs/MAINTENANCE.md), and see what "
                "`oai-usage verify` and `oai-usage repair` say"
            )

    @explained
    def old_files(self, keep_hours: int, keep_versions: Iterable[int] = ()) -> dict[str, int]:
        """Files in the table's folder that this version doesn't need, older than that: their sizes in bytes.

        Changes nothing. Files of `keep_versions` are left out.
        """
        names = self._vacuum(keep_hours, full=True, dry_run=True, keep=keep_versions)
        return self._log.sizes(names)

    @explained
    def remove_old_files(
        self, orphans_after_hours: int, replaced_after_hours: int = 0, keep_versions: Iterable[int] = ()
    ) -> int:
        """Delete the files whose rows were replaced or deleted so long ago; returns how many.

        Readers of an older version, the change feed among them, then meet HistoryGone and look again. Files
        that no version names may be of a commit under way: they go once they are so old. Files of
        `keep_versions` stay.
        """
        keep = list(keep_versions)
        removed = len(self._vacuum(replaced_after_hours, full=False, dry_run=False, keep=keep))
        return removed + len(self._vacuum(orphans_after_hours, full=True, dry_run=False, keep=keep))

    def _vacuum(self, hours: int, *, full: bool, dry_run: bool, keep: Iterable[int]) -> list[str]:
        return self._handle.vacuum(
            retention_hours=hours,
            dry_run=dry_run,
            enforce_retention_duration=False,
            full=full,
            keep_versions=list(keep) or None,
            commit_properties=CommitProperties(custom_metadata=OURS),
        )

    def checkpoint(self) -> None:
        """Write what this version's log amounts to into one file, from which readers then begin."""
        with explaining(self):
            self._handle.create_checkpoint()

    @explained
    def log_size(self) -> LogSize:
        """How many files the log has, and how many bytes."""
        return self._log.size()

    @explained
    def checkpoint_written(self) -> Checkpoint | None:
        """The newest checkpoint, from which readers begin; None where there is none."""
        return self._log.checkpoint()

    @explained
    def leftovers(self) -> Leftovers:
        """Files in the table's folder that this version doesn't name, however young."""
        named = set(pl.DataFrame(self._handle.get_add_actions())["path"])
        return leftovers(self.uri, self._storage_options, named)

    @explained
    def first_readable_version(self) -> int:
        """The oldest version that the log can still tell."""
        return self._log.first_readable()

    @explained
    def retain(self, log_days: int, file_days: int) -> bool:
        """Tell Delta how long log and old files stay, for every program; returns whether that is new."""
        wanted = {LOG_RETENTION: f"interval {log_days} days", FILE_RETENTION: f"interval {file_days} days"}
        if wanted.items() <= self._handle.metadata().configuration.items():
            return False
        self._set(wanted)
        return True

    @explained
    def clean_log(self) -> None:
        """Delete entries older than `retain` says, as far as a checkpoint stands for them."""
        self._handle.cleanup_metadata()

    def _set(self, properties: dict[str, str]) -> None:
        self._handle.alter.set_table_properties(
            properties, raise_if_not_exists=False, commit_properties=CommitProperties(custom_metadata=OURS)
        )

    @property
    def version(self) -> int:
        """The version that this handle sees."""
        return self._handle.version()

    @property
    def _log(self) -> LogFiles:
        return LogFiles(self.uri, self._storage_options)
