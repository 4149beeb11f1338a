"""What of the reference data holds in a span of time, as one number: it changes when any of that does.

Belongs here: digests of rows with validity, so that a corrected price makes stale only the days that
it is for. What the rows mean is for `charge`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b

import polars as pl

_UNIT, _NULL = "\x1f", "\x00"


class DatedRows:
    """Rows of reference tables, each with its digest and its validity (`valid_from`, `valid_to`)."""

    def __init__(self, *tables: pl.DataFrame) -> None:
        parts = [_digested(table) for table in tables]
        self._rows = pl.concat(parts).sort("digest")
        bounds = pl.concat([self._rows["valid_from"], self._rows["valid_to"].alias("valid_from")])
        self._bounds: list[datetime] = bounds.drop_nulls().unique().sort().to_list()
        self._known: dict[tuple[int, int], bytes] = {}

    def all_of_them(self) -> bytes:
        """The digest of every row."""
        return digest_of(self._rows["digest"])

    def between(self, start: datetime, end: datetime) -> bytes:
        """The digest of the rows that hold at some instant of `start` <= t < `end`."""
        # Spans with the same boundaries in and before them have the same rows.
        key = bisect_right(self._bounds, start), bisect_left(self._bounds, end)
        if key not in self._known:
            begins = (pl.col("valid_from") < end).fill_null(value=True)
            ends = (pl.col("valid_to") > start).fill_null(value=True)
            self._known[key] = digest_of(self._rows.filter(begins & ends)["digest"])
        return self._known[key]


def digest_of(parts: Iterable[bytes | str]) -> bytes:
    """One digest of several parts, in their order."""
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\x1e")
    return found.digest()


def as_number(digest: bytes) -> int:
    """A digest as a positive number that fits Delta's application transactions."""
    return int.from_bytes(digest[:8]) >> 1 or 1


def _digested(table: pl.DataFrame) -> pl.DataFrame:
    text = pl.concat_str(pl.all().cast(pl.String).fill_null(_NULL), separator=_UNIT)
    texts = table.select(text).to_series().to_list()
    digests = pl.Series("digest", [digest_of([each]) for each in texts], pl.Binary())
    return table.select("valid_from", "valid_to").with_columns(digests)
