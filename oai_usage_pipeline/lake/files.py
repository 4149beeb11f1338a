"""The data files of a table: whether those that its log names are there and whole.

Belongs here: what the readers would meet with a panic. What they refuse by themselves is put into
words in `failures`; the files of the log are looked at in `log`.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from deltalake import DeltaTable


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
