"""The broker is not what a reader waits for: delivering costs it far less than reading costs the SDK."""

import time
from pathlib import Path

import psutil
import pytest
from azure.eventhub import EventData, EventHubConsumerClient

from oai_usage_pipeline.broker.encoding import encode
from oai_usage_pipeline.broker.log import PartitionLog
from oai_usage_pipeline.broker.message import Message
from oai_usage_pipeline_tests.running_broker import RunningBroker

EVENTS = 20_000
BODY = b"\x00\x53\x75" + encode(b"x" * 2000)


@pytest.mark.parametrize("prefetch", [300, 3000])
def test_delivering_takes_at_most_half_the_processor_time_of_reading(tmp_path: Path, prefetch: int) -> None:
    log = PartitionLog(tmp_path / "hub" / "0")
    for _ in range(EVENTS // 500):
        log.append([Message(BODY)] * 500, now_ms=1)
    log.close()
    with RunningBroker(tmp_path, partitions=1) as broker:
        process = psutil.Process(broker.pid)
        before = process.cpu_times()
        client_seconds = read_all(broker, prefetch)
        after = process.cpu_times()
    broker_seconds = after.user + after.system - before.user - before.system
    # Processor time, not elapsed time: what else the machine does has no part in it.
    assert broker_seconds <= client_seconds / 2


def read_all(broker: RunningBroker, prefetch: int) -> float:
    """Read every event with the sync client; returns the processor seconds that took."""
    received = 0
    client = EventHubConsumerClient.from_connection_string(
        broker.connection_string, "$Default", eventhub_name="hub"
    )

    def on_batch(_: object, events: list[EventData]) -> None:
        nonlocal received
        received += len(events)
        if received == EVENTS:
            client.close()

    before = time.process_time()
    with client:
        client.receive_batch(
            on_batch, partition_id="0", starting_position="-1", prefetch=prefetch, max_batch_size=prefetch
        )
    assert received == EVENTS
    return time.process_time() - before
