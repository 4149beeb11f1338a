"""Messages whose body is an AMQP value or sequence, through the SDK and the broker: none stops capture."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from azure.eventhub import EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage

from oai_usage_pipeline.capture.event_hub import EventHubSource
from oai_usage_pipeline.capture.landing import bronze_frame, land
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.settings import Settings
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.running_broker import RunningBroker
from oai_usage_pipeline_tests.usage.bodies import envelope

HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0",))
KEY = "0123456789abcdef0123456789abcdef"
ENVELOPE: dict[str, str] = json.loads(envelope())

MESSAGES: dict[str, tuple[dict[str, Any], str]] = {
    "data": ({"data_body": envelope()}, "metered"),
    "data in parts": ({"data_body": [envelope()[:9], envelope()[9:]]}, "metered"),
    "a value of text": ({"value_body": "text"}, "rejected"),
    "a value of bytes": ({"value_body": envelope()}, "metered"),
    "a number": ({"value_body": 2**30}, "rejected"),
    "nothing": ({"value_body": None}, "rejected"),
    "a map": ({"value_body": ENVELOPE}, "metered"),
    "a map with bytes for names": (
        {"value_body": {name.encode(): value for name, value in ENVELOPE.items()}},
        "metered",
    ),
    "a map in a map": ({"value_body": {b"a": {b"\xff": [b"\xff", 1.5]}, 1: True}}, "rejected"),
    "a sequence": ({"sequence_body": [[1, b"x", {b"k": "v"}], [None]]}, "rejected"),
    "a sequence with an envelope": ({"sequence_body": [[ENVELOPE]]}, "rejected"),
}


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> list[HubEvent]:
    events: list[HubEvent] = []

    def deliver(delivered: Sequence[HubEvent]) -> bool:
        events.extend(delivered)
        return len(events) < len(MESSAGES)

    folder: Path = tmp_path_factory.mktemp("broker")
    with RunningBroker(folder, partitions=1) as broker:
        producer = EventHubProducerClient.from_connection_string(
            broker.connection_string, eventhub_name="hub"
        )
        with producer:
            for body, _ in MESSAGES.values():
                batch = producer.create_batch(partition_id="0")
                batch.add(AmqpAnnotatedMessage(**body))
                producer.send_batch(batch)
        settings = Settings(event_hub_connection_string=broker.connection_string, event_hub_name="hub")
        EventHubSource(settings, silence_seconds=10.0).read("0", None, deliver)
    return events


@pytest.mark.parametrize("name", MESSAGES)
def test_a_body_of_any_section_is_an_event_with_a_status(name: str, received: list[HubEvent]) -> None:
    event = received[list(MESSAGES).index(name)]
    bronze = bronze_frame(HUB, [land("0", event, KeyFingerprint(b"pepper"))])
    assert KEY not in repr(bronze.to_dicts())
    row = derive(bronze).row(0, named=True)
    assert row["status"] == MESSAGES[name][1]
    assert row["status"] == "metered" or row["reason"]
