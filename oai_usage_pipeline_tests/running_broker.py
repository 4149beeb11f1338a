"""A real broker for tests, and short ways to talk to it with the real SDK.

Belongs here: what the tests of several folders share about a running broker. No fakes.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient

from oai_usage_pipeline.broker.process import BrokerProcess as RunningBroker

__all__ = ["RunningBroker", "producer", "receive", "send"]

# Seconds without an event after which a reader has seen everything; never waited for when a count is given.
QUIET = 1.0
# Seconds after which events that were counted on are given up.
PATIENCE = 30.0


@contextmanager
def producer(broker: RunningBroker, hub: str = "hub", **options: Any) -> Iterator[EventHubProducerClient]:
    client = EventHubProducerClient.from_connection_string(
        broker.connection_string, eventhub_name=hub, **options
    )
    with client:
        yield client


def send(
    broker: RunningBroker,
    bodies: Sequence[str | bytes],
    *,
    hub: str = "hub",
    partition_id: str | None = None,
    partition_key: str | None = None,
) -> None:
    """Send events in as many batches as they need."""
    with producer(broker, hub) as client:
        batch = client.create_batch(partition_id=partition_id, partition_key=partition_key)
        for body in bodies:
            try:
                batch.add(EventData(body))
            except ValueError:
                client.send_batch(batch)
                batch = client.create_batch(partition_id=partition_id, partition_key=partition_key)
                batch.add(EventData(body))
        client.send_batch(batch)


def receive(
    broker: RunningBroker,
    count: int | None = None,
    *,
    hub: str = "hub",
    partition_id: str = "0",
    starting_position: Any = "-1",
    consumer_group: str = "$Default",
    **options: Any,
) -> list[EventData]:
    """Receive `count` events of a partition, or all there are; fewer when they do not come in time."""
    received: list[EventData] = []
    errors: list[Exception] = []
    client = EventHubConsumerClient.from_connection_string(
        broker.connection_string, consumer_group, eventhub_name=hub, retry_total=0
    )

    def on_batch(_: object, events: list[EventData]) -> None:
        received.extend(events)
        if not events or (count is not None and len(received) >= count):
            client.close()

    def on_error(_: object, error: Exception) -> None:
        errors.append(error)
        client.close()

    # Without a wait time the client hands over what it has at once, but never says that nothing comes.
    patience = threading.Timer(PATIENCE, client.close)
    patience.start()
    with client:
        client.receive_batch(
            on_batch,
            on_error=on_error,
            partition_id=partition_id,
            starting_position=starting_position,
            max_wait_time=QUIET if count is None else None,
            **options,
        )
    patience.cancel()
    patience.join()
    if errors:
        raise errors[0]
    return received
