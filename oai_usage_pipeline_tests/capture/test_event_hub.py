"""The adapter when the hub misbehaves: what a person is told, and that it never waits for ever."""

import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from oai_usage_pipeline.capture.event_hub import EventHubSource
from oai_usage_pipeline.capture.hub_client import tls_context
from oai_usage_pipeline.capture.source import HubEvent
from oai_usage_pipeline.errors import SourceUnavailable
from oai_usage_pipeline.settings import Settings
from oai_usage_pipeline_tests.faults.proxy import Proxy, Stall
from oai_usage_pipeline_tests.running_broker import RunningBroker, send

KEY = "c2VjcmV0LWtleS1vZi10aGUtdGVzdHM="


def source_at(connection_string: str, hub: str = "hub") -> EventHubSource:
    settings = Settings(event_hub_connection_string=connection_string, event_hub_name=hub)
    return EventHubSource(settings, silence_seconds=2.0)


def take_all(_: Sequence[HubEvent]) -> bool:
    return True


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    with RunningBroker(tmp_path / "broker", partitions=1) as running:
        yield running


def test_a_hub_that_is_not_there_is_named(broker: RunningBroker) -> None:
    with pytest.raises(
        SourceUnavailable, match=r"127\.0\.0\.1/other isn't there: check OAI_USAGE_EVENT_HUB_NAME"
    ):
        source_at(broker.connection_string, "other").describe()


def test_a_broker_that_is_not_running_is_one_clear_message() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        address = f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=n;SharedAccessKey={KEY};UseDevelopmentEmulator=true;"
        with pytest.raises(
            SourceUnavailable, match=r"can't be reached.*start the broker with `oai-usage broker`"
        ):
            source_at(address).describe()


def test_a_wrong_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    with RunningBroker(tmp_path / "keyed", partitions=1, options=["--sas-key", f"reader={KEY}"]) as keyed:
        wrong = keyed.connection_string.replace(KEY, "d3Jvbmcta2V5LW9mLXRoZS10ZXN0cw==")
        with pytest.raises(SourceUnavailable, match="refused the credentials") as refused:
            source_at(wrong).describe()
        assert "d3Jvbmcta2V5" not in str(refused.value)
        assert source_at(keyed.connection_string).describe().partition_ids == ("0",)


def test_reading_goes_on_after_the_broker_was_killed_and_started_again(broker: RunningBroker) -> None:
    send(broker, [b"event %d" % number for number in range(2000)], partition_id="0")
    numbers: list[int] = []

    def deliver(events: Sequence[HubEvent]) -> bool:
        if not numbers:
            broker.kill()
            broker.start()
        numbers.extend(each.sequence_number for each in events)
        return max(numbers) < 1999

    source_at(broker.connection_string).read("0", None, deliver)
    assert sorted(set(numbers)) == list(range(2000))


def test_connections_are_made_anew_before_the_sdk_fills_the_memory(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(broker, [b"event %d" % number for number in range(2000)], partition_id="0")
    monkeypatch.setattr("oai_usage_pipeline.capture.reception.CONNECTION_EVENTS", 900)
    numbers: list[int] = []

    def deliver(events: Sequence[HubEvent]) -> bool:
        numbers.extend(each.sequence_number for each in events)
        return len(numbers) < 2000

    source_at(broker.connection_string).read("0", None, deliver)
    assert numbers == list(range(2000))


@pytest.mark.parametrize("after", [b"event 0", b"AMQP", b"$cbs"])
def test_silence_with_the_socket_open_is_noticed_and_leaves_no_thread(
    broker: RunningBroker, after: bytes
) -> None:
    send(broker, [b"event 0", b"event 1"], partition_id="0")
    threads = set(threading.enumerate())
    with Proxy(broker.port) as proxy:
        source = source_at(broker.connection_string.replace(str(broker.port), str(proxy.port)))
        threads |= set(threading.enumerate())
        proxy.behave(Stall(after=after))
        with pytest.raises(SourceUnavailable, match=r"sent none for 6 s|doesn't answer"):
            source.read("0", None, take_all)
        with pytest.raises(SourceUnavailable, match="doesn't answer"):
            source.bounds("0")
        assert_ended(set(threading.enumerate()) - threads)


def test_a_server_that_never_shakes_hands_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oai_usage_pipeline.capture.hub_client.HANDSHAKE_SECONDS", 0.1)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.create_connection(silent.getsockname()) as client,
        pytest.raises(TimeoutError),
    ):
        tls_context().wrap_socket(client, server_hostname="namespace.servicebus.windows.net")


def assert_ended(threads: set[threading.Thread]) -> None:
    """The SDK's own threads look only once a second whether they are still wanted."""
    for each in threads:
        each.join(timeout=10)
        assert not each.is_alive(), each.name


def test_closing_ends_a_reader_that_waits(broker: RunningBroker) -> None:
    source = source_at(broker.connection_string)
    reader = threading.Thread(target=source.read, args=("0", None, take_all))
    reader.start()
    source.close()
    reader.join(timeout=30)
    assert not reader.is_alive()
