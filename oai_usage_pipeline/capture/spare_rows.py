"""Rows that are in bronze more than once: which of them are copies, and a day without them.

Belongs here: comparing and dropping. When that is done is for `repair`.
"""

from collections.abc import Iterator
from datetime import date

import polars as pl
import pyarrow as pa

from oai_usage_pipeline.errors import LakeDamaged
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import EVENT_KEY, OPENAI_EVENTS

CHUNK_ROWS = 5_000
MOST_SHOWN = 3


def spare_days(table: LakeTable) -> dict[str, int]:
    """Rows too many by day (ISO date), of events whose rows are all the same, word for word."""
    doubled = _doubled(table).filter(pl.col("versions") == 1)
    days = doubled.group_by("day").agg((pl.col("rows") - 1).sum()).sort("day")
    return dict(days.iter_rows())


def contradicting(table: LakeTable) -> list[str]:
    """Events that have several rows which differ, in words: none of them can be dropped without a person."""
    differing = _doubled(table).filter(pl.col("versions") > 1).sort(EVENT_KEY)
    shown = [
        f"{hub} partition {partition_id}: event {number} has {rows} rows that differ"
        for hub, partition_id, number, rows in differing.select(
            "event_hub", "partition_id", "sequence_number", "rows"
        )
        .head(MOST_SHOWN)
        .iter_rows()
    ]
    more = len(differing) - len(shown)
    return [*shown, *([f"and {more:,} more events"] if more else [])]


def without_spares(table: LakeTable, day: str) -> pa.RecordBatchReader:
    """A day's rows, those that are there several times once; read in chunks.

    Raises LakeDamaged at the end, before anything is committed, when rows can't be read.
    """
    oldest = pl.CompatLevel.oldest()
    schema = OPENAI_EVENTS.empty().to_arrow(compat_level=oldest).schema
    batches = (
        batch for frame in _once(table, day) for batch in frame.to_arrow(compat_level=oldest).to_batches()
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def _once(table: LakeTable, day: str) -> Iterator[pl.DataFrame]:
    doubled = _doubled(table).filter((pl.col("day") == day) & (pl.col("versions") == 1)).select(EVENT_KEY)
    seen = doubled.clear()
    found = 0
    rows = (
        table.scan().filter(pl.col("enqueued_date") == date.fromisoformat(day)).select(*OPENAI_EVENTS.schema)
    )
    for chunk in rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=False):
        found += len(chunk)
        copies = chunk.join(doubled, on=EVENT_KEY, how="semi").unique(EVENT_KEY, keep="first")
        first = copies.join(seen, on=EVENT_KEY, how="anti")
        seen = pl.concat([seen, first.select(EVENT_KEY)])
        yield pl.concat([chunk.join(doubled, on=EVENT_KEY, how="anti"), first])
    # A reader that meets a damaged file may simply end.
    expected = table.rows_by_day().get(day, 0)
    if found != expected:
        raise LakeDamaged(
            f"{found} rows could be read of {day} where the table's log says {expected}: a file is damaged"
        )


def _doubled(table: LakeTable) -> pl.DataFrame:
    """Events with several rows: EVENT_KEY, `day`, `rows`, and how many `versions` of them differ."""
    keys = table.read(table.scan().group_by(EVENT_KEY).len().filter(pl.col("len") > 1).select(EVENT_KEY))
    rows = table.scan()
    if not keys.is_empty():
        low, high = keys["sequence_number"].min(), keys["sequence_number"].max()
        rows = rows.filter(pl.col("sequence_number").is_between(low, high))
    content = pl.struct(pl.exclude(EVENT_KEY))
    return table.read(
        rows.join(keys.lazy(), on=EVENT_KEY, how="semi")
        .group_by(EVENT_KEY)
        .agg(
            pl.col("enqueued_date").min().cast(pl.String).alias("day"),
            pl.len().cast(pl.Int64).alias("rows"),
            # Two hashes of 64 bits: rows that differ are taken for the same once in 2**128.
            pl.struct(content.hash(1), content.hash(2).alias("other")).n_unique().alias("versions"),
        )
    )
