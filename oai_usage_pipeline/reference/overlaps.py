"""Rows of the same key that hold at the same time: whom or what to charge would be a matter of luck.

Pure: validities in, overlaps out. Which columns make the key is for the table's own module.
"""

from collections.abc import Hashable, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
"""Later than any hour: what has no end holds beyond the last hour that can be written."""


class Holding(NamedTuple):
    """A row's key, the line it stands on, and when it holds: from inclusive, to exclusive, None unbounded."""

    key: tuple[Hashable, ...]
    line: int
    valid_from: datetime | None
    valid_to: datetime | None


class Overlap(NamedTuple):
    """Two rows of one key and the time that both hold in; None is unbounded."""

    earlier: Holding
    later: Holding
    valid_from: datetime | None
    valid_to: datetime | None


def overlaps(rows: Iterable[Holding]) -> Iterator[Overlap]:
    """For each row that begins while another of its key still holds: both, longest-holding first."""
    by_key: dict[tuple[Hashable, ...], list[Holding]] = {}
    for row in rows:
        by_key.setdefault(row.key, []).append(row)
    for same in by_key.values():
        yield from _of_one_key(sorted(same, key=lambda row: (_start(row), row.line)))


def _of_one_key(rows: list[Holding]) -> Iterator[Overlap]:
    longest = rows[0]
    for row in rows[1:]:
        if _start(row) < _end(longest):
            ends = min(longest, row, key=_end)
            yield Overlap(longest, row, row.valid_from, ends.valid_to)
        longest = max(longest, row, key=_end)


def _start(row: Holding) -> datetime:
    return row.valid_from or _FIRST


def _end(row: Holding) -> datetime:
    return row.valid_to or _LAST
