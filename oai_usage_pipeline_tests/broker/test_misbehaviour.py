"""`--misbehave`: when a fault is due, what is refused, and what a hub that shows it looks like."""

from pathlib import Path

import pytest
from azure.eventhub import EventHubConsumerClient

from oai_usage_pipeline.broker.errors import BrokerError
from oai_usage_pipeline.broker.fault import fault_of
from oai_usage_pipeline_tests.running_broker import RunningBroker, producer, receive, send


def occasions(order: str, count: int = 40, seed: int = 0, partition: str = "0") -> list[int]:
    """Before which of so many occasions the fault occurs."""
    fault = fault_of(order, seed)
    return [number for number in range(count) if fault.is_due(number, partition)]


def test_a_fault_occurs_once_unless_it_is_to_be_repeated() -> None:
    assert occasions("gap") == [0]
    assert occasions("gap:at=7") == [7]
    assert occasions("gap:at=7,every=10") == [7, 17, 27, 37]
    assert occasions("gap:at=7,every=10,times=2") == [7, 17]
    assert occasions("gap:at=37,every=0") == [37, 38, 39]


def test_chance_follows_the_seed_and_comes_about_as_often_as_it_says() -> None:
    first = occasions("gap:p=0.1", 10_000)
    assert first == occasions("gap:p=0.1", 10_000)
    assert first != occasions("gap:p=0.1", 10_000, seed=1)
    assert first != occasions("gap:p=0.1", 10_000, partition="1")
    assert 900 < len(first) < 1100
    assert occasions("gap:p=1", 3) == [0, 1, 2]
    assert len(occasions("gap:p=0.5,times=2")) == 2
    assert min(occasions("gap:p=0.5,at=20", 100)) >= 20


def test_each_partition_has_its_own_count() -> None:
    fault = fault_of("gap", 0)
    assert [fault.is_due(0, "0"), fault.is_due(0, "1"), fault.is_due(0, "0")] == [True, True, False]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("nonsense", "'nonsense' is no kind of misbehaviour; there are silence, server-busy"),
        ("gap:often=1", "gap has no key often; it has at, count, every"),
        ("gap:on=attach", "gap can be on events, not on 'attach'"),
        ("gap:at=soon", "at is a whole number, not 'soon'"),
        ("expire", "below=N is missing"),
        ("gap:p=2", "p is above 0 and at most 1"),
        ("gap:p=0.1,every=2", "goes without every"),
    ],
)
def test_an_order_that_is_not_understood_is_refused(order: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=message):
        fault_of(order, 0)
    broker = RunningBroker(tmp_path, options=["--misbehave", order])
    if order == "nonsense":
        with pytest.raises(BrokerError, match=message):
            broker.start()


def test_events_come_spoiled_as_ordered_and_only_where(tmp_path: Path) -> None:
    orders = ["gap:at=5,count=2", "reorder:at=8", "duplicates:at=12,count=2", "replay:at=20,back=5"]
    options = [word for each in orders for word in ("--misbehave", f"{each},partition=0")]
    with RunningBroker(tmp_path, partitions=2, options=options) as broker:
        for partition_id in ("0", "1"):
            send(broker, [b"event"] * 30, partition_id=partition_id)
        spoiled = [each.sequence_number for each in receive(broker, prefetch=4)]
        honest = [each.sequence_number for each in receive(broker, partition_id="1")]
    first = [0, 1, 2, 3, 4, 7, 8, 9, 11, 10, 12, 13, 14, 15, 15, 16, 16, *range(17, 23)]
    assert spoiled == [*first, *range(18, 30)]
    assert honest == list(range(30))


def test_a_hub_may_begin_with_any_number_and_keeps_it(tmp_path: Path) -> None:
    with RunningBroker(tmp_path, partitions=1, options=["--first-sequence", "1000"]) as broker:
        with producer(broker) as client:
            empty = client.get_partition_properties("0")
        assert (empty["is_empty"], empty["last_enqueued_sequence_number"]) == (True, 999)
        broker.options = ("--first-sequence", "5")
        broker.restart()
        send(broker, [b"event"] * 3, partition_id="0")
        broker.restart()
        send(broker, [b"event"], partition_id="0")
        received = receive(broker, 4)
        later = receive(broker, 2, starting_position=1001)
    assert [each.sequence_number for each in received] == [1000, 1001, 1002, 1003]
    assert [each.sequence_number for each in later] == [1002, 1003]


def test_a_hub_grows_while_clients_are_connected(tmp_path: Path) -> None:
    with RunningBroker(tmp_path, partitions=2, options=["--misbehave", "grow:to=4,at=2"]) as broker:
        sizes = []
        for _ in range(4):
            with EventHubConsumerClient.from_connection_string(
                broker.connection_string, "$Default", eventhub_name="hub"
            ) as client:
                sizes.append(len(client.get_partition_ids()))
    assert sizes == [2, 2, 4, 4]
