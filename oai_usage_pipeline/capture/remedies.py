"""The ways in which bronze is set right: each one a commit, or several of which each leaves it better.

Belongs here: what each remedy does and how it says so. Which of them are needed is decided in `repair`.

Each commit is fenced: it is made with the handle that it was decided on, and names the positions of its
partitions, so Delta refuses it if a capture has moved any of them since. Where a position was lost, the rows
that are added bring one with them, for the last row that is there then: so a capture that began before
that is refused too, and looks again. What adds no rows can't name a lost position; so every remedy moves a
counter of repairs as well, and of two repairs at once one is refused. Nothing is remembered: after a crash,
whatever is still wrong is found again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import polars as pl

from oai_usage_pipeline.capture.contents import PARTITION, PartitionContents, PartitionKey, size, spans
from oai_usage_pipeline.capture.continuity import Ranges
from oai_usage_pipeline.capture.gap_notes import first_held
from oai_usage_pipeline.capture.gaps import record_gap
from oai_usage_pipeline.capture.landing import Keep, as_they_came, bronze_frame, land
from oai_usage_pipeline.capture.lost_rows import events_from, numbered, put_back
from oai_usage_pipeline.capture.peppers import check_pepper
from oai_usage_pipeline.capture.rotations import Rotations
from oai_usage_pipeline.capture.source import Hub, HubEvent, PartitionBounds, Source
from oai_usage_pipeline.capture.spare_rows import without_spares
from oai_usage_pipeline.errors import PositionConflict, SourceUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.rewrites import Rewrite
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

_COUNTER = "repair"
"""The application transaction of bronze that every remedy moves."""

TAKING_OUT = "payloads"
"""The one that whoever takes texts out of bronze moves: no remedy that began before brings them back."""

Lost = tuple[tuple[PartitionKey, Ranges], ...]
"""Numbers by partition."""


@dataclass(frozen=True)
class Site:
    """Bronze as one handle sees it, and what else a remedy works with."""

    lake: Lake
    source: Source
    fingerprint: KeyFingerprint
    clock: Callable[[], datetime]
    hub: Hub
    table: LakeTable
    contents: Mapping[PartitionKey, PartitionContents]
    bounds: Mapping[PartitionKey, PartitionBounds]
    keep: Keep = as_they_came
    forget: Callable[[], Keep] = lambda: as_they_came

    def fence(self, keys: Iterable[PartitionKey] = ()) -> dict[str, int]:
        """The positions of partitions as they are, to be committed again, and the counter of repairs."""
        known = (self.contents[key] for key in keys)
        return _counted(self.table) | {
            each.app_id: each.position for each in known if each.position is not None
        }


class Remedy(Protocol):
    """One thing to do; its text says what and why."""

    def apply(self, site: Site) -> None:
        """Do it; raises PositionConflict when the site has changed: look again."""
        ...


@dataclass(frozen=True)
class ForgetFiles:
    """See `__str__`."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        """What is done."""
        return (
            f"Take {len(self.names)} data files that are gone or cut out of the log ({self.names[0]}"
            f"{', ...' if len(self.names) > 1 else ''}); then see which events they held"
        )

    def apply(self, site: Site) -> None:
        """One commit."""
        site.table.forget_gone_files(site.fence())


@dataclass(frozen=True)
class DropSpares:
    """See `__str__`. `day` is an ISO date, `count` how many rows are too many."""

    day: str
    count: int

    def __str__(self) -> str:
        """What is done."""
        return f"Drop {self.count:,} rows of {self.day} that repeat another of their event word for word"

    def apply(self, site: Site) -> None:
        """One commit."""
        site.table.replace_day(self.day, without_spares(site.table, self.day), site.fence(site.contents))


@dataclass(frozen=True)
class PutBack:
    """See `__str__`."""

    rewrite: Rewrite
    lost: Lost

    def __str__(self) -> str:
        """What is done."""
        return f"Put back what {self.rewrite} took away, from the table's old files: {_listed(self.lost)}"

    def apply(self, site: Site) -> None:
        """One commit."""
        rows = put_back(site.table, self.rewrite.version, self.lost, site.forget())
        lost_positions = {
            site.contents[key].app_id: _position_with(site.contents[key], ranges[-1][1])
            for key, ranges in self.lost
            if site.contents[key].position is None
        }
        site.table.append(rows, site.fence(key for key, _ in self.lost) | lost_positions)


@dataclass(frozen=True)
class RecordGaps:
    """See `__str__`."""

    lost: Lost

    def __str__(self) -> str:
        """What is done."""
        return (
            f"Record as missing what can't be had any more: {_listed(self.lost)}. Somebody should "
            "acknowledge that (`oai-usage gaps`)"
        )

    def apply(self, site: Site) -> None:
        """A commit to `capture_gaps` for each range."""
        for key, ranges in self.lost:
            for first, last in ranges:
                _record(site, key, first, last)


@dataclass(frozen=True)
class Reland:
    """See `__str__`."""

    lost: Lost

    def __str__(self) -> str:
        """What is done."""
        return f"Land again from the Event Hub: {_listed(self.lost)}"

    def apply(self, site: Site) -> None:
        """A commit for each batch."""
        for key, ranges in self.lost:
            for first, last in ranges:
                _reland(site, site.contents[key], first, last)


@dataclass(frozen=True)
class MovePositions:
    """See `__str__`. Each partition with the position it has and the one it gets."""

    moves: tuple[tuple[PartitionKey, int | None, int | None], ...]

    def __str__(self) -> str:
        """What is done."""
        listed = "; ".join(
            f"{key[0]} partition {key[2]} from {'none' if before is None else before} to {after}"
            for key, before, after in self.moves
        )
        return f"Set positions to the last event that is there, so that capture goes on behind it: {listed}"

    def apply(self, site: Site) -> None:
        """One commit."""
        positions = {site.contents[key].app_id: after for key, _, after in self.moves if after is not None}
        site.table.append(OPENAI_EVENTS.empty(), site.fence() | positions)


@dataclass(frozen=True)
class SetLogAside:
    """See `__str__`."""

    damage: tuple[str, ...]

    def __str__(self) -> str:
        """What is done."""
        return (
            "Write a checkpoint of the table as it is now, so that nobody reads the damaged log entries any "
            f"more: {'; '.join(self.damage)}"
        )

    def apply(self, site: Site) -> None:
        """No commit: a checkpoint of the version that was looked at."""
        site.table.checkpoint()


def _counted(table: LakeTable) -> dict[str, int]:
    return {_COUNTER: (table.position(_COUNTER) or 0) + 1, TAKING_OUT: table.position(TAKING_OUT) or 0}


def _position_with(partition: PartitionContents, last: int) -> int:
    """A partition's position once rows up to `last` are added: as it was, if it has one and rows."""
    if partition.position is not None and partition.held:
        return partition.position
    return max(last, -1 if partition.last is None else partition.last)


