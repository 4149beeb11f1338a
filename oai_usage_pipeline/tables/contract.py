"""What a table's contract is, and the types that all tables share.

Pure data. How tables are written belongs in `lake`; what rows mean, in the modules beside this one.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

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
    time for nothing.
    """

    name: str
    schema: dict[str, pl.DataType]
    partition_by: str | None
    statistics: tuple[str, ...]
    unique: tuple[str, ...]
    version: int
    description: str

    @property
    def day_column(self) -> str:
        """The column that the table is partitioned by; an error of ours for one that isn't."""
        assert self.partition_by is not None, f"{self.name} is not partitioned"
        return self.partition_by

    def column_description(self, column: str) -> str:
        """What a column holds; the same name means the same in every table."""
        return COLUMN_DESCRIPTIONS[column]

    def empty(self) -> pl.DataFrame:
        """A frame of zero rows with this table's columns."""
        return pl.DataFrame(schema=self.schema)
