"""Rows above a partition's position that are not the hub's events: another program wrote them.

Belongs here: comparing them with the hub. Rows that are there more than once are for `spare_rows`, what is to
be done for `repair`.

Taken for captured, such rows would stand in for events that are then never read.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from oai_usage_pipeline.capture.contents import PARTITION, PartitionContents, spans, within
from oai_usage_pipeline.capture.continuity import runs
from oai_usage_pipeline.capture.lost_rows import events_from
from oai_usage_pipeline.capture.source import HubEvent, PartitionBounds, Source
from oai_usage_pipeline.errors import SourceUnavailable
from oai_usage_pipeline.lake.table import LakeTable


def foreign_rows(
    table: LakeTable, source: Source, partition: PartitionContents, bounds: PartitionBounds
) -> str | None:
    """Which rows above the position aren't what the hub has, in words; None if there are none.

    Rows of events that the hub has let go can't be told. Raises SourceUnavailable.
    """
    above = -1 if partition.position is None else partition.position
    last = -1 if partition.last is None else partition.last
    found = [
        *_differing(table, source, partition, max(above + 1, bounds.first), min(last, bounds.last)),
        *within(partition.held, max(above, bounds.last) + 1, last),
    ]
    if not found:
        return None
    return (
        f"{partition} has rows above its position ({'none' if partition.position is None else above}) that "
        f"are not the hub's events of these numbers, by offset and time: {spans(found)}. Another program "
        "wrote them. Delete them (`DELETE`, by key), and capture reads the hub's own"
    )


def _differing(
    table: LakeTable, source: Source, partition: PartitionContents, first: int, last: int
) -> Iterator[tuple[int, int]]:
    following = first
    while following <= last:
        events, behind = events_from(source, partition.partition_id, following, last)
        if not events and behind is None:
            raise SourceUnavailable(
                f"{partition}: the hub has event {following}, but delivers none: run it again"
            )
        if not events:
            return
        yield from _unlike(table, partition, events)
        following = events[-1].sequence_number + 1


def _unlike(
    table: LakeTable, partition: PartitionContents, events: Sequence[HubEvent]
) -> Iterator[tuple[int, int]]:
    """Numbers of rows whose offset or time isn't that of the hub's event."""
    number = pl.col("sequence_number")
    is_it = [pl.col(name) == value for name, value in zip(PARTITION, partition.key, strict=True)]
    rows = table.scan().filter(
        number.is_between(events[0].sequence_number, events[-1].sequence_number), *is_it
    )
    held = table.read(rows.select(number, "offset", pl.col("enqueued_at").dt.timestamp("ms")))
    theirs = pl.DataFrame([each[:3] for each in events], schema=held.schema, orient="row")
    strange = held.join(theirs, on=held.columns, how="anti", nulls_equal=True)
    yield from runs(strange["sequence_number"].unique().sort())
