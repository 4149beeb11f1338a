"""A reader starts where it says and gets every event once, in order."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.eventhub import EventData, EventHubConsumerClient
from azure.eventhub._utils import get_last_enqueued_event_properties
from azure.eventhub.aio import EventHubConsumerClient as AsyncConsumer
from azure.eventhub.exceptions import EventHubError

from oai_usage_pipeline_tests.broker.raw_client import put
from oai_usage_pipeline_tests.running_broker import RunningBroker, producer, receive, send


def numbers(events: list[EventData]) -> list[int]:
    return [event.sequence_number for event in events if event.sequence_number is not None]


def read_all_at_once(broker: RunningBroker, hub: str, *positions: tuple[Any, bool]) -> list[list[int]]:
    """Read from several starting positions, each to the end of the partition."""

    def read(position: tuple[Any, bool]) -> list[int]:
        start, inclusive = position
        return numbers(
            receive(broker, hub=hub, starting_position=start, starting_position_inclusive=inclusive)
        )

    with ThreadPoolExecutor(len(positions)) as pool:
        return list(pool.map(read, positions))


# The log's own tests go through all positions; these show that the client's are understood.
def test_reading_starts_at_a_sequence_number(broker: RunningBroker, hub: str) -> None:
    put(broker.port, hub, ["0", "1", "2", "3"])
    found = read_all_at_once(broker, hub, ("-1", False), (0, True), (0, False), (3, False), (4, True))
    assert found == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3], [], []]


def test_reading_starts_at_an_offset_or_a_time(broker: RunningBroker, hub: str) -> None:
    put(broker.port, hub, ["0", "1", "2", "3"])
    events = receive(broker, 4, hub=hub)
    offset, time = events[1].offset, events[1].enqueued_time
    assert time is not None
    later = datetime.now(UTC) + timedelta(hours=1)
    found = read_all_at_once(
        broker, hub, (offset, True), (offset, False), (time, True), (time, False), (later, True)
    )
    times = [event.enqueued_time for event in events]
    assert times == sorted(times, key=lambda at: at or later)
    assert found == [
        [1, 2, 3],
        [2, 3],
        [number for number in range(4) if (times[number] or later) >= time],
        [number for number in range(4) if (times[number] or later) > time],
        [],
    ]


def test_latest_means_what_is_sent_from_now_on(broker: RunningBroker, hub: str) -> None:
    put(broker.port, hub, ["before"])
    received: list[str] = []
    attached, done = threading.Event(), threading.Event()
    client = EventHubConsumerClient.from_connection_string(
        broker.connection_string, "$Default", eventhub_name=hub
    )

    def on_batch(_: object, events: list[EventData]) -> None:
        received.extend(event.body_as_str() for event in events)
        attached.set()
        if events:
            done.set()

    with client:
        reading = threading.Thread(
            target=client.receive_batch,
            args=(on_batch,),
            kwargs={"partition_id": "0", "starting_position": "@latest", "max_wait_time": 0.5},
        )
        reading.start()
        # The first empty batch comes from a reader that is attached.
        assert attached.wait(20)
        put(broker.port, hub, ["after"])
        assert done.wait(20)
    reading.join()
    assert received == ["after"]


def test_a_position_that_the_partition_never_reached_is_refused(broker: RunningBroker, hub: str) -> None:
    positions = (3, "1000000", "not-an-offset")
    with ThreadPoolExecutor(len(positions)) as pool:
        reading = [pool.submit(receive, broker, 1, hub=hub, starting_position=start) for start in positions]
    for attempt in reading:
        with pytest.raises(EventHubError, match="is invalid"):
            attempt.result()


def test_many_events_come_in_order_through_small_credit(broker: RunningBroker, hub: str) -> None:
    put(broker.port, hub, [f"{number}" for number in range(5000)])
    events = receive(broker, 5000, hub=hub, prefetch=7)
    assert numbers(events) == list(range(5000))
    assert [event.body_as_str() for event in events] == [f"{number}" for number in range(5000)]


async def test_the_async_client_reads_all_partitions(broker: RunningBroker, hub: str) -> None:
    for partition_id in ("0", "1"):
        send(broker, [f"{partition_id}-{number}" for number in range(10)], hub=hub, partition_id=partition_id)
    bodies: list[str] = []
    client = AsyncConsumer.from_connection_string(
        broker.connection_string, "$Default", eventhub_name=hub, load_balancing_interval=0.5
    )

    async def on_batch(_: object, events: list[EventData]) -> None:
        bodies.extend(event.body_as_str() for event in events)
        if len(bodies) == 20:
            await client.close()

    async with client:
        await client.receive_batch(on_batch, starting_position="-1")
    assert sorted(bodies) == sorted(f"{p}-{number}" for p in "01" for number in range(10))


def test_consumer_groups_and_hubs_read_independently(
    broker: RunningBroker, hub: str, unused_hubs: Any
) -> None:
    other = next(unused_hubs)
    put(broker.port, hub, ["here"])
    put(broker.port, other, ["there"])
    cases = [(hub, "$Default"), (hub, "finops"), (other, "finops")]
    with ThreadPoolExecutor(len(cases)) as pool:
        reading = [pool.submit(receive, broker, 1, hub=name, consumer_group=group) for name, group in cases]
    assert [[e.body_as_str() for e in read.result()] for read in reading] == [["here"], ["here"], ["there"]]


def test_runtime_metrics_tell_where_the_partition_ends(broker: RunningBroker, hub: str) -> None:
    put(broker.port, hub, ["0", "1", "2"])
    first = receive(broker, 3, hub=hub, track_last_enqueued_event_properties=True)[0]
    with producer(broker, hub) as client:
        properties = client.get_partition_properties("0")
    metrics = get_last_enqueued_event_properties(first)
    assert metrics is not None
    assert metrics["sequence_number"] == 2
    assert metrics["offset"] == properties["last_enqueued_offset"]
    assert metrics["enqueued_time"] == properties["last_enqueued_time_utc"]
    assert metrics["retrieval_time"] >= metrics["enqueued_time"]
