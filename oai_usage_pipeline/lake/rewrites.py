"""Commits in a table's log that took rows away or replaced them, as people and other programs do.

Belongs here: telling them from appends and upkeep. What they did to the rows is for the reader.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deltalake import DeltaTable

KEEP_ROWS = frozenset(
    {
        "CREATE TABLE",
        "OPTIMIZE",
        "VACUUM START",
        "VACUUM END",
        "ADD COLUMN",
        "SET TBLPROPERTIES",
        "UPGRADE PROTOCOL",
        "STREAMING UPDATE",
    }
)
"""Operations that change no rows, or only add some."""


@dataclass(frozen=True)
class Rewrite:
    """A commit after which rows of the version before it may be gone."""

    version: int
    operation: str
    committed_at: datetime

    def __str__(self) -> str:
        """The commit as people look for it."""
        return f"{self.operation} at {self.committed_at:%Y-%m-%d %H:%M:%S} UTC (version {self.version})"


def rewrites(handle: DeltaTable, most: int | None) -> Iterator[Rewrite]:
    """The rewrites among the newest `most` commits, newest first; None looks at the whole log."""
    for entry in handle.history(most):
        operation = str(entry.get("operation", "an unnamed operation"))
        if operation in KEEP_ROWS or (operation == "WRITE" and _mode(entry) == "append"):
            continue
        at = datetime.fromtimestamp(int(entry.get("timestamp", 0)) / 1000, UTC)
        yield Rewrite(int(entry["version"]), operation, at)


def _mode(entry: dict[str, Any]) -> str:
    return str(entry.get("operationParameters", {}).get("mode", "")).lower()
