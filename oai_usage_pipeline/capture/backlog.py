"""What is still to be captured: positions in bronze against what the hub holds.

Belongs here: the one comparison that capture, sensor and status share. Reading events does not.
"""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from oai_usage_pipeline.capture.continuity import Ranges, gap, missing
from oai_usage_pipeline.capture.gaps import Gap, acknowledged, gaps_of
from oai_usage_pipeline.capture.source import Hub, PartitionBounds, Source
from oai_usage_pipeline.errors import ConfigurationError, NoTable, SourceGap
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS

CONCURRENT_QUESTIONS = 8


@dataclass(frozen=True)
class PartitionBacklog:
    """One partition's committed position (None: never captured) beside what the hub holds.

    `recorded` are the gaps of this partition that are on record. `noted_start` is the number of its first
    event, where that is on record and there is no position; `is_on_record` whether anything of the hub's
    life is.
    """

    hub: Hub
    partition_id: str
    position: int | None
    bounds: PartitionBounds
    recorded: tuple[Gap, ...] = ()
    noted_start: int | None = None
    is_on_record: bool = False

    @cached_property
    def acknowledged(self) -> Ranges:
        """Numbers that may be passed over."""
        return acknowledged(self.recorded)

    @property
    def start(self) -> int:
        """With which number a partition never captured begins: as noted, else the first event held.

        One that was added to a life of the hub that is on record was empty then: all its events count.
        """
        if self.noted_start is not None:
            return self.noted_start
        return 0 if self.is_on_record else self.bounds.first

    @property
    def after(self) -> int:
        """Where reading goes on; a partition never captured begins with its start, or its first gap."""
        if self.position is not None:
            return self.position
        return min([self.start, *(each.range[0] for each in self.recorded)]) - 1

    @property
    def event_count(self) -> int:
        """Events that the hub holds and bronze doesn't."""
        return self.events_up_to(self.bounds.last)

    def events_up_to(self, head: int) -> int:
        """Those of them whose number is not beyond `head`."""
        return sum(last - first + 1 for first, last in self._wanted(head))

    @property
    def target(self) -> int:
        """The number to read up to: the hub's last, unless it is acknowledged as lost."""
        wanted = self._wanted(self.bounds.last)
        return wanted[-1][1] if wanted else self.after

    def _wanted(self, head: int) -> Ranges:
        return missing(max(self.after, self.bounds.first - 1), head + 1, self.acknowledged)

    @cached_property
    def gap(self) -> SourceGap | None:
        """What stops the partition: events expired before they were captured, or the hub lost some."""
        if self.position is not None and self.bounds.last < self.position:
            return SourceGap(
                f"{self.hub.event_hub} partition {self.partition_id}: event {self.position} is committed, "
                f"but the hub's last is {self.bounds.last} (hub created {self.hub.incarnation}). The hub has "
                "lost events or was restored, and would give their numbers to others. Nothing more is "
                "captured in this partition, the others go on, and it can't be acknowledged. Ask Azure's "
                "support what happened to the hub; to go on, make a new hub and send the logs there: its "
                "numbers start anew"
            )
        return gap(self.hub, self.partition_id, self.after, self.bounds.first, self.acknowledged)

    @property
    def has_news(self) -> bool:
        """Whether it is stopped by a gap that isn't on record as it is now."""
        on_record = {each.range for each in self.recorded}
        return self.gap is not None and not on_record.issuperset(self.gap.missing)


def backlog(source: Source, lake: Lake, only: Collection[str] = ()) -> list[PartitionBacklog]:
    """The backlog of each partition, or of those named in `only`, as of now.

    Raises SourceUnavailable, LakeUnavailable, and ConfigurationError for a partition that isn't there. A
    source that couldn't tell what it holds is closed.
    """
    hub = source.describe()
    unknown = sorted(set(only) - set(hub.partition_ids))
    if unknown:
        raise ConfigurationError(
            f"{hub.event_hub} has no partition {', '.join(unknown)}: it has {', '.join(hub.partition_ids)}"
        )
    wanted = [each for each in hub.partition_ids if not only or each in only]
    # Positions first: another capture may commit while the hub answers, and what the hub holds only grows.
    known = _known(lake, hub, wanted)
    recorded = gaps_of(lake)
    # A question to an Event Hub takes a third of a second, most of it waiting: ask several at once.
    with ThreadPoolExecutor(max_workers=min(len(wanted), CONCURRENT_QUESTIONS)) as ask:
        try:
            bounds = list(ask.map(source.bounds, wanted))
        except BaseException:
            # Whatever ends the questions, a signal too, ends those under way; others are not even begun.
            source.close()
            raise
    return [
        PartitionBacklog(
            hub,
            partition_id,
            known.positions[partition_id],
            held,
            tuple(each for each in recorded if each.is_of(hub, partition_id)),
            known.starts.get(partition_id),
            known.is_on_record,
        )
        for partition_id, held in zip(wanted, bounds, strict=True)
    ]


class _Known(NamedTuple):
    """What bronze says of partitions: positions, starts of those without one, whether it knows the hub."""

    positions: dict[str, int | None]
    starts: dict[str, int | None]
    is_on_record: bool


def _known(lake: Lake, hub: Hub, partition_ids: list[str]) -> _Known:
    """Nothing before the table is made, and looking doesn't make it."""
    try:
        table = lake.existing(OPENAI_EVENTS)
    except NoTable:
        return _Known(dict.fromkeys(partition_ids), {}, is_on_record=False)
    positions = {each: table.position(hub.app_id(each)) for each in partition_ids}
    starts = {each: table.position(hub.start_id(each)) for each in partition_ids if positions[each] is None}
    told = (*positions.values(), *starts.values())
    others = (
        table.position(name)
        for each in hub.partition_ids
        if each not in positions
        for name in (hub.app_id(each), hub.start_id(each))
    )
    return _Known(positions, starts, any(each is not None for each in chain(told, others)))
