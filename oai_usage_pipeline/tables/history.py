"""What changed in a table's contract from version to version, and how older columns are read from today's.

Pure data and pure functions. A change that makes old days wrong says so (`rebuilds`), and they become stale;
`docs/SCHEMA.md` says how a contract is changed. What a table's columns are now is in its own module.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import polars as pl

Schema = Mapping[str, pl.DataType]


@dataclass(frozen=True)
class Removed:
    """A column that a version no longer has: its type, and `now`, how its value is had since.

    `now` is an SQL expression over the columns of the version that removed it; NULL where nothing tells it
    any more. A column of another type or meaning is a new one, with a new name, and removes the old.
    """

    kind: pl.DataType
    now: str


@dataclass(frozen=True)
class Change:
    """One version of a contract: in a sentence, what is other than before.

    `rebuilds` is False where rows of older versions stay right as they are; columns that were added are
    then null in them. `fingerprint` is that of the columns from this version on: a test compares, so that
    no column changes without an entry here.
    """

    version: int
    what: str
    fingerprint: str
    rebuilds: bool = True
    added: tuple[str, ...] = ()
    removed: Mapping[str, Removed] = field(default_factory=dict)


def fingerprint(schema: Schema) -> str:
    """Eight hex digits of names and types, whatever their order."""
    text = "\n".join(sorted(f"{name} {kind}" for name, kind in schema.items()))
    return blake2b(text.encode(), digest_size=4).hexdigest()


def rebuilt_since(version: int, history: Iterable[Change]) -> int:
    """The newest version up to `version` whose rows differ from those of the one before.

    A version without an entry counts as one: a rebuild too many is safe.
    """
    unchanged = {change.version for change in history if not change.rebuilds}
    while version in unchanged:
        version -= 1
    return version


def schema_at(schema: Schema, history: Sequence[Change], version: int) -> dict[str, pl.DataType]:
    """The columns that an older version had, from those of the newest."""
    found = dict(schema)
    for change in _undone(history, version):
        found = {name: kind for name, kind in found.items() if name not in change.added}
        found |= {name: column.kind for name, column in change.removed.items()}
    return found


def read_as(rows: pl.LazyFrame, schema: Schema, history: Sequence[Change], version: int) -> pl.LazyFrame:
    """Rows of the newest version with the columns of an older one.

    Rows that weren't rebuilt since still hold the old column itself, if the table has it: then it counts.
    """
    names = rows.collect_schema().names()
    for change in _undone(history, version):
        rows = rows.with_columns(
            pl.coalesce(pl.sql_expr(column.now), *([name] if name in names else ()))
            .cast(column.kind)
            .alias(name)
            for name, column in change.removed.items()
        )
    return rows.select(*schema_at(schema, history, version))


def view(name: str, schema: Schema, history: Sequence[Change], version: int) -> str:
    """An SQL statement that selects what `read_as` does, for other readers of a table that is up to date."""
    source = name
    for change in _undone(history, version):
        gone = [f'{column.now} AS "{removed}"' for removed, column in change.removed.items()]
        stay = _quoted(
            each for each in schema_at(schema, history, change.version) if each not in change.added
        )
        source = f"({_select([*stay, *gone], source)}) AS {name}_v{change.version}"
    return _select(_quoted(schema_at(schema, history, version)), source)


def _select(columns: Iterable[str], source: str) -> str:
    return " ".join(("SELECT", ", ".join(columns), "FROM", source))


def _quoted(names: Iterable[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def _undone(history: Sequence[Change], version: int) -> list[Change]:
    """The changes after a version, the newest first."""
    return [change for change in reversed(history) if change.version > version]
