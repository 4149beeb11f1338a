"""Who may read a partition: epochs steal and refuse, and readers without one share it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.eventhub import EventHubConsumerClient
from azure.eventhub.exceptions import ConnectionLostError, EventHubError

from oai_usage_pipeline_tests.broker.raw_client import put
from oai_usage_pipeline_tests.running_broker import RunningBroker, receive


class Reading:
    """A reader in the background that goes on until it is stopped or thrown out."""

    def __init__(self, broker: RunningBroker, hub: str, owner_level: int | None) -> None:
        self.error: Exception | None = None
        self._attached, self._failed = threading.Event(), threading.Event()
        self._client = EventHubConsumerClient.from_connection_string(
            broker.connection_string, "$Default", eventhub_name=hub, retry_total=0
        )
        options: dict[str, Any] = {"partition_id": "0", "starting_position": "-1", "owner_level": owner_level}
        self._thread = threading.Thread(
            target=self._client.receive,
            args=(self._on_event,),
            kwargs={**options, "on_error": self._on_error},
        )
        self._thread.start()

    def attached(self) -> "Reading":
        assert self._attached.wait(20)
        return self

    def failure(self) -> Exception | None:
        assert self._failed.wait(20)
        self.stop()
        return self.error

    def stop(self) -> None:
        self._client.close()
        self._thread.join()

    def _on_event(self, _: object, __: object) -> None:
        self._attached.set()

    def _on_error(self, _: object, error: Exception) -> None:
        self.error = error
        self._failed.set()


def test_a_higher_epoch_steals_the_partition(broker: RunningBroker, hub: str) -> None:
    put(broker.port, hub, ["event"])
    loser = Reading(broker, hub, owner_level=1).attached()
    winner = Reading(broker, hub, owner_level=2).attached()
    failure = loser.failure()
    winner.stop()
    assert isinstance(failure, ConnectionLostError)
    assert "amqp:link:stolen" in str(failure)


def test_an_epoch_throws_out_readers_without_one_and_refuses_lower_ones(
    broker: RunningBroker, hub: str
) -> None:
    put(broker.port, hub, ["event"])
    without = Reading(broker, hub, owner_level=None).attached()
    holder = Reading(broker, hub, owner_level=5).attached()
    assert "New receiver with higher epoch of '5'" in str(without.failure())
    with pytest.raises(EventHubError, match="higher epoch '5' already exists"):
        receive(broker, 1, hub=hub, owner_level=4)
    with pytest.raises(EventHubError, match="non-epoch receiver is not allowed"):
        receive(broker, 1, hub=hub)
    # Another consumer group is another matter.
    assert len(receive(broker, 1, hub=hub, consumer_group="other", owner_level=1)) == 1
    holder.stop()


def test_a_reader_that_left_makes_room_for_a_lower_epoch(broker: RunningBroker, hub: str) -> None:
    put(broker.port, hub, ["event"])
    assert len(receive(broker, 1, hub=hub, owner_level=9)) == 1
    assert len(receive(broker, 1, hub=hub, owner_level=1)) == 1


def test_the_sixth_reader_without_an_epoch_is_refused(broker: RunningBroker, hub: str) -> None:
    put(broker.port, hub, ["event"])
    readers = [Reading(broker, hub, owner_level=None) for _ in range(5)]
    for reader in readers:
        reader.attached()
    with pytest.raises(EventHubError, match="maximum number of allowed receivers"):
        receive(broker, 1, hub=hub)
    with ThreadPoolExecutor(len(readers)) as pool:
        list(pool.map(Reading.stop, readers))
