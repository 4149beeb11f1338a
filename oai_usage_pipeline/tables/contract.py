"""What a table's contract is, and the types that all tables share.

Pure data. How tables are written belongs in `lake`; what rows mean, in the modules beside this one.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from oai_usage_pipeline.tables import history as histories
from oai_usage_pipeline.tables.columns import COLUMN_DESCRIPTIONS

INSTANT = pl.Datetime("us", "UTC")
"""Every instant is UTC with microseconds: naive ones change the Delta protocol, nanoseconds lose digits."""

MONEY = pl.Decimal(38, 12)
"""Money is decimal, never float: a token of the cheapest models costs some 0.00000002 units of currency."""

FIRST_DATE = date(2023, 1, 1)
"""No usage is older: Azure OpenAI became generally available in January 2023."""


@dataclass(frozen=True)
class TableContract:
    """One Delta table: its columns in order, its partition column and the columns with statistics.

    `partition_by` is None for small tables that are replaced as a whole. `statistics` leaves out
    payloads and keys: Delta writes each column's minimum and maximum into its log in clear. `unique`
    names columns whose values hardly repeat: a dictionary of them would cost a quarter of the writing
    time for nothing. `history` tells of each version what it changed, the newest last.
    """

    name: str
    schema: dict[str, pl.DataType]
    partition_by: str | None
    statistics: tuple[str, ...]
    unique: tuple[str, ...]
    version: int
    description: str
    history: tuple[histories.Change, ...] = ()

    @property
    def day_column(self) -> str:
        """The column that the table is partitioned by; an error of ours for one that isn't."""
        assert self.partition_by is not None, f"{self.name} is not partitioned"
        return self.partition_by

    @property
    def rebuilt_since(self) -> int:
        """The version since which rows are made as they are now: those of older ones must be rebuilt."""
        return histories.rebuilt_since(self.version, self.history)

    @property
    def older_versions(self) -> list[int]:
        """Versions before today's that can still be read as they were, oldest first."""
        return [change.version for change in self.history if change.version < self.version]

    def schema_at(self, version: int) -> dict[str, pl.DataType]:
        """The columns of an older version."""
        return histories.schema_at(self.schema, self.history, version)

    def read_as(self, rows: pl.LazyFrame, version: int) -> pl.LazyFrame:
        """Rows of this table with the columns that an older version had, for what was made for that one."""
        return histories.read_as(rows, self.schema, self.history, version)

    def view(self, version: int) -> str:
        """`read_as` as an SQL query, for readers that speak SQL."""
        return histories.view(self.name, self.schema, self.history, version)

    def column_description(self, column: str) -> str:
        """What a column holds; the same name means the same in every table."""
        return COLUMN_DESCRIPTIONS[column]

    def empty(self) -> pl.DataFrame:
        """A frame of zero rows with this table's columns."""
        return pl.DataFrame(schema=self.schema)
