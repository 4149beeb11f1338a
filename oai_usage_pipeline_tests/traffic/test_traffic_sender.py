"""Sending with the real SDK to a real broker process, and what the ledger says when that fails."""

import hashlib
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pytest
from azure.eventhub import EventData

from oai_usage_pipeline.broker.process import BrokerProcess
from oai_usage_pipeline.errors import ConfigurationError, SourceUnavailable
from oai_usage_pipeline.traffic.generator import GeneratedEvent, generate
from oai_usage_pipeline.traffic.ledger import Ledger, LedgerHeader, read_ledger
from oai_usage_pipeline.traffic.pace import Pace
from oai_usage_pipeline.traffic.sender import Hub, send
from oai_usage_pipeline_tests.traffic.hubs import EmptyHub, drain, held, receive

START = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
HEADER = LedgerHeader(11, START.isoformat())
SECRET = "c2VjcmV0LWtleS1vZi10aGUtaHVi"


def sha256_of(event: EventData) -> str:
    body = event.raw_amqp_message.body
    return hashlib.sha256(b"".join(body)).hexdigest()


def test_the_hub_holds_exactly_what_the_ledger_says(
    hub: EmptyHub, events: list[GeneratedEvent], tmp_path: Path
) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, HEADER) as ledger:
        assert send(hub.address, events[:800], ledger) == 800
    contents = read_ledger(path)
    partitions = drain(hub)
    assert contents.unacknowledged == ()
    assert len(partitions) == 4
    assert min(len(found) for found in partitions.values()) > 60, "a partition is hardly used"
    found = [*chain(*partitions.values())]
    assert Counter((event.partition_key, sha256_of(event)) for event in found) == Counter(
        (entry.partition_key.encode(), entry.sha256) for entry in contents.acknowledged
    )
    assert all(event.properties == {} for event in found)


def test_more_than_one_message_may_hold_is_sent_in_several_batches(hub: EmptyHub, tmp_path: Path) -> None:
    cut = [event for event in generate(11, START, 3000) if event.entry.kind.startswith("truncated")]
    same_key = [GeneratedEvent(event.body, "one", event.entry) for event in cut[:12]]
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, HEADER) as ledger:
        assert send(hub.address, same_key, ledger) == 12
    assert path.read_text().count("batch_sent") > 1
    assert sum(held(hub).values()) == 12


def test_progress_tells_what_was_acknowledged_so_far(
    hub: EmptyHub, events: list[GeneratedEvent], tmp_path: Path
) -> None:
    path = tmp_path / "ledger.jsonl"
    seen: list[tuple[int, int]] = []
    with Ledger(path, HEADER) as ledger:

        def note(sent: int) -> None:
            seen.append((sent, len(read_ledger(path).acknowledged)))

        send(hub.address, events[:200], ledger, progress=note)
    assert seen
    assert all(sent == acknowledged for sent, acknowledged in seen)
    assert seen[-1][0] == 200


def test_a_stop_ends_between_two_batches_with_a_consistent_ledger(
    hub: EmptyHub, events: list[GeneratedEvent], tmp_path: Path
) -> None:
    path = tmp_path / "ledger.jsonl"
    pace = Pace()
    with Ledger(path, HEADER) as ledger:
        sent = send(hub.address, events, ledger, pace, lambda _: pace.stop.set())
    contents = read_ledger(path)
    assert 0 < sent < len(events)
    assert (len(contents.acknowledged), contents.unacknowledged) == (sent, ())
    assert sum(held(hub).values()) == sent


def test_an_absent_hub_is_explained_without_the_key(events: list[GeneratedEvent], tmp_path: Path) -> None:
    # Port 1 is privileged and free: nothing of ours listens there.
    address = f"Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=k;SharedAccessKey={SECRET};UseDevelopmentEmulator=true"
    with Ledger(tmp_path / "ledger.jsonl", HEADER) as ledger, pytest.raises(SourceUnavailable) as refusal:
        send(Hub("hub", address), events[:1], ledger)
    assert "can't be reached" in str(refusal.value)
    assert SECRET not in str(refusal.value)
    assert refusal.value.__suppress_context__


def test_a_wrong_key_is_explained(events: list[GeneratedEvent], tmp_path: Path) -> None:
    options = ["--sas-key", "sender=the-right-key"]
    with BrokerProcess(tmp_path / "broker", hubs=["hub"], options=options) as broker:
        address = (
            f"Endpoint=sb://127.0.0.1:{broker.port};SharedAccessKeyName=sender;SharedAccessKey={SECRET};"
            "UseDevelopmentEmulator=true"
        )
        with (
            Ledger(tmp_path / "ledger.jsonl", HEADER) as ledger,
            pytest.raises(SourceUnavailable, match="Send right"),
        ):
            send(Hub("hub", address), events[:1], ledger)


def test_an_unusable_connection_string_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Hub("hub", f"SharedAccessKey={SECRET}").producer()
    assert SECRET not in str(refusal.value)
    assert SECRET not in repr(Hub("hub", SECRET))


def traffic_process(hub: EmptyHub, ledger: Path) -> "subprocess.Popen[bytes]":
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OAI_USAGE_")},
        "OAI_USAGE_EVENT_HUB_CONNECTION_STRING": hub.connection_string,
        "OAI_USAGE_EVENT_HUB_NAME": hub.name,
    }
    start = "from oai_usage_pipeline.cli import main; main()"
    command = [sys.executable, "-c", start, "traffic", "--forever", "--rate", "400", "--ledger", str(ledger)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_endless_traffic_cleanly(hub: EmptyHub, tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "ledger.jsonl"
    with traffic_process(hub, path) as process:
        receive(hub, "0", 1)
        process.send_signal(number)
        assert process.wait(20) == 0
    contents = read_ledger(path)
    assert contents.unacknowledged == ()
    assert sum(held(hub).values()) == len(contents.acknowledged)


def test_a_kill_leaves_at_most_one_batch_of_unknown_fate(hub: EmptyHub, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with traffic_process(hub, path) as process:
        receive(hub, "0", 1)
        process.kill()
    contents = read_ledger(path)
    assert len({entry.partition_key for entry in contents.unacknowledged}) <= 1
    in_hub = {sha256_of(event) for event in chain(*drain(hub).values())}
    acknowledged = {entry.sha256 for entry in contents.acknowledged}
    assert acknowledged <= in_hub
    assert in_hub - acknowledged <= {entry.sha256 for entry in contents.unacknowledged}


def test_a_broker_killed_on_the_way_is_explained_and_leaves_one_batch_of_unknown_fate(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with BrokerProcess(tmp_path / "broker", hubs=["hub"]) as broker:
        sending_to = EmptyHub("hub", broker.connection_string)
        with traffic_process(sending_to, path) as process:
            receive(sending_to, "0", 1)
            broker.kill()
            _, said = process.communicate(timeout=60)
        assert process.returncode == 1
    assert b"can't be reached" in said
    assert b"Traceback" not in said
    assert len({entry.partition_key for entry in read_ledger(path).unacknowledged}) <= 1
