"""Counting a change feed: by day, version and kind, and without holding the feed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from oai_usage_pipeline.lake.change_counts import BATCHES, CHANGE_COUNTS, change_counts
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import TableContract

TABLE = TableContract(
    name="numbers",
    schema={"day": pl.Date(), "number": pl.Int64()},
    partition_by="day",
    statistics=("number",),
    unique=(),
    version=1,
    description="",
)
BATCH_ROWS = 8_192


def rows(day: int, count: int) -> pl.DataFrame:
    return pl.DataFrame({"day": [date(2026, 3, day)] * count, "number": range(count)}, schema=TABLE.schema)


def counts(table_at: Lake, since: int) -> list[tuple[str, int, str, int]]:
    table = table_at.table(TABLE)
    found = table.change_counts(since, table.version, "day")
    assert dict(found.schema) == CHANGE_COUNTS
    return sorted(found.select("day", "version", "kind", "len").iter_rows())


def test_changes_are_counted_by_day_version_and_kind(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.table(TABLE).append(pl.concat([rows(10, 3), rows(11, 2)]), {})
    lake.table(TABLE).replace_day("2026-03-10", rows(10, 4), {})
    assert counts(lake, 0) == [
        ("2026-03-10", 1, "insert", 3),
        ("2026-03-10", 2, "delete", 3),
        ("2026-03-10", 2, "insert", 4),
        ("2026-03-11", 1, "insert", 2),
    ]
    assert counts(lake, 2) == []


def test_more_rows_than_are_counted_together_are_all_counted(tmp_path: Path) -> None:
    many = BATCHES * BATCH_ROWS + 1
    lake = Lake(str(tmp_path))
    lake.table(TABLE).append(rows(10, many), {})
    lake.table(TABLE).replace_day("2026-03-10", rows(10, 1), {})
    assert counts(lake, 1) == [("2026-03-10", 2, "delete", many), ("2026-03-10", 2, "insert", 1)]


def test_a_feed_of_any_length_is_counted_in_the_same_memory() -> None:
    held = []
    before = pa.total_allocated_bytes()

    def feed() -> Iterator[pa.RecordBatch]:
        for version in range(10 * BATCHES):
            held.append(pa.total_allocated_bytes() - before)
            yield batch(version)

    found = change_counts(feed(), "number")
    assert found["len"].sum() == 10 * BATCHES * BATCH_ROWS
    assert max(held) < 3 * BATCHES * batch(0).nbytes


def batch(version: int) -> pa.RecordBatch:
    """Of one day, as delta-rs gives them."""
    columns = {
        "number": pa.array([7] * BATCH_ROWS),
        "_change_type": pa.array(["insert"] * BATCH_ROWS, pa.string_view()),
        "_commit_version": pa.array([version // BATCHES] * BATCH_ROWS, pa.uint64()),
        "_commit_timestamp": pa.array([datetime(2026, 3, 10, tzinfo=UTC)] * BATCH_ROWS, pa.timestamp("ms")),
    }
    return pa.record_batch(columns)
