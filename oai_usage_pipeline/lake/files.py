"""The files of a table: whether those that its log names are there and whole.

Belongs here: what the readers of Delta accept in silence, or meet with a panic. What they refuse by
themselves is put into words in `failures`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.fs
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

LOG = "_delta_log"


def cut_files(handle: DeltaTable, folder: Path) -> Iterator[str]:
    """Data files of a table in a folder that are gone or have another size than its log says, in words.

    polars panics on a file that is shorter, which a power cut leaves behind; a store never does.
    """
    files = pl.DataFrame(handle.get_add_actions()).select("path", "size_bytes")
    for path, size in files.iter_rows():
        try:
            found = (folder / path).stat().st_size
        except FileNotFoundError:
            yield f"{path} is missing"
            continue
        if found != size:
            yield f"{path} has {found} bytes, the log says {size}"


def damaged_log_entries(handle: DeltaTable) -> Iterator[str]:
    """Entries of the log since its last checkpoint that hold less than was committed, in words.

    delta-rs takes an empty entry for a commit of nothing, and one that was cut at the end of a line
    for a smaller commit. What was cut is known from the entry's own count of added files.
    """
    # delta-rs offers the table's files, with its storage options, through its private half only.
    store: Any = DeltaStorageHandler.from_table(handle._table)  # noqa: SLF001
    files = pyarrow.fs.PyFileSystem(store)
    for version in range(_first_entry(files), handle.version() + 1):
        name = f"{LOG}/{version:020}.json"
        if files.get_file_info(name).type == pyarrow.fs.FileType.NotFound:
            continue  # Cleaned up, or only in the checkpoint: the readers refuse a hole by themselves.
        with files.open_input_file(name) as file:
            if (damage := _damage(file.read())) is not None:
                yield f"{name} {damage}"


def _first_entry(files: pyarrow.fs.FileSystem) -> int:
    """The version after the last checkpoint, 0 without one; as the file says that the readers begin with."""
    try:
        with files.open_input_file(f"{LOG}/_last_checkpoint") as file:
            return int(json.loads(file.read())["version"]) + 1
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _damage(entry: bytes) -> str | None:
    try:
        actions = [json.loads(line) for line in entry.splitlines() if line.strip()]
    except ValueError:
        return "is cut within a line"
    if not actions:
        return "is empty"
    about: dict[str, Any] = next((each["commitInfo"] for each in actions if "commitInfo" in each), {})
    expected = about.get("operationMetrics", {}).get("num_added_files")
    found = sum("add" in each for each in actions)
    if isinstance(expected, int) and expected != found:
        return f"is cut: it adds {found} files of {expected}"
    return None
