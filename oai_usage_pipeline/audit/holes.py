"""Holes in bronze: sequence numbers that a partition should have and hasn't.

Belongs here: finding them, and telling those that somebody has acknowledged from the rest. Written
apart from `capture.continuity`: a check must not share the code that it checks.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from oai_usage_pipeline.capture.gaps import gaps_of
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS

MOST_SHOWN = 5


@dataclass(frozen=True)
class Holes:
    """What is missing between a partition's first and last event: ranges of numbers, both ends inclusive."""

    unaccounted: tuple[tuple[int, int], ...]
    acknowledged_count: int

    @property
    def count(self) -> int:
        """How many events are missing that nobody has acknowledged."""
        return _size(self.unaccounted)

    def __str__(self) -> str:
        """The ranges that nobody has acknowledged."""
        shown = ", ".join(f"{first} to {last}" for first, last in self.unaccounted[:MOST_SHOWN])
        return shown + (", ..." if len(self.unaccounted) > MOST_SHOWN else "")


def holes_of(lake: Lake, hub: Hub, partition_id: str) -> Holes:
    """The holes of one partition; reads its numbers."""
    found = _holes(lake, hub, partition_id)
    given_up = [each.range for each in gaps_of(lake) if each.is_of(hub, partition_id) and not each.is_open]
    unaccounted = tuple(piece for hole in found for piece in _without(hole, given_up))
    return Holes(unaccounted, _size(found) - _size(unaccounted))


def _holes(lake: Lake, hub: Hub, partition_id: str) -> list[tuple[int, int]]:
    number = pl.col("sequence_number")
    of_partition = (
        (pl.col("event_hub") == hub.event_hub)
        & (pl.col("incarnation") == hub.incarnation)
        & (pl.col("partition_id") == partition_id)
    )
    table = lake.existing(OPENAI_EVENTS)
    table.refuse_cut_files()
    numbers = table.scan().filter(of_partition).select(number.unique().sort())
    jumps = numbers.select((number.shift(1) + 1).alias("first"), (number - 1).alias("last"))
    return list(table.read(jumps.filter(pl.col("first") <= pl.col("last"))).iter_rows())


def _without(hole: tuple[int, int], given_up: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of a range when others are taken out of it."""
    pieces = [hole]
    for first, last in given_up:
        cut = [
            part
            for begin, end in pieces
            for part in ((begin, min(end, first - 1)), (max(begin, last + 1), end))
        ]
        pieces = [(begin, end) for begin, end in cut if begin <= end]
    return pieces


def _size(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)
