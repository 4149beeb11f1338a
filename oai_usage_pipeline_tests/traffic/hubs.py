"""A hub for one test, and all that it holds, read with the SDK and nothing of the pipeline."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

from azure.eventhub import EventData, EventHubConsumerClient, PartitionContext

from oai_usage_pipeline.traffic.sender import Hub


@dataclass(frozen=True)
class EmptyHub:
    """A hub of four partitions that no other test sends to, and its broker."""

    name: str
    connection_string: str

    @property
    def address(self) -> Hub:
        return Hub(self.name, self.connection_string)


def consumer(hub: EmptyHub) -> EventHubConsumerClient:
    return EventHubConsumerClient.from_connection_string(
        hub.connection_string, "$Default", eventhub_name=hub.name
    )


def held(hub: EmptyHub) -> dict[str, int]:
    """How many events each partition has; asked side by side, as each answer takes a connection."""
    with consumer(hub) as client, ThreadPoolExecutor() as threads:
        found = [*threads.map(client.get_partition_properties, client.get_partition_ids())]
    return {
        partition["id"]: 0 if partition["is_empty"] else partition["last_enqueued_sequence_number"] + 1
        for partition in found
    }


def drain(hub: EmptyHub) -> dict[str, list[EventData]]:
    """All that the hub holds, by partition."""
    counts = {number: count for number, count in held(hub).items() if count}
    with ThreadPoolExecutor() as threads:
        return dict(zip(counts, threads.map(receive, repeat(hub), counts, counts.values()), strict=True))


def receive(hub: EmptyHub, partition_id: str, count: int) -> list[EventData]:
    """The first `count` events of a partition; fails when they don't come."""
    found: list[EventData] = []
    enough = threading.Event()

    def keep(_: PartitionContext, batch: list[EventData]) -> None:
        found.extend(batch)
        if len(found) >= count:
            enough.set()

    options = {"partition_id": partition_id, "starting_position": "-1", "prefetch": 3000}
    with consumer(hub) as client:
        thread = threading.Thread(target=client.receive_batch, args=(keep,), kwargs=options)
        thread.start()
        came = enough.wait(30)
        client.close()
        thread.join()
    assert came, f"{len(found)} of {count} events came"
    return found