def _listed(lost: Lost) -> str:
    return "; ".join(
        f"{size(ranges):,} events of {key[0]} partition {key[2]} ({spans(ranges)})" for key, ranges in lost
    )


def _reland(site: Site, partition: PartitionContents, first: int, last: int) -> None:
    """Land events again; the numbers that the hub doesn't deliver are recorded as a gap.

    Of a partition that has lost all, or its position, only a first batch, with a position. Capture goes on
    from there; what then still lacks is found when everything is looked at again.
    """
    following = first
    while following <= last:
        events, behind = events_from(site.source, partition.partition_id, following, last)
        if not events and behind is None:
            raise SourceUnavailable(
                f"{partition}: the hub has event {following}, but delivers none: run it again"
            )
        begin = events[0].sequence_number if events else last + 1
        if begin > following:
            _record(site, partition.key, following, begin - 1)
        if not events:
            return
        _land(site, partition, events)
        if not partition.held or partition.position is None:
            return
        following = events[-1].sequence_number + 1


def _land(site: Site, partition: PartitionContents, events: Sequence[HubEvent]) -> None:
    """Events that follow each other, none of which may be there, in one commit with the position."""
    first, last = events[0].sequence_number, events[-1].sequence_number
    check_pepper(site.lake, site.fingerprint, site.clock)
    table = site.lake.table(OPENAI_EVENTS)
    has_moved = table.position(partition.app_id) != partition.position
    if has_moved or numbered(table, partition.key, first, last):
        raise PositionConflict(f"{partition}: another program has changed it meanwhile: look again")
    rows = [land(partition.partition_id, each, site.fingerprint) for each in events]
    Rotations(site.lake, site.fingerprint, site.clock).land()
    kept = bronze_frame(partition.hub, rows, site.keep)
    table.append(kept, _counted(table) | {partition.app_id: _position_with(partition, last)})


def _record(site: Site, key: PartitionKey, first: int, last: int) -> None:
    partition = site.contents[key]
    before_at = _enqueued_at(site.table, key, last + 1)
    if before_at is None and key in site.bounds:
        held = first_held(site.source, partition.partition_id, last)
        before_at = None if held is None else datetime.fromtimestamp(held.enqueued_ms / 1000, UTC)
    after_at = _enqueued_at(site.table, key, first - 1)
    record_gap(
        site.lake, partition.hub, partition.partition_id, first, last, after_at, before_at, site.clock()
    )


def _enqueued_at(table: LakeTable, key: PartitionKey, number: int) -> datetime | None:
    is_it = [pl.col(name) == value for name, value in zip(PARTITION, key, strict=True)]
    found = table.read(
        table.scan().filter(pl.col("sequence_number") == number, *is_it).select("enqueued_at").head(1)
    )
    return found.item() if len(found) else None
