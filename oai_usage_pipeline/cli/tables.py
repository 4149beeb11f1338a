"""Records as tables on a terminal."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from oai_usage_pipeline.cli.terminal import plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def show(title: str, records: Sequence["DataclassInstance"], group_by: str | None = None) -> None:
    """Print dataclass records, a column for each field, numbers to the right; None is a dash.

    Records follow each other sorted by `group_by`: its value is shown once, a line between groups.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for field in fields(records[0]) if records else ():
        is_number = str(field.type).startswith(("int", "<class 'int'"))
        table.add_column(
            field.name.replace("_", " "), justify="right" if is_number else "left", overflow="fold"
        )
    last: object = object()
    for record in records:
        row = asdict(record)
        if group_by is not None:
            if table.rows and row[group_by] != last:
                table.add_section()
            last, row[group_by] = row[group_by], "" if row[group_by] == last else row[group_by]
        table.add_row(*(_text(value) for value in row.values()))
    console = Console(highlight=False, markup=False)
    # A pipe or a log file has no width of its own: names are kept whole there.
    console.width = console.width if console.is_terminal else max(console.width, 120)
    console.print(table)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return "\n".join(plain(line) for line in str(value).splitlines())
