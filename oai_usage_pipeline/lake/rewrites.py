"""Commits in a table's log that took rows away or replaced them, and those that aren't ours.

Belongs here: telling them from appends and upkeep. What they did to the rows is for the reader.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deltalake import DeltaTable

OURS = {"writtenBy": "oai-usage-pipeline"}
"""What each of our commits says of itself in the log."""

SOUND_AT = "soundAt"
"""Which version its writer had found sound; an entry of the commit, no transaction: nothing conflicts."""

KEEP_ROWS = frozenset(
    {
        "CREATE TABLE",
        "OPTIMIZE",
        "VACUUM START",
        "VACUUM END",
        "ADD COLUMN",
        "SET TBLPROPERTIES",
        "UPGRADE PROTOCOL",
    }
)
"""Operations that change no rows."""


@dataclass(frozen=True)
class Rewrite:
    """A commit that may have changed rows, other than by adding some."""

    version: int
    operation: str
    committed_at: datetime

    def __str__(self) -> str:
        """The commit as people look for it."""
        return f"{self.operation} at {self.committed_at:%Y-%m-%d %H:%M:%S} UTC (version {self.version})"


def rewrites(handle: DeltaTable, most: int | None) -> Iterator[Rewrite]:
    """The rewrites among the newest `most` commits, newest first; None looks at the whole log."""
    for entry in _entries(handle, most):
        if not (entry.get("operation") == "WRITE" and _mode(entry) == "append"):
            yield from _changing_rows(entry)


def foreign_commits(handle: DeltaTable, most: int) -> Iterator[Rewrite]:
    """Those of the newest `most` commits that another program made, appends too, newest first."""
    for entry in _entries(handle, most):
        if not _is_ours(entry):
            yield from _changing_rows(entry)


def unproven_commits(handle: DeltaTable, lately: int, most: int) -> Iterator[Rewrite]:
    """Those that another program made after the version that one of ours found sound last, newest first.

    Which that is must stand in one of the newest `most` commits, else the newest `lately` are looked at.
    """
    for searched in (lately, most):
        sound = [int(each[SOUND_AT]) for each in _entries(handle, searched) if _is_ours(each, SOUND_AT)]
        if sound:
            return foreign_commits(handle, handle.version() - max(sound))
    return foreign_commits(handle, lately)


def _entries(handle: DeltaTable, most: int | None) -> Iterator[dict[str, Any]]:
    """The newest `most` commits that the handle sees, or all, newest first.

    delta-rs tells of those that came since as well, and numbers them all as if it didn't.
    """
    entries, version = handle.history(most), handle.version()
    asked = version + 1 if most is None else min(most, version + 1)
    for place, entry in enumerate(entries[max(len(entries) - asked, 0) :]):
        yield entry | {"version": version - place}


def _is_ours(entry: dict[str, Any], *names: str) -> bool:
    return OURS.items() <= entry.items() and entry.keys() >= {*names}


def _changing_rows(entry: dict[str, Any]) -> Iterator[Rewrite]:
    operation = str(entry.get("operation", "an unnamed operation"))
    if operation not in KEEP_ROWS:
        at = datetime.fromtimestamp(int(entry.get("timestamp", 0)) / 1000, UTC)
        yield Rewrite(int(entry["version"]), operation, at)


def _mode(entry: dict[str, Any]) -> str:
    return str(entry.get("operationParameters", {}).get("mode", "")).lower()
