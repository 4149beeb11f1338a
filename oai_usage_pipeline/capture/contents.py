"""What bronze holds of every partition it ever captured, beside what it should hold.

Belongs here: reading the keys of the whole table, and which numbers are missing. Rows that are there more
than once are for `spare_rows`, what is to be done about it for `repair`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from oai_usage_pipeline.capture.continuity import Ranges, missing, runs
from oai_usage_pipeline.capture.gaps import Gap, gaps_of
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import USAGE_EVENTS

PARTITION = ("event_hub", "incarnation", "partition_id")

PartitionKey = tuple[str, str, str]
"""Hub, life of the hub and partition: the columns of PARTITION."""


@dataclass(frozen=True)
class PartitionContents:
    """One partition of one life of a hub, as bronze has it.

    `held` are the numbers in bronze, `spare_count` how many rows repeat another's number. `first` is the
    first number that bronze is known to have held, or to begin with: silver may still tell what bronze has
    lost; None where nothing tells. `recorded` are its gaps on record.
    """

    key: PartitionKey
    position: int | None
    held: Ranges = ()
    spare_count: int = 0
    first: int | None = None
    recorded: tuple[Gap, ...] = ()

    @property
    def partition_id(self) -> str:
        """Its number, as text."""
        return self.key[2]

    @property
    def hub(self) -> Hub:
        """The life of the hub that it is of; which partitions that has is not told."""
        return Hub(self.key[0], self.key[1], ())

    @property
    def app_id(self) -> str:
        """The name of its position."""
        return self.hub.app_id(self.partition_id)

    @property
    def last(self) -> int | None:
        """The last number in bronze."""
        return self.held[-1][1] if self.held else None

    @property
    def missing(self) -> Ranges:
        """Numbers that bronze should hold and doesn't, except for those on record as gaps."""
        ends = [each for each in (self.position, self.last) if each is not None]
        if not ends:
            return ()
        covered = sorted((*self.held, *(each.range for each in self.recorded)))
        return missing((self.first or 0) - 1, max(ends) + 1, tuple(covered))

    def __str__(self) -> str:
        """The partition as people look for it."""
        return f"{self.key[0]} partition {self.partition_id} (hub created {self.key[1]})"


def contents_of(lake: Lake, table: LakeTable, hub: Hub) -> list[PartitionContents]:
    """Every partition that bronze, silver, the record of gaps or the hub know; reads all keys of bronze."""
    held = _held(table)
    firsts = _firsts_in_silver(lake)
    gaps = gaps_of(lake)
    known = {*held, *firsts, *(_key_of(each) for each in gaps)}
    known |= {(hub.event_hub, hub.incarnation, each) for each in hub.partition_ids}
    return [
        PartitionContents(
            key,
            table.position(Hub(key[0], key[1], ()).app_id(key[2])),
            *held.get(key, ((), 0)),
            min(_told(firsts.get(key), _first(held, key), _start(table, key)), default=None),
            tuple(each for each in gaps if _key_of(each) == key),
        )
        for key in sorted(known, key=lambda key: (*key[:2], len(key[2]), key[2]))
    ]


def _told(*numbers: int | None) -> list[int]:
    return [each for each in numbers if each is not None]


def _start(table: LakeTable, key: PartitionKey) -> int | None:
    return table.position(Hub(key[0], key[1], ()).start_id(key[2]))


def _held(table: LakeTable) -> dict[PartitionKey, tuple[Ranges, int]]:
    """The numbers of each partition in bronze, and how many rows are too many."""
    number = pl.col("sequence_number")
    found = table.read(
        table.scan()
        .group_by(PARTITION)
        .agg(
            number.min().alias("first"),
            number.max().alias("last"),
            number.n_unique().cast(pl.Int64).alias("distinct"),
            pl.len().cast(pl.Int64).alias("rows"),
        )
    )
    held = {}
    for *names, first, last, distinct, rows in found.iter_rows():
        key = (names[0], names[1], names[2])
        whole = ((first, last),) if last - first + 1 == distinct else _ranges(table, key)
        held[key] = whole, rows - distinct
    return held


def _ranges(table: LakeTable, key: PartitionKey) -> Ranges:
    """The numbers of one partition as ranges."""
    number = pl.col("sequence_number")
    rows = table.scan().filter(*(pl.col(name) == value for name, value in zip(PARTITION, key, strict=True)))
    numbers = table.read(rows.select(number.unique().sort()))
    return runs(numbers["sequence_number"])


def _firsts_in_silver(lake: Lake) -> dict[PartitionKey, int]:
    try:
        silver = lake.existing(USAGE_EVENTS)
    except NoTable:
        return {}
    found = silver.read(silver.scan().group_by(PARTITION).agg(pl.col("sequence_number").min()))
    return {(a, b, c): first for a, b, c, first in found.iter_rows()}


def _first(held: Mapping[PartitionKey, tuple[Ranges, int]], key: PartitionKey) -> int | None:
    return held[key][0][0][0] if key in held else None


def _key_of(gap: Gap) -> PartitionKey:
    return gap.event_hub, gap.incarnation, gap.partition_id


def spans(ranges: Sequence[tuple[int, int]] | Ranges) -> str:
    """Ranges as people read them."""
    return " and ".join(str(first) if first == last else f"{first} to {last}" for first, last in ranges)


def size(ranges: Iterable[tuple[int, int]]) -> int:
    """How many numbers these are."""
    return sum(last - first + 1 for first, last in ranges)


def within(ranges: Ranges, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The parts of ranges that lie between two numbers, both included."""
    for begin, end in ranges:
        if (low := max(begin, first)) <= (high := min(end, last)):
            yield low, high
