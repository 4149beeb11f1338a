"""What a table tells of its own state: its files, its form, and what others did to it.

Belongs here: looking at one version of a table without reading its rows. Reading and writing rows is for
`table`.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from oai_usage_pipeline.errors import LakeDamaged
from oai_usage_pipeline.lake.failures import explained, explaining
from oai_usage_pipeline.lake.files import cut_files, cut_names
from oai_usage_pipeline.lake.form import strange_columns, strange_features
from oai_usage_pipeline.lake.log import LogFiles
from oai_usage_pipeline.lake.rewrites import Rewrite, foreign_commits, rewrites, unproven_commits
from oai_usage_pipeline.lake.store import is_remote
from oai_usage_pipeline.tables import TableContract


class Inspection:
    """The half of a table's handle that looks; `LakeTable` opens it."""

    contract: TableContract
    uri: str
    _storage_options: dict[str, str]
    _handle: DeltaTable

    @explained
    def damaged_files(self) -> list[str]:
        """Which files of the table are not as its log says, in words: the log's own and the data files.

        delta-rs takes a log entry that was cut for a smaller commit, whose rows are then missing in
        silence. Looks at the entries since the last checkpoint and, in a folder, at the sizes of all
        data files.
        """
        return [*LogFiles(self.uri, self._storage_options).shortened(), *self._cut_files()]

    @explained
    def refuse_cut_files(self) -> None:
        """Raise LakeDamaged when a table in a folder lacks a data file or has it cut: polars would panic."""
        if cut := list(self._cut_files()):
            more = f" and {len(cut) - 1} more" if len(cut) > 1 else ""
            raise LakeDamaged(
                f"{self.contract.name}: the table at {self.uri} lacks what its log names: {cut[0]}{more}. "
                "Was the machine without power, or the file edited, moved or deleted? See what can be had "
                "again with `oai-usage repair`"
            )

    def refuse_strange_form(self, required: Collection[str]) -> None:
        """Raise LakeDamaged when the table has features or types that this pipeline can't write.

        Or when it lacks a column of `required`: those that it has had since it was made.
        """
        with explaining(self):
            features = strange_features(self._handle)
            wrong = [f"it asks for the protocol features {', '.join(features)}"] if features else []
            wrong += strange_columns(self._handle, self.contract, required)
        if wrong:
            raise LakeDamaged(
                f"{self.contract.name}: the table at {self.uri} isn't as this pipeline makes it: "
                f"{'; '.join(wrong)}. Another program changed it. Nothing is written to it: see "
                "docs/REPAIR.md"
            )

    @explained
    def gone_files(self) -> list[str]:
        """Names of the data files that the log has and the store hasn't, or not whole; asks for each."""
        return [*self._handle.repair(dry_run=True)["files_removed"], *self._cut_names()]

    @explained
    def rewrites(self, most: int | None = None) -> list[Rewrite]:
        """Commits that took rows away or replaced them, newest first, of the newest `most` or of all."""
        return list(rewrites(self._handle, most))

    @explained
    def foreign_commits(self, most: int) -> list[Rewrite]:
        """Those of the newest `most` commits that another program made, and that may have changed rows."""
        return list(foreign_commits(self._handle, most))

    @explained
    def unproven_commits(self, lately: int, most: int) -> list[Rewrite]:
        """Those that another program made since one of ours last told which version it found sound.

        Looks for that in the newest `most` commits; where it isn't, at the newest `lately` alone.
        """
        return list(unproven_commits(self._handle, lately, most))

    @explained
    def newest(self, column: str) -> datetime | None:
        """The greatest instant in a column that has statistics, from the log alone; None without rows."""
        files = pl.DataFrame(self._handle.get_add_actions(flatten=True))
        name = f"max.{column}"
        found = files[name].max() if name in files.columns else None
        assert found is None or isinstance(found, datetime), f"{column} holds no instants"
        return found

    def _cut_files(self) -> Iterator[str]:
        """None in a store: it never has half a file, and says the name of one that it hasn't."""
        if is_remote(self.uri):
            return iter(())
        return cut_files(self._handle, self._folder)

    def _cut_names(self) -> list[str]:
        return [] if is_remote(self.uri) else cut_names(self._handle, self._folder)

    @property
    def _folder(self) -> Path:
        return Path(self.uri.removeprefix("file://"))
