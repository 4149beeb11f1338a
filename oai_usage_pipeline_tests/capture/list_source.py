"""A source made of lists: fulfils the `Source` contract, with the hub's life in the test's hands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from oai_usage_pipeline.capture.source import Deliver, Hub, HubEvent, PartitionBounds
from oai_usage_pipeline.errors import SourceUnavailable

CREATED_AT = "2026-01-05T08:00:00.000Z"
FIRST_ENQUEUED_MS = 1_767_600_000_000


def event(number: int, body: bytes | None = None) -> HubEvent:
    """An event with that sequence number; one a second."""
    text = b'{"EventTime":"2026-01-05T08:00:00Z","AppSubscriptionKey":"%032d","Request":"{}","Response":"{}"}'
    return HubEvent(
        number, str(number * 100), FIRST_ENQUEUED_MS + number * 1000, text % number if body is None else body
    )


@dataclass
class ListSource:
    """Events by partition; `chunk` is how many are delivered at once."""

    partitions: dict[str, list[HubEvent]]
    incarnation: str = CREATED_AT
    chunk: int = 7
    failing: set[str] = field(default_factory=set)
    replays: int = 0
    closed: bool = False

    def describe(self) -> Hub:
        return Hub("namespace/hub", self.incarnation, tuple(self.partitions))

    def bounds(self, partition_id: str) -> PartitionBounds:
        events = self.partitions[partition_id]
        if not events:
            return _EMPTY
        first, last = events[0], events[-1]
        accepted_at = datetime.fromtimestamp(last.enqueued_ms / 1000, UTC)
        return PartitionBounds(first.sequence_number, last.sequence_number, accepted_at)

    def read(self, partition_id: str, after: int | None, deliver: Deliver) -> None:
        if partition_id in self.failing:
            raise SourceUnavailable(f"partition {partition_id} can't be read")
        for chunk in self._chunks(partition_id, after):
            if self.closed or not deliver(chunk):
                return

    def close(self) -> None:
        self.closed = True

    def _chunks(self, partition_id: str, after: int | None) -> list[Sequence[HubEvent]]:
        held = self.partitions[partition_id]
        wanted = [each for each in held if after is None or each.sequence_number > after]
        chunks = [wanted[start : start + self.chunk] for start in range(0, len(wanted), self.chunk)]
        # Like the SDK after a reconnect: what was delivered last comes once more.
        return [again for chunk in chunks for again in [chunk] * (1 + self.replays)]


_EMPTY = PartitionBounds(first=0, last=-1)
