"""Silver from bronze: rows are derived one by one, so new ones are simply appended.

Belongs here: reading bronze in chunks that fit in memory, counted against the log. What a row
means is for `usage`.
"""

from collections.abc import Iterator, Mapping

import polars as pl
import pyarrow as pa

from oai_usage_pipeline.errors import LakeDamaged
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.derivation import Derivation, NoReference, rows_of
from oai_usage_pipeline.tables import OPENAI_EVENTS, USAGE_EVENTS
from oai_usage_pipeline.usage.derive import derive

CHUNK_ROWS = 5_000
"""Bronze rows in memory at once while a day is derived."""


class UsageEvents(Derivation[NoReference]):
    """See the module."""

    source = OPENAI_EVENTS
    target = USAGE_EVENTS
    day_column = "enqueued_date"

    def reference(self, lake: Lake, source: LakeTable) -> NoReference:
        """See `Derivation.reference`."""
        del lake, source
        return NoReference()

    def extend(
        self,
        target: LakeTable,
        day: str,
        source: LakeTable,
        new: Iterator[pl.DataFrame],
        marks: Mapping[str, int],
        reference: NoReference,
    ) -> None:
        """See `Derivation.extend`."""
        del day, source, reference
        target.append(_derived(new), marks)

    def rebuild(
        self, target: LakeTable, day: str, source: LakeTable, marks: Mapping[str, int], reference: NoReference
    ) -> None:
        """See `Derivation.rebuild`."""
        del reference
        rows = rows_of(source, self.day_column, day)
        chunks = rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=False)
        expected = source.rows_by_day().get(day, 0)
        target.replace_day(day, _derived(counted(chunks, expected)), marks)


USAGE_EVENTS_DERIVATION = UsageEvents()


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
