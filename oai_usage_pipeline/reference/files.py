"""A reference file becomes the rows of its table, or one error that names everything wrong with it.

Belongs here: the header, each row against its model, overlaps. What a table's columns may hold belongs
in the table's module, as a pydantic model; writing tables in `landing`.
"""

import difflib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import polars as pl
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from oai_usage_pipeline.reference.cells import Validity, shown_hour
from oai_usage_pipeline.reference.findings import Finding, refuse, shown
from oai_usage_pipeline.reference.overlaps import Holding, Overlap, overlaps
from oai_usage_pipeline.reference.records import Record, read_records
from oai_usage_pipeline.tables import TableContract

Row = TypeVar("Row", bound=Validity)


def read_table(
    path: Path, contract: TableContract, row_model: type[Validity], key: tuple[str, ...] = ()
) -> pl.DataFrame:
    """The file's rows in its order, with the contract's columns; those that the model lacks are null.

    The file's columns are the model's fields, in any order; those without a default must be there and
    filled. Rows with the same `key` columns must not hold at the same time (no key: not checked).
    Raises ConfigurationError with every finding: file, line, column, what was found and expected.
    """
    rows = read_rows(path, contract, row_model, key)
    return pl.DataFrame([row.model_dump() for _, row in rows], schema=contract.schema)


def read_rows(
    path: Path, contract: TableContract, row_model: type[Row], key: tuple[str, ...] = ()
) -> list[tuple[int, Row]]:
    """As `read_table`, but each row as its model, with the line that it starts on."""
    records, findings = read_records(path)
    header, *body = records or [Record(0, ())]
    columns = _without_empty_end(header.cells)
    refuse(path, _header_findings(Record(header.line, columns), contract, row_model))
    rows: list[tuple[int, Row]] = []
    for record in body:
        try:
            rows.append((record.line, row_model(**_filled(record, columns))))
        except ValidationError as error:
            findings += [_of_row(record.line, each, contract) for each in error.errors(include_url=False)]
        except _WrongLength as error:
            findings.append(Finding(record.line, "", str(error)))
    if key:
        findings += [_of_overlap(each, key) for each in overlaps(_holdings(rows, key))]
    refuse(path, findings)
    return rows


class _WrongLength(ValueError):
    """A record has more or fewer cells than the header has columns."""


def _without_empty_end(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Spreadsheets keep separators of columns that were emptied."""
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _filled(record: Record, columns: tuple[str, ...]) -> dict[str, str]:
    """Column -> cell, of those that are not empty."""
    cells = record.cells
    if len(cells) > len(columns):
        cells = cells[: len(columns)] + _without_empty_end(cells[len(columns) :])
    if len(cells) != len(columns):
        raise _WrongLength(
            f"the record has {len(cells)} of {len(columns)} values that the first line names: write a "
            "separator for each empty value, and quote values that hold one"
        )
    return {column: cell for column, cell in zip(columns, cells, strict=True) if cell}


def _header_findings(header: Record, contract: TableContract, row_model: type[Validity]) -> Iterator[Finding]:
    known = [column for column in contract.schema if column in row_model.model_fields]
    if not header.cells:
        yield Finding(0, "", f"the file is empty; expected a first line with columns: {', '.join(known)}")
        return
    for column, count in Counter(header.cells).items():
        if column not in known:
            yield Finding(header.line, "", f"unknown column {shown(column)}: {_meant(column, known)}")
        elif count > 1:
            yield Finding(header.line, column, f"stands {count} times in the first line, expected once")
    for column, field in row_model.model_fields.items():
        if field.is_required() and column not in header.cells:
            yield Finding(header.line, column, "is missing in the first line; it is required")


def _meant(found: str, known: list[str]) -> str:
    near = difflib.get_close_matches(found.lower().replace(" ", "_"), known, n=1)
    return f"did you mean {near[0]}?" if near else f"expected are {', '.join(known)}"


def _of_row(line: int, error: ErrorDetails, contract: TableContract) -> Finding:
    column = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "missing":
        return Finding(line, column, f"is empty, but required ({contract.column_description(column)})")
    if not column:
        return Finding(line, "", error["msg"].removeprefix("Value error, "))
    return Finding(line, column, f"found {shown(error['input'])}: {_expected(error)}")


def _expected(error: ErrorDetails) -> str:
    """What pydantic says, in the words of these files."""
    said = error["msg"].removeprefix("Value error, ")
    return said.replace("Input should be", "expected").replace("String should", "it should")


def _holdings(rows: list[tuple[int, Row]], key: tuple[str, ...]) -> Iterator[Holding]:
    for line, row in rows:
        yield Holding(tuple(getattr(row, column) for column in key), line, row.valid_from, row.valid_to)


def _of_overlap(found: Overlap, key: tuple[str, ...]) -> Finding:
    named = [(column, value) for column, value in zip(key, found.later.key, strict=True) if value is not None]
    names = " with ".join(f"{column} {shown(value)}" for column, value in named)
    begins = f"from {shown_hour(found.valid_from)}" if found.valid_from else "from the beginning"
    ends = f"until {shown_hour(found.valid_to)}" if found.valid_to else "without end"
    return Finding(
        found.later.line,
        "",
        f"{names} stands in line {found.earlier.line} too, and both hold {begins} {ends}: end the one with "
        "valid_to where the other begins with valid_from",
    )
