"""Records as tables on a terminal."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def show(title: str, records: Sequence["DataclassInstance"]) -> None:
    """Print dataclass records, a column for each field, numbers to the right; None is a dash."""
    table = Table(title=title, title_justify="left")
    rows = [asdict(record) for record in records]
    for name, value in rows[0].items() if rows else ():
        is_number = isinstance(value, int)
        table.add_column(name.replace("_", " "), justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    Console().print(table)


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
