"""What was acknowledged is there after a stop, a SIGKILL and a torn file; so is the hub's identity."""

import signal
import threading
from pathlib import Path

import pytest
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError

from oai_usage_pipeline.broker.errors import BrokerError
from oai_usage_pipeline_tests.broker.raw_client import put
from oai_usage_pipeline_tests.running_broker import RunningBroker, producer, receive, send


def test_events_survive_a_sigkill_of_the_broker(own_broker: RunningBroker) -> None:
    put(own_broker.port, "hub", [f"{number}" for number in range(1000)])
    own_broker.kill()
    own_broker.restart()
    put(own_broker.port, "hub", ["after"])
    events = receive(own_broker, 1001)
    assert [event.body_as_str() for event in events] == [*(f"{number}" for number in range(1000)), "after"]
    assert [event.sequence_number for event in events] == list(range(1001))


def test_no_acknowledged_event_is_lost_when_the_broker_is_killed_while_writing(
    own_broker: RunningBroker,
) -> None:
    acknowledged: list[int] = []
    started = threading.Event()

    def keep_sending() -> None:
        client = EventHubProducerClient.from_connection_string(
            own_broker.connection_string, eventhub_name="hub", retry_total=0
        )
        with client:
            for number in range(100_000):
                try:
                    client.send_batch([EventData(f"{number}") for _ in range(20)], partition_id="0")
                except EventHubError:
                    return
                acknowledged.append(number)
                if number == 20:
                    started.set()

    sending = threading.Thread(target=keep_sending)
    sending.start()
    assert started.wait(30)
    own_broker.kill()
    sending.join()
    own_broker.restart()
    events = receive(own_broker)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    bodies = [int(event.body_as_str()) for event in events]
    # A batch is there as a whole or not at all; the one in flight may be either.
    assert bodies == sorted(list(range(len(events) // 20)) * 20)
    assert len(acknowledged) <= len(events) // 20 <= len(acknowledged) + 1


def test_sigterm_and_sigint_end_it_cleanly_with_clients_attached(own_broker: RunningBroker) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with producer(own_broker) as client:
            client.send_event(EventData("held open"), partition_id="0")
            own_broker.signal(number)
            assert own_broker.wait() == 0
        own_broker.start()


def test_a_hub_keeps_its_identity_until_its_folder_is_deleted(own_broker: RunningBroker) -> None:
    def created_at() -> object:
        with producer(own_broker) as client:
            return client.get_eventhub_properties()["created_at"]

    first = created_at()
    put(own_broker.port, "hub", ["old life"])
    own_broker.restart()
    assert created_at() == first
    own_broker.stop()
    folder = own_broker.data / "hub"
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    own_broker.start()
    assert created_at() != first
    with producer(own_broker) as client:
        assert client.get_partition_properties("0")["is_empty"]


def test_a_hub_gains_partitions_and_refuses_to_lose_any(own_broker: RunningBroker) -> None:
    send(own_broker, ["kept"], partition_id="1")
    own_broker.restart(partitions=4)
    with producer(own_broker) as client:
        assert client.get_partition_ids() == ["0", "1", "2", "3"]
    assert [event.body_as_str() for event in receive(own_broker, 1, partition_id="1")] == ["kept"]
    with pytest.raises(BrokerError, match="has 4 partitions, asked for 2"):
        own_broker.restart(partitions=2)


def test_a_second_broker_on_the_same_folder_is_refused(own_broker: RunningBroker) -> None:
    with pytest.raises(BrokerError, match="Another broker is running"):
        RunningBroker(own_broker.data).start()


def test_retention_drops_the_start_and_survives_a_restart(tmp_path: Path) -> None:
    with RunningBroker(tmp_path, partitions=1, options=["--retention-events", "10"]) as broker:
        put(broker.port, "hub", [f"{number}" for number in range(25)])
        events = receive(broker, 10)
        assert [event.sequence_number for event in events] == list(range(15, 25))
        with producer(broker) as client:
            properties = client.get_partition_properties("0")
        assert properties["beginning_sequence_number"] == 15
        assert properties["last_enqueued_sequence_number"] == 24
        broker.options = ()
        broker.restart()
        # A reader that comes too late starts with the first event that is held.
        late = receive(broker, 10, starting_position=3)
    assert [event.sequence_number for event in late] == list(range(15, 25))
