"""What may follow what in a partition: the one rule of gaps, for looking ahead, reading and committing.

Belongs here: which numbers are missing between two events, and how that is told; numbers as ranges. Where
gaps are kept, and who acknowledges them, is for `gaps`.
"""

import polars as pl

from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import SourceGap

Ranges = tuple[tuple[int, int], ...]
"""Spans of sequence numbers (first, last), both inclusive, in their order."""


def missing(last: int, number: int, acknowledged: Ranges = ()) -> Ranges:
    """The numbers between two, both excluded, that nobody has acknowledged as lost.

    Empty when `number` may follow `last`. `acknowledged` may overlap. An older set of them only makes
    more numbers missing: nothing is ever passed over that wasn't acknowledged.
    """
    found = []
    expected = last + 1
    for first, end in acknowledged:
        if first >= number:
            break
        if first > expected:
            found.append((expected, first - 1))
        expected = max(expected, end + 1)
    if expected < number:
        found.append((expected, number - 1))
    return tuple(found)


def runs(numbers: pl.Series) -> Ranges:
    """Numbers in their order, each once, as ranges."""
    number, place = pl.col("number"), pl.col("place").cast(pl.Int64)
    # Of numbers that follow each other, the difference to their place in the row is the same.
    placed = numbers.alias("number").to_frame().with_row_index("place")
    found = placed.group_by(number - place).agg(number.min().alias("first"), number.max().alias("last"))
    return tuple(found.select("first", "last").sort("first").iter_rows())


def gap(hub: Hub, partition_id: str, last: int, number: int, acknowledged: Ranges = ()) -> SourceGap | None:
    """The error that names exactly which events are missing; None when `number` may follow `last`."""
    lost = missing(last, number, acknowledged)
    if not lost:
        return None
    ways = " and ".join(f"`{acknowledging(hub.event_hub, partition_id, first, end)}`" for first, end in lost)
    return SourceGap(
        f"{hub.event_hub} partition {partition_id}: events {_listed(lost)} are missing (hub created "
        f"{hub.incarnation}). Nothing after them is captured in this partition; the others go on. Keep what "
        "the hub still has: raise its retention, and look for the missing events in an Event Hubs Capture "
        f"archive. To go on without them: {ways}",
        lost,
    )


def out_of_order(hub: Hub, partition_id: str, last: int, number: int) -> SourceGap:
    """The error for an event that is older than the one before it, in what should be in order."""
    return SourceGap(
        f"{hub.event_hub} partition {partition_id}: event {number} came after {last} (hub created "
        f"{hub.incarnation}): out of order. Nothing of it is captured; the next run reads the events again"
    )


def acknowledging(event_hub: str, partition_id: str, first: int, last: int) -> str:
    """The command by which a person goes on without these events."""
    return (
        f"oai-usage gaps acknowledge --partition {partition_id} --first {first} --last {last} "
        f"--hub {event_hub} --by WHO --why WHY"
    )


def _listed(ranges: Ranges) -> str:
    return " and ".join(f"{first} to {last}" for first, last in ranges)
