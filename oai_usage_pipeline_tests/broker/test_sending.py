"""What arrives in a hub is what was sent, wherever it was sent to."""

from typing import Any

import pytest
from azure.eventhub import EventData, EventDataBatch
from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver
from azure.eventhub.aio import EventHubProducerClient as AsyncProducer
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageHeader, AmqpMessageProperties
from azure.eventhub.exceptions import ConnectError, EventDataSendError, EventHubError

from oai_usage_pipeline_tests.running_broker import RunningBroker, producer, receive, send


def joined(event: EventData) -> bytes:
    parts: Any = event.body
    return b"".join(parts)


def test_a_single_event_and_a_batch_arrive_in_order(broker: RunningBroker, hub: str) -> None:
    with producer(broker, hub) as client:
        client.send_event(EventData("single"), partition_id="1")
        client.send_batch([EventData(f"batch {number}") for number in range(3)], partition_id="1")
    events = receive(broker, 4, hub=hub, partition_id="1")
    assert [event.body_as_str() for event in events] == ["single", "batch 0", "batch 1", "batch 2"]
    assert [event.sequence_number for event in events] == [0, 1, 2, 3]


async def test_the_async_client_sends_too(broker: RunningBroker, hub: str) -> None:
    async with AsyncProducer.from_connection_string(broker.connection_string, eventhub_name=hub) as client:
        batch = await client.create_batch(partition_id="0")
        batch.add(EventData(b"from aio"))
        await client.send_batch(batch)
        properties = await client.get_partition_properties("0")
    assert properties["last_enqueued_sequence_number"] == 0
    assert [event.body_as_str() for event in receive(broker, 1, hub=hub)] == ["from aio"]


def test_a_partition_key_leads_where_the_clients_own_resolver_says(broker: RunningBroker, hub: str) -> None:
    resolver: Any = PartitionResolver(["0", "1"])  # type: ignore[no-untyped-call]  # no types in there
    keys = [f"key {number}" for number in range(10)]
    with producer(broker, hub) as client:
        for key in keys:
            client.send_event(EventData(key), partition_key=key)
    for partition_id in ("0", "1"):
        expected = [key for key in keys if resolver.get_partition_id_by_partition_key(key) == partition_id]
        events = receive(broker, len(expected), hub=hub, partition_id=partition_id)
        assert [event.body_as_str() for event in events] == expected
        assert [event.partition_key for event in events] == [key.encode() for key in expected]


def test_events_without_a_key_take_turns(broker: RunningBroker, hub: str) -> None:
    with producer(broker, hub) as client:
        for number in range(4):
            client.send_event(EventData(f"turn {number}"))
        lasts = [client.get_partition_properties(p)["last_enqueued_sequence_number"] for p in ("0", "1")]
    assert lasts == [1, 1]


def test_everything_a_sender_sets_comes_back(broker: RunningBroker, hub: str) -> None:
    message = AmqpAnnotatedMessage(
        data_body=[b"first", b"second"],
        header=AmqpMessageHeader(  # type: ignore[no-untyped-call]  # takes keywords only, untyped
            priority=3, durable=True
        ),
        properties=AmqpMessageProperties(  # type: ignore[no-untyped-call]  # takes keywords only, untyped
            message_id="m1", content_type="application/json", subject="s"
        ),
        application_properties={"text": "value", "number": 7, "yes": True, "none": None},
        annotations={"x-opt-own": "kept", "x-opt-sequence-number": 999},
        delivery_annotations={"delivered": "by hand"},
        footer={"foot": "note"},
    )
    with producer(broker, hub) as client:
        client.send_batch([message], partition_id="0")
        client.send_event(message, partition_id="0")
    for number, event in enumerate(receive(broker, 2, hub=hub, track_last_enqueued_event_properties=True)):
        raw: Any = event.raw_amqp_message
        assert list(raw.body) == [b"first", b"second"]
        assert raw.header.priority == 3
        assert raw.properties.message_id == b"m1"
        assert raw.properties.content_type == b"application/json"
        assert raw.application_properties == {b"text": b"value", b"number": 7, b"yes": True, b"none": None}
        assert raw.annotations[b"x-opt-own"] == b"kept"
        assert raw.delivery_annotations[b"delivered"] == b"by hand"
        assert raw.footer == {b"foot": b"note"}
        assert event.sequence_number == number
        assert raw.delivery_annotations[b"last_enqueued_sequence_number"] == 1


def test_bodies_that_are_no_bytes_come_back(broker: RunningBroker, hub: str) -> None:
    with producer(broker, hub) as client:
        client.send_event(AmqpAnnotatedMessage(value_body={"a": [1, None]}), partition_id="0")
        client.send_event(AmqpAnnotatedMessage(sequence_body=[[1, 2], [3]]), partition_id="0")
    value, sequence = receive(broker, 2, hub=hub)
    assert value.raw_amqp_message.body == {b"a": [1, None]}
    assert list(sequence.raw_amqp_message.body) == [[1, 2], [3]]


def test_a_body_of_any_size_comes_back_whole(broker: RunningBroker, hub: str) -> None:
    sizes = [0, 1, 255, 256, 65_300, 65_400, 65_536, 200_000, 1_000_000, 5]
    bodies = [bytes(range(256)) * (size // 256) + bytes(size % 256) for size in sizes]
    send(broker, bodies, hub=hub, partition_id="0")
    assert [joined(event) for event in receive(broker, len(bodies), hub=hub)] == bodies


def test_a_message_beyond_the_limit_is_refused_and_the_broker_goes_on(
    broker: RunningBroker, hub: str
) -> None:
    batch = EventDataBatch(max_size_in_bytes=3_000_000, partition_id="0")
    batch.add(EventData(b"x" * 1_100_000))
    with producer(broker, hub) as client:
        with pytest.raises((EventDataSendError, EventHubError)):
            client.send_batch(batch)
        client.send_event(EventData("small"), partition_id="0")
    assert [event.body_as_str() for event in receive(broker, 1, hub=hub)] == ["small"]


def test_an_unknown_partition_is_refused(broker: RunningBroker, hub: str) -> None:
    # The client checks the id against its own list first; a producer of one partition does not.
    with producer(broker, hub, retry_total=0) as client:
        sender = client._create_producer(partition_id="2")
        with pytest.raises(ConnectError, match="between 0 and 1"):
            sender.send(EventData("lost"))
        sender.close()


def test_an_unknown_hub_is_refused(broker: RunningBroker) -> None:
    with producer(broker, "no-such-hub", retry_total=0) as client:
        with pytest.raises(ConnectError):
            client.send_event(EventData("lost"))
        with pytest.raises(ConnectError):
            client.get_eventhub_properties()
