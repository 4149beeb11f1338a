"""Searching all that was written for a secret, in whatever form it may stand there.

Belongs here: the forms, and what of a file is content. What is planted, and where, is for others.
"""

import base64
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq

SQLITE = b"SQLite format 3\0"
LEAST = 20
"""Characters: of a longer secret its first so many are too much, too."""


def forms(secret: str) -> set[bytes]:
    """A secret, or most of it, in either case: as UTF-8, UTF-16, percent-encoded, hexadecimal and base64."""
    texts = {secret, secret[:LEAST], secret.upper(), secret.lower(), quote(secret, safe="")}
    found = set()
    for text in texts | {quote(text, safe="").lower() for text in texts}:
        raw = text.encode()
        found |= {raw, text.encode("utf-16-le"), text.encode("utf-16-be"), raw.hex().encode(), *_base64(raw)}
    return found


def _base64(raw: bytes) -> Iterator[bytes]:
    """As it stands in the base64 of a longer text: at three offsets, without what its neighbours share."""
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw)
        inner = whole[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def leaks(secrets: Iterable[str], written: Mapping[str, bytes]) -> list[str]:
    """Where any of the secrets stands, by the names of what was written; none is named itself."""
    wanted = {form for secret in secrets for form in forms(secret)}
    return sorted(name for name, found in written.items() if any(form in found for form in wanted))


def contents(folder: Path, *besides: Path) -> dict[str, bytes]:
    """All files below a folder by their path, with what compression and pages would hide; not `besides`."""
    files = (path for path in folder.rglob("*") if path.is_file() and not set(besides) & set(path.parents))
    return {path.relative_to(folder).as_posix(): content(path) for path in files}


def content(path: Path) -> bytes:
    """A file's bytes, and the values of a Parquet file or an SQLite database."""
    raw = path.read_bytes()
    values: Iterable[object] = ()
    if path.suffix == ".parquet":
        values = pq.ParquetFile(path).read().to_pylist()
    elif raw.startswith(SQLITE):
        values = _rows(path)
    return b"\n".join((raw, *_texts(values)))


def _rows(path: Path) -> Iterator[tuple[object, ...]]:
    """A long value lies on several pages, and would be cut there in the file's bytes."""
    with sqlite3.connect(path) as database:
        tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            yield from database.execute(f'select * from "{table}"')
    database.close()


def _texts(value: object) -> Iterator[bytes]:
    """The texts and bytes in a value, as they are."""
    if isinstance(value, str):
        yield value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        for pair in value.items():
            yield from _texts(pair)
    elif isinstance(value, Iterable):
        for each in value:
            yield from _texts(each)
