"""How many rows of a table's change feed there are by day, version and kind of change.

Belongs here: counting the feed while it is read, since a new contract replaces all rows there are. Reading it
is for `table`; what the changes mean, for whoever follows a table.
"""

from collections.abc import Iterator
from itertools import islice

import polars as pl
import pyarrow as pa

CHANGE_COUNTS = {
    "day": pl.String(),
    "version": pl.Int64(),
    "kind": pl.String(),
    "committed_ms": pl.Int64(),
    "len": pl.Int64(),
}
"""`day` is a value of the counted column as text, `kind` is 'insert' or 'delete', `committed_ms` are
milliseconds since 1970."""

BATCHES = 32
"""Counted together: delta-rs gives some 8,000 rows at once, too few to be worth a count."""

_KEYS = ["day", "version", "kind", "committed_ms"]


def change_counts(changes: Iterator[pa.RecordBatch], column: str) -> pl.DataFrame:
    """CHANGE_COUNTS of a change feed by a column of its rows; no more than BATCHES of it are held at once."""
    counts = pl.DataFrame(schema=CHANGE_COUNTS)
    while batches := list(islice(changes, BATCHES)):
        more = _counts(pl.DataFrame(pa.Table.from_batches(batches)), column)
        counts = pl.concat([counts, more]).group_by(_KEYS).agg(pl.col("len").sum())
    return counts


def _counts(changes: pl.DataFrame, column: str) -> pl.DataFrame:
    counted = changes.group_by(column, "_commit_version", "_change_type", "_commit_timestamp").len()
    return counted.select(
        pl.col(column).cast(pl.String).alias("day"),
        pl.col("_commit_version").cast(pl.Int64).alias("version"),
        pl.col("_change_type").cast(pl.String).alias("kind"),
        pl.col("_commit_timestamp").dt.timestamp("ms").alias("committed_ms"),
        pl.col("len").cast(pl.Int64),
    )
