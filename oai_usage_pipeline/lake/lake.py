"""The lake: where the tables lie, and how a table is opened.

Belongs here: location and storage options. What is in a table, and what is done with it, does not.
"""

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from oai_usage_pipeline.errors import LakeUnavailable, NoTable
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import TableContract


@dataclass(frozen=True)
class Lake:
    """A folder or `abfss://` URI with the tables directly below it."""

    location: str
    storage_options: dict[str, str] = field(default_factory=dict, repr=False)

    def table(self, contract: TableContract) -> LakeTable:
        """Open the newest version of a table, making it to its contract if it isn't there.

        Raises LakeUnavailable when the location can't be read or written.
        """
        if "://" not in self.location:
            self._make_folder()
        return LakeTable(contract, self.uri(contract), self.storage_options)

    def existing(self, contract: TableContract) -> LakeTable:
        """Open the newest version of a table without ever making it; raises NoTable if it isn't there."""
        return LakeTable(contract, self.uri(contract), self.storage_options, create=False)

    def rows(self, contract: TableContract) -> pl.DataFrame:
        """A table's rows, none where it hasn't been made; makes nothing."""
        try:
            return self.existing(contract).scan().select(*contract.schema).collect()
        except NoTable:
            return contract.empty()

    def grown(self, contract: TableContract) -> LakeTable:
        """Open an existing table, with the columns that its contract gained; raises NoTable without one."""
        table = self.existing(contract)
        table.grow()
        return table

    def uri(self, contract: TableContract) -> str:
        """Where a table lies."""
        return f"{self.location.rstrip('/')}/{contract.name}"

    def _make_folder(self) -> None:
        try:
            Path(self.location).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LakeUnavailable(
                f"The lake folder {self.location} can't be made: {error.strerror}. "
                "Set OAI_USAGE_LAKE_URI to a folder that may be written"
            ) from None
