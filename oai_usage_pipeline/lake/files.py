"""The data files of a table: whether those that its log names are there and whole.

Belongs here: what the readers would meet with a panic. What they refuse by themselves is put into
words in `failures`; the files of the log are looked at in `log`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
from deltalake import DeltaTable


def cut_files(handle: DeltaTable, folder: Path) -> Iterator[str]:
    """Data files of a table in a folder that are gone or have another size than its log says, in words.

    polars panics on a file that is shorter, which a power cut leaves behind; a store never does.
    """
    for path, size, found in _other_sizes(handle, folder):
        yield f"{path} is missing" if found is None else f"{path} has {found} bytes, the log says {size}"


def cut_names(handle: DeltaTable, folder: Path) -> list[str]:
    """Those that are there, with another size."""
    return [path for path, _, found in _other_sizes(handle, folder) if found is not None]


def set_aside(folder: Path, names: Iterable[str]) -> None:
    """Give files names that no table knows; nothing is deleted."""
    for name in names:
        (folder / name).rename(folder / f"{name}.damaged")


def _other_sizes(handle: DeltaTable, folder: Path) -> Iterator[tuple[str, int, int | None]]:
    """Path, size by the log and size found (None: gone) of data files where the two differ."""
    files = pl.DataFrame(handle.get_add_actions()).select("path", "size_bytes")
    for path, size in files.iter_rows():
        try:
            found = (folder / path).stat().st_size
        except FileNotFoundError:
            yield path, size, None
            continue
        if found != size:
            yield path, size, found
