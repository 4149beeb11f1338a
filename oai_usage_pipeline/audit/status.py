"""The size of a table, as each run shows it of the table that it wrote.

Belongs here: figures from the Delta log alone, in a moment. The whole picture is in `health`.
"""

from dataclasses import dataclass

from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import TABLES, TableContract


@dataclass(frozen=True)
class TableStatus:
    """One table: number of rows, Delta version (None: not made yet)."""

    table: str
    rows: int
    version: int | None


def table_statuses(lake: Lake) -> list[TableStatus]:
    """Every table's size."""
    return [table_status(lake, each) for each in TABLES]


def table_status(lake: Lake, contract: TableContract) -> TableStatus:
    """One table's size."""
    try:
        table = lake.existing(contract)
    except NoTable:
        return TableStatus(contract.name, rows=0, version=None)
    return TableStatus(contract.name, table.row_count(), table.version)
