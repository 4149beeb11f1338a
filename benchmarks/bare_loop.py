"""The reference of capture: the SDK's own synchronous loop, which reads bodies and keeps nothing.

Belongs here: the least that a program must do to get events out of a hub. A thread and a
connection for each partition in one process, with the prefetch that the adapter uses.
"""

import threading
import time
from collections.abc import Iterable
from typing import cast

from azure.eventhub import EventData, EventHubConsumerClient, PartitionContext

from benchmarks.preload import HUB
from oai_usage_pipeline.capture.event_hub import (
    CALLBACK_EVENTS,
    FRAME_BYTES,
    LARGEST_PREFETCH,
    PREFETCH_BYTES,
)


def receive(connection_string: str) -> dict[str, float]:
    """Read every partition up to its head; seconds from the call to the end and from the first event."""
    started = time.perf_counter()
    with _client(connection_string) as client:
        partition_ids = client.get_partition_ids()
        last = {each: _last_sequence_number(client, each) for each in partition_ids}
    loops = [_Loop(connection_string, each, last[each], len(last)) for each in partition_ids]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    return {
        "events": sum(loop.events for loop in loops),
        "bytes": sum(loop.bytes for loop in loops),
        "call_seconds": time.perf_counter() - started,
        "stream_seconds": max(loop.last_at for loop in loops) - min(loop.first_at for loop in loops),
    }


class _Loop(threading.Thread):
    """One partition's loop, in the shape of the SDK's samples."""

    def __init__(self, connection_string: str, partition_id: str, last: int, partitions: int) -> None:
        super().__init__(daemon=True)
        self.events = self.bytes = 0
        self.first_at = self.last_at = 0.0
        self._client = _client(connection_string)
        self._partition_id = partition_id
        self._last = last
        self._prefetch = min(LARGEST_PREFETCH, PREFETCH_BYTES // FRAME_BYTES // partitions)

    def run(self) -> None:
        with self._client as client:
            client.receive_batch(
                self._on_events,
                partition_id=self._partition_id,
                starting_position="-1",
                prefetch=self._prefetch,
                max_batch_size=CALLBACK_EVENTS,
            )

    def _on_events(self, _: PartitionContext, events: list[EventData]) -> None:
        self.first_at = self.first_at or time.perf_counter()
        for event in events:
            self.bytes += len(b"".join(cast(Iterable[bytes], event.body)))
        self.events += len(events)
        if events and (events[-1].sequence_number or 0) >= self._last:
            self.last_at = time.perf_counter()
            self._client.close()


def _client(connection_string: str) -> EventHubConsumerClient:
    return EventHubConsumerClient.from_connection_string(connection_string, "$Default", eventhub_name=HUB)


def _last_sequence_number(client: EventHubConsumerClient, partition_id: str) -> int:
    return int(client.get_partition_properties(partition_id)["last_enqueued_sequence_number"])
