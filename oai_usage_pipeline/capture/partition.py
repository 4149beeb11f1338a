"""One partition's stream of events, made fit for committing: in order, once, without a hole.

Belongs here: what is dropped, what stops the partition and where reading ends. Committing does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from oai_usage_pipeline.capture.continuity import Ranges, gap
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.errors import SourceGap


@dataclass
class PartitionStream:
    """Follows one partition from its position to the `target` number.

    `last` is the number up to which events were taken; for a partition never captured, the one before
    the first event that the hub held when the run began. `duplicate_count` counts what the source sent
    again, as the SDK does after a reconnect. `acknowledged` are numbers that may be passed over.
    """

    hub: Hub
    partition_id: str
    last: int
    target: int
    acknowledged: Ranges = ()
    duplicate_count: int = 0
    gap: SourceGap | None = field(default=None)

    @property
    def is_done(self) -> bool:
        """Whether nothing more is wanted: the target is reached, or a gap ended the partition."""
        return self.gap is not None or self.last >= self.target

    def take(self, events: Sequence[HubEvent]) -> list[HubEvent]:
        """The events that continue the stream, up to the target; notes a gap instead of raising.

        What came before a gap is still good and is returned.
        """
        taken = []
        last = self.last
        for event in events:
            number = event.sequence_number
            if number != last + 1:
                if number <= last:
                    self.duplicate_count += 1
                    continue
                self.gap = gap(self.hub, self.partition_id, last, number, self.acknowledged)
                if self.gap is not None:
                    break
            if number > self.target:
                break
            taken.append(event)
            last = number
        self.last = last
        return taken
