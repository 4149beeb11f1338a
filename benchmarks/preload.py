"""Filling a hub with a backlog, fast: batches are made once and sent again and again.

Belongs here: getting events into the broker through the SDK's producer. What is in them belongs in
`envelopes`.
"""

from itertools import cycle

from azure.eventhub import EventData, EventDataBatch, EventHubProducerClient

from benchmarks.envelopes import envelopes

HUB = "hub"

POOL_BYTES = 40 * 2**20
"""Bodies of a partition that differ: more than one commit's worth, so that no file holds one twice."""


def preload(connection_string: str, partitions: int, events: int, size: int) -> dict[str, float]:
    """Send at least `events` events of about `size` bytes, as many to each partition.

    Returns how many were sent and the bytes of their bodies, each event counted.
    """
    each = -(-events // partitions)
    sent = [_fill(connection_string, str(n), n, each, size) for n in range(partitions)]
    return {"events": sum(count for count, _ in sent), "bytes": sum(length for _, length in sent)}


def _fill(connection_string: str, partition_id: str, seed: int, events: int, size: int) -> tuple[int, int]:
    client = EventHubProducerClient.from_connection_string(connection_string, eventhub_name=HUB)
    sent = length = 0
    with client:
        pool = _batches(client, partition_id, seed, min(events, POOL_BYTES // size), size)
        for batch, batch_length in cycle(pool):
            client.send_batch(batch)
            sent += len(batch)
            length += batch_length
            if sent >= events:
                break
    return sent, length


def _batches(
    client: EventHubProducerClient, partition_id: str, seed: int, events: int, size: int
) -> list[tuple[EventDataBatch, int]]:
    """Full batches of together `events` events, each with the bytes of its bodies."""
    made: list[tuple[EventDataBatch, int]] = []
    batch, length = client.create_batch(partition_id=partition_id), 0
    for body, _ in zip(envelopes(size, seed), range(events), strict=False):
        try:
            batch.add(EventData(body))
        except ValueError:
            made.append((batch, length))
            batch, length = client.create_batch(partition_id=partition_id), 0
            batch.add(EventData(body))
        length += len(body)
    return [*made, (batch, length)]
