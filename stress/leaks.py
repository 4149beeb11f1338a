"""Looking for secrets in every byte that was written: files as they are, and what Parquet files hold.

Belongs here: the search. Which secrets, and where they must not be, is said by who asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def leaks(folders: Iterable[Path], secrets: Iterable[str]) -> tuple[int, list[str]]:
    """How many bytes were looked at, and each hit as "file: which secret by its number"."""
    wanted = [secret.encode() for secret in secrets]
    looked_at, hits = 0, list[str]()
    for file in (file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()):
        for content in _contents(file):
            looked_at += len(content)
            hits += [f"{file}: secret {n}" for n, secret in enumerate(wanted) if secret in content]
    return looked_at, hits


def _contents(file: Path) -> Iterable[bytes]:
    yield file.read_bytes()
    if file.suffix != ".parquet":
        return
    for batch in pq.ParquetFile(file).iter_batches():
        for column in batch.columns:
            yield from _flat(column)


def _flat(column: pa.Array[Any]) -> Iterable[bytes]:
    """The column's texts and bytes one after another; numbers hold no secret."""
    if pa.types.is_nested(column.type) or pa.types.is_dictionary(column.type):
        yield str(column.to_pylist()).encode()
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        yield "\n".join(text for text in column.to_pylist() if text is not None).encode()
    elif pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        yield b"\n".join(data for data in column.to_pylist() if data is not None)
