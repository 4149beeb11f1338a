"""The files of a table's log, looked at one by one: which of them is damaged, and how.

Belongs here: what delta-rs accepts in silence, and naming the file where it refuses a log without
saying which. Data files are looked at in `files`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet
from deltalake.fs import DeltaStorageHandler

LOG = "_delta_log"
LAST_CHECKPOINT = f"{LOG}/_last_checkpoint"
CHECKPOINT_ADVICE = (
    "A checkpoint only saves time: where the log is there from its entry 0 on, move it away together with "
    "_last_checkpoint and any later one"
)


@dataclass(frozen=True)
class LogSize:
    """Files of a log, and their bytes."""

    files: int
    size: int


@dataclass(frozen=True)
class Checkpoint:
    """What the log amounted to at a version, positions among it, in one file; when that was written, UTC."""

    version: int
    written_at: datetime


class LogFiles:
    """The log of the table at `uri`, whether it can be opened or not; each method reads what it needs."""

    def __init__(self, uri: str, storage_options: Mapping[str, str]) -> None:
        store: Any = DeltaStorageHandler(uri, dict(storage_options))
        self._files = pyarrow.fs.PyFileSystem(store)

    def shortened(self) -> Iterator[str]:
        """Entries since the last checkpoint that hold less than was committed, in words.

        delta-rs takes an empty entry for a commit of nothing, and one that was cut at the end of a line
        for a smaller commit. What was cut is known from the entry's own count of added files.
        """
        checkpoint = self._checkpoint_version()
        for version, name in self._entries():
            if version > checkpoint:
                damage = _damage(self._read(name))
                if damage is not None:
                    yield f"{name} {damage}"

    def broken(self) -> Iterator[str]:
        """What keeps the log from being read, in words; nothing where it is whole."""
        yield from self._broken_checkpoints()
        entries, checkpoint = self._entries(), self._checkpoint_version()
        for (version, _), (following, _) in pairwise(entries):
            if following != version + 1 and following > checkpoint + 1:
                yield f"{LOG}/{version + 1:020}.json is missing"
        for _, name in reversed(entries):
            if (damage := _damage(self._read(name))) is not None:
                yield f"{name} {damage}"

    def removed_by(self, version: int) -> list[str]:
        """Paths of the data files that a commit took out of the table."""
        actions = map(json.loads, self._read(f"{LOG}/{version:020}.json").splitlines())
        return [each["remove"]["path"] for each in actions if "remove" in each]

    def removals(self) -> dict[str, datetime]:
        """When data files were taken out of the table, by path, as far as the log's newest part tells."""
        checkpoint = self._checkpoint_version()
        entries = [self._read(name) for version, name in self._entries() if version > checkpoint]
        actions = (json.loads(line) for entry in entries for line in entry.splitlines() if line.strip())
        removed = self._removed_before(checkpoint)
        removed += [each["remove"] for each in actions if "remove" in each]
        return {
            each["path"]: datetime.fromtimestamp(each["deletionTimestamp"] / 1000, UTC)
            for each in removed
            if each.get("deletionTimestamp")
        }

    def checkpoint(self) -> Checkpoint | None:
        """The newest, from the folder's listing; None where the log has none."""
        found = [each for each in self._listed() if each.path.endswith(".checkpoint.parquet")]
        if not found:
            return None
        newest = max(found, key=lambda each: str(each.path))
        return Checkpoint(int(newest.base_name.split(".")[0]), written_at(newest))

    def size(self) -> LogSize:
        """All that is in the log's folder."""
        sizes = [each.size for each in self._listed() if each.is_file]
        return LogSize(len(sizes), sum(sizes))

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Bytes of files in the table's folder; those that are gone have none."""
        found = self._files.get_file_info(list(names))
        return {each.path: each.size or 0 for each in found}

    def first_readable(self) -> int:
        """The oldest version of which all is there: that of entry 0, or of the first checkpoint."""
        entries = self._entries()
        if entries and entries[0][0] == 0:
            return 0
        names = self._names(".checkpoint.parquet")
        numbers = [int(name.removeprefix(f"{LOG}/").split(".")[0]) for name in names]
        return min(numbers, default=entries[0][0] if entries else 0)

    def _broken_checkpoints(self) -> Iterator[str]:
        names = self._names(".checkpoint.parquet")
        expected = self._checkpoint_version()
        if expected >= 0 and not any(name.startswith(f"{LOG}/{expected:020}.") for name in names):
            yield f"{LAST_CHECKPOINT} names version {expected}, which has no checkpoint. {CHECKPOINT_ADVICE}"
        for name in reversed(names):
            try:
                with self._files.open_input_file(name) as file:
                    pyarrow.parquet.read_table(pa.BufferReader(file.read())).validate(full=True)
            except (OSError, pa.ArrowException) as error:
                yield f"{name} can't be read ({str(error).splitlines()[0][:100]}). {CHECKPOINT_ADVICE}"

    def _checkpoint_version(self) -> int:
        """The version at which the readers begin; -1 without a checkpoint."""
        try:
            return int(json.loads(self._read(LAST_CHECKPOINT))["version"])
        except (OSError, ValueError, KeyError, TypeError):
            return -1

    def _removed_before(self, checkpoint: int) -> list[dict[str, Any]]:
        """What a checkpoint still knows of removed files."""
        parts = [each for each in self._names(".parquet") if each.startswith(f"{LOG}/{checkpoint:020}.")]
        wanted = ["remove.path", "remove.deletionTimestamp"]
        files = (pyarrow.parquet.ParquetFile(pa.BufferReader(self._read(each))) for each in parts)
        rows = (row for file in files for row in file.read(columns=wanted)["remove"].to_pylist())
        return [row for row in rows if row]

    def _entries(self) -> list[tuple[int, str]]:
        names = self._names(".json")
        numbered = ((name.removeprefix(f"{LOG}/").removesuffix(".json"), name) for name in names)
        return [(int(number), name) for number, name in numbered if number.isdecimal()]

    def _names(self, suffix: str) -> list[str]:
        return sorted(each.path for each in self._listed() if each.path.endswith(suffix))

    def _listed(self) -> list[pyarrow.fs.FileInfo]:
        return self._files.get_file_info(pyarrow.fs.FileSelector(LOG, allow_not_found=True))

    def _read(self, name: str) -> bytes:
        with self._files.open_input_file(name) as file:
            return bytes(file.read())


def written_at(file: pyarrow.fs.FileInfo) -> datetime:
    """When a file was written, by its store, UTC."""
    return datetime.fromtimestamp((file.mtime_ns or 0) / 1e9, UTC)


def _damage(entry: bytes) -> str | None:
    try:
        actions = [json.loads(line) for line in entry.splitlines() if line.strip()]
    except ValueError:
        return "is cut within a line, or isn't JSON"
    if not actions:
        return "is empty"
    about: dict[str, Any] = next((each["commitInfo"] for each in actions if "commitInfo" in each), {})
    expected = about.get("operationMetrics", {}).get("num_added_files")
    found = sum("add" in each for each in actions)
    # Some operations count files of changed rows among those added, others don't.
    changes = sum("cdc" in each for each in actions)
    if isinstance(expected, int) and expected not in (found, found + changes):
        return f"is cut: it adds {found} files of {expected}"
    return None
