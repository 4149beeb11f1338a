"""Where rows that bronze has lost can be had again: the table's own old files, and the hub.

Belongs here: finding and reading them. What is committed of it is for `remedies`.
"""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl
import pyarrow as pa

from oai_usage_pipeline.capture.contents import PARTITION, PartitionKey
from oai_usage_pipeline.capture.continuity import Ranges, runs
from oai_usage_pipeline.capture.landing import Keep, as_they_came
from oai_usage_pipeline.capture.source import HubEvent, Source
from oai_usage_pipeline.errors import HistoryGone
from oai_usage_pipeline.lake.rewrites import Rewrite
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import EVENT_KEY, OPENAI_EVENTS

MOST_EVENTS = 10_000
MOST_BYTES = 32 * 2**20
"""What is read of the hub for one commit."""

Lost = Iterable[tuple[PartitionKey, Ranges]]


def events_from(
    source: Source, partition_id: str, first: int, last: int
) -> tuple[list[HubEvent], int | None]:
    """The first of the events `first` to `last` that the hub delivers, up to a hole or the limits.

    They follow each other, but may begin later than `first`. With them, the number of the next event, if
    it was delivered although it doesn't follow: what lies between is not in the hub.
    """
    found: list[HubEvent] = []
    behind: int | None = None
    byte_count = 0

    def deliver(events: Sequence[HubEvent]) -> bool:
        nonlocal behind, byte_count
        for each in events:
            expected = found[-1].sequence_number + 1 if found else first
            if each.sequence_number < expected:
                continue  # The SDK delivers some again after a reconnect.
            if each.sequence_number > last or (found and each.sequence_number > expected):
                behind = each.sequence_number
                return False
            found.append(each)
            byte_count += len(each.body)
        is_full = len(found) >= MOST_EVENTS or byte_count >= MOST_BYTES
        return not is_full and (not found or found[-1].sequence_number < last)

    source.read(partition_id, first - 1 if first > 0 else None, deliver)
    return found, behind


def numbered(table: LakeTable, key: PartitionKey, first: int, last: int) -> int:
    """How many rows bronze has of a partition's events `first` to `last`."""
    rows = table.scan().filter(
        pl.col("sequence_number").is_between(first, last),
        *(pl.col(name) == value for name, value in zip(PARTITION, key, strict=True)),
    )
    return int(table.read(rows.select(pl.len())).item())


def kept_by(table: LakeTable, rewrite: Rewrite, lost: Lost) -> list[tuple[PartitionKey, Ranges]]:
    """Which lost numbers are in the files that a commit took out of the table; none if those are gone."""
    ranges = _as_frame(lost)
    if ranges.is_empty():
        return []
    try:
        found = pl.concat(
            [
                _wanted(pl.DataFrame(batch), ranges).select(EVENT_KEY)
                for batch in table.removed(rewrite.version, _where(lost), list(EVENT_KEY))
            ]
            or [ranges.select(*PARTITION, pl.col("first").alias("sequence_number")).clear()]
        ).unique()
    except HistoryGone:
        return []
    return [
        ((str(key[0]), str(key[1]), str(key[2])), runs(rows["sequence_number"]))
        for key, rows in found.sort(EVENT_KEY).group_by(PARTITION, maintain_order=True)
    ]


def put_back(table: LakeTable, version: int, lost: Lost, forget: Keep = as_they_came) -> pa.RecordBatchReader:
    """The rows that a commit took out of the table, of the given numbers, each event once."""
    oldest = pl.CompatLevel.oldest()
    empty = OPENAI_EVENTS.empty()
    ranges = _as_frame(lost)
    removed = table.removed(version, _where(lost))

    def batches() -> Iterator[pa.RecordBatch]:
        seen = empty.select(EVENT_KEY)
        for batch in removed:
            rows = _wanted(pl.DataFrame(batch), ranges).select(*OPENAI_EVENTS.schema)
            rows = (
                rows.cast(pl.Schema(OPENAI_EVENTS.schema))
                .unique(EVENT_KEY, keep="first")
                .join(seen, on=EVENT_KEY, how="anti")
            )
            seen = pl.concat([seen, rows.select(EVENT_KEY)])
            yield from forget(rows).to_arrow(compat_level=oldest).to_batches()

    return pa.RecordBatchReader.from_batches(empty.to_arrow(compat_level=oldest).schema, batches())


def _wanted(rows: pl.DataFrame, ranges: pl.DataFrame) -> pl.DataFrame:
    """The rows whose number lies in one of the ranges of their partition."""
    number = pl.col("sequence_number")
    found = rows.join(ranges, on=PARTITION).filter(number.is_between(pl.col("first"), pl.col("last")))
    return found.drop("first", "last")


def _as_frame(lost: Lost) -> pl.DataFrame:
    rows = [(*key, first, last) for key, ranges in lost for first, last in ranges]
    text = dict.fromkeys(PARTITION, pl.String)
    return pl.DataFrame(rows, schema={**text, "first": pl.Int64, "last": pl.Int64}, orient="row")


def _where(lost: Lost) -> str:
    """The same as a SQL predicate, wide enough: a range for each partition."""
    return " OR ".join(
        f"(partition_id = {_quoted(key[2])} AND sequence_number >= {ranges[0][0]} "
        f"AND sequence_number <= {ranges[-1][1]})"
        for key, ranges in lost
    )


def _quoted(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
