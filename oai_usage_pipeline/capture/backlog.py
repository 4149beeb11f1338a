"""What is still to be captured: positions in bronze against what the hub holds.

Belongs here: the one comparison that capture, sensor and status share. Reading events does not.
"""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from oai_usage_pipeline.capture.commit import gap
from oai_usage_pipeline.capture.source import Hub, PartitionBounds, Source
from oai_usage_pipeline.errors import ConfigurationError, SourceGap
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS

CONCURRENT_QUESTIONS = 8


@dataclass(frozen=True)
class PartitionBacklog:
    """One partition's committed position (None: never captured) beside what the hub holds."""

    hub: Hub
    partition_id: str
    position: int | None
    bounds: PartitionBounds

    @property
    def event_count(self) -> int:
        """Events that the hub holds and bronze doesn't."""
        after = self.bounds.first - 1 if self.position is None else self.position
        return max(0, self.bounds.last - max(after, self.bounds.first - 1))

    @property
    def gap(self) -> SourceGap | None:
        """The events that expired before they were captured, as the error that stops the partition."""
        if self.position is None or self.bounds.first <= self.position + 1:
            return None
        return gap(self.hub, self.partition_id, self.position + 1, self.bounds.first - 1)


def backlog(source: Source, lake: Lake, only: Collection[str] = ()) -> list[PartitionBacklog]:
    """The backlog of each partition, or of those named in `only`, as of now.

    Raises SourceUnavailable, LakeUnavailable, and ConfigurationError for a partition that isn't there.
    """
    hub = source.describe()
    unknown = sorted(set(only) - set(hub.partition_ids))
    if unknown:
        raise ConfigurationError(
            f"{hub.event_hub} has no partition {', '.join(unknown)}: it has {', '.join(hub.partition_ids)}"
        )
    wanted = [each for each in hub.partition_ids if not only or each in only]
    # A question to an Event Hub takes a third of a second, most of it waiting: ask several at once.
    with ThreadPoolExecutor(max_workers=min(len(wanted), CONCURRENT_QUESTIONS)) as ask:
        bounds = list(ask.map(source.bounds, wanted))
    table = lake.table(OPENAI_EVENTS)
    return [
        PartitionBacklog(hub, partition_id, table.position(hub.app_id(partition_id)), held)
        for partition_id, held in zip(wanted, bounds, strict=True)
    ]
