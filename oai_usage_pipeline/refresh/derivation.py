"""The two derived tables: which rows they are made of, and how a day of them is extended or rebuilt.

Belongs here: the bridge between the pure functions of `usage` and the tables of the lake. When a
day is extended and when rebuilt is decided in `day`.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import polars as pl
import pyarrow as pa

from oai_usage_pipeline.errors import LakeDamaged
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS, TOKEN_USAGE_HOURLY, USAGE_EVENTS, TableContract
from oai_usage_pipeline.usage.aggregate import aggregate, combine
from oai_usage_pipeline.usage.derive import derive

CHUNK_ROWS = 5_000
"""Bronze rows in memory at once while a day is derived."""


class Derivation(Protocol):
    """How one table follows from another; both ways commit once, with the given watermarks."""

    source: TableContract
    target: TableContract
    day_column: str
    """The source's column that says to which day of the target a row belongs."""

    def extend(
        self, target: LakeTable, day: str, new: Iterator[pl.DataFrame], marks: Mapping[str, int]
    ) -> None:
        """Add what follows from new source rows of the day."""
        ...

    def rebuild(self, target: LakeTable, day: str, source: LakeTable, marks: Mapping[str, int]) -> None:
        """Replace the day by what follows from all its source rows."""
        ...


class UsageEvents:
    """Silver from bronze: rows are derived one by one, so new ones are simply appended."""

    source = OPENAI_EVENTS
    target = USAGE_EVENTS
    day_column = "enqueued_date"

    def extend(
        self, target: LakeTable, day: str, new: Iterator[pl.DataFrame], marks: Mapping[str, int]
    ) -> None:
        """See `Derivation.extend`."""
        del day
        target.append(_derived(new), marks)

    def rebuild(self, target: LakeTable, day: str, source: LakeTable, marks: Mapping[str, int]) -> None:
        """See `Derivation.rebuild`."""
        rows = source.scan().filter(pl.col(self.day_column) == pl.lit(day).str.to_date())
        chunks = rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=False)
        expected = source.rows_by_day().get(day, 0)
        target.replace_day(day, _derived(counted(chunks, expected)), marks)


class TokenUsageHourly:
    """Gold from silver: sums add up, so a day plus the sums of its new rows is the day."""

    source = USAGE_EVENTS
    target = TOKEN_USAGE_HOURLY
    day_column = "usage_date"

    def extend(
        self, target: LakeTable, day: str, new: Iterator[pl.DataFrame], marks: Mapping[str, int]
    ) -> None:
        """See `Derivation.extend`."""
        sums = [aggregate(frame) for frame in new]
        target.replace_day(day, combine(_day_of(target, day).collect(), *sums), marks)

    def rebuild(self, target: LakeTable, day: str, source: LakeTable, marks: Mapping[str, int]) -> None:
        """See `Derivation.rebuild`."""
        rows = source.scan().filter(pl.col(self.day_column) == pl.lit(day).str.to_date())
        target.replace_day(day, aggregate(rows), marks)


USAGE_EVENTS_DERIVATION: Derivation = UsageEvents()
TOKEN_USAGE_HOURLY_DERIVATION: Derivation = TokenUsageHourly()
DERIVATIONS = (USAGE_EVENTS_DERIVATION, TOKEN_USAGE_HOURLY_DERIVATION)
"""In the order in which they follow from bronze."""


def _day_of(table: LakeTable, day: str) -> pl.LazyFrame:
    return table.scan().filter(pl.col(table.contract.partition_by) == pl.lit(day).str.to_date())


def chunks_of(reader: pa.RecordBatchReader, expected: int) -> Iterator[pl.DataFrame]:
    """A reader's rows in chunks, checked to be as many as the log says."""
    frames = (chunk for batch in reader for chunk in pl.DataFrame(batch).iter_slices(CHUNK_ROWS))
    return counted(frames, expected)


def counted(frames: Iterator[pl.DataFrame], expected: int) -> Iterator[pl.DataFrame]:
    """The frames; raises LakeDamaged at their end, before anything is committed, if rows are missing.

    A reader that meets a damaged file may simply end: polars' batches do, with a panic on stderr.
    """
    found = 0
    for frame in frames:
        found += len(frame)
        yield frame
    if found != expected:
        raise LakeDamaged(
            f"{found} rows could be read where the table's log says {expected}: a file is damaged"
        )


def _derived(bronze: Iterator[pl.DataFrame]) -> pa.RecordBatchReader:
    """Silver rows of bronze chunks, derived while Delta writes them."""
    oldest = pl.CompatLevel.oldest()
    schema = USAGE_EVENTS.empty().to_arrow(compat_level=oldest).schema
    batches = (
        batch for frame in bronze for batch in derive(frame).to_arrow(compat_level=oldest).to_batches()
    )
    return pa.RecordBatchReader.from_batches(schema, batches)
