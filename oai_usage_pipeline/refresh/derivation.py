"""How one table follows from another: the contract that silver, gold, cost and chargeback keep.

Belongs here: what a derivation must offer, and the reference data that it may depend on. When a day
is extended and when rebuilt is decided in `day`; the derivations themselves are the modules beside.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar

import polars as pl

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import TableContract

EVERY_DAY = "all"
"""In place of a day: what holds for all of them."""


class Reference(Protocol):
    """What a derived table depends on besides its source, such as prices."""

    def digest(self, day: str) -> int:
        """A number below 2**63 that changes when what the day depends on changes; 0 for nothing.

        That of EVERY_DAY changes when that of any day does, or when `days` does.
        """
        ...

    def days(self) -> set[str]:
        """Days that the table must have even where its source has no rows."""
        ...


class NoReference:
    """Of tables that follow from their source alone."""

    def digest(self, day: str) -> int:
        """Nothing that could change."""
        del day
        return 0

    def days(self) -> set[str]:
        """Only days that the source has."""
        return set()


ReferenceT = TypeVar("ReferenceT", bound=Reference)


class Derivation(ABC, Generic[ReferenceT]):
    """How one table follows from another; a day is committed once, with the given watermarks.

    A day is the key of the target's partitions, an ISO date; `day_column` is the source's column
    that says to which of them a row belongs. Unless it says otherwise, a day follows from its own rows
    alone, and is made of them as a whole.
    """

    source: TableContract
    target: TableContract
    day_column: str

    @abstractmethod
    def reference(self, lake: Lake, source: LakeTable) -> ReferenceT:
        """The reference data as they are now, read once for all days of a call.

        `source` is what the days will be made of: whatever is said of it must be read from this handle.
        """

    @abstractmethod
    def rebuild(
        self,
        target: LakeTable,
        day: str,
        source: LakeTable,
        marks: Mapping[str, int],
        reference: ReferenceT,
    ) -> None:
        """Replace the day by what follows from all its source rows."""

    def extend(
        self,
        target: LakeTable,
        day: str,
        source: LakeTable,
        new: Iterator[pl.DataFrame],
        marks: Mapping[str, int],
        reference: ReferenceT,
    ) -> None:
        """Add what follows from new source rows of the day, or rebuild it where adding isn't possible."""
        del new
        self.rebuild(target, day, source, marks, reference)

    def also_stale(self, source: LakeTable, day: str, since: int | None) -> set[str]:
        """Other days whose rows change with the day's new ones (all of them new where `since` is None)."""
        del source, day, since
        return set()


def day_of(table: LakeTable, day: str) -> pl.LazyFrame:
    """The rows of one partition."""
    return rows_of(table, table.contract.day_column, day)


def rows_of(table: LakeTable, day_column: str, day: str) -> pl.LazyFrame:
    """The rows whose day is the given one."""
    return table.scan().filter(pl.col(day_column) == pl.lit(day).str.to_date())
