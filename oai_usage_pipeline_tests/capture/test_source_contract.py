"""One suite for every source: the fake of lists and the real SDK against a real broker."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oai_usage_pipeline.capture.event_hub import EventHubSource
from oai_usage_pipeline.capture.source import HubEvent, PartitionBounds, Source
from oai_usage_pipeline.settings import Settings
from oai_usage_pipeline_tests.capture.list_source import ListSource, event
from oai_usage_pipeline_tests.running_broker import RunningBroker, send

EVENTS = 700
"""More than one callback of the SDK holds."""


def listed(_: Path) -> Iterator[Source]:
    bodies = {"0": [event(number, b"event %d" % number) for number in range(EVENTS)], "1": []}
    yield ListSource(bodies)


def from_broker(folder: Path) -> Iterator[Source]:
    with RunningBroker(folder, partitions=2) as broker:
        send(broker, [b"event %d" % number for number in range(EVENTS)], partition_id="0")
        source = EventHubSource(settings_for(broker))
        yield source
        source.close()


def settings_for(broker: RunningBroker) -> Settings:
    return Settings(event_hub_connection_string=broker.connection_string, event_hub_name="hub")


@pytest.fixture(params=[listed, from_broker])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    make: Callable[[Path], Iterator[Source]] = request.param
    yield from make(tmp_path / "broker")


def read(source: Source, after: int | None, count: int) -> list[HubEvent]:
    got: list[HubEvent] = []

    def deliver(events: Sequence[HubEvent]) -> bool:
        got.extend(events)
        return len(got) < count

    source.read("0", after, deliver)
    return got


def test_describes_itself_the_same_each_time(source: Source) -> None:
    hub = source.describe()
    assert hub == source.describe()
    assert hub.event_hub.endswith("/hub")
    assert hub.incarnation.endswith("Z")
    assert hub.partition_ids == ("0", "1")


def test_bounds_name_the_first_and_the_last_event(source: Source) -> None:
    bounds = source.bounds("0")
    assert bounds == PartitionBounds(first=0, last=EVENTS - 1)
    [last] = read(source, EVENTS - 2, 1)
    assert bounds.last_enqueued_at == datetime.fromtimestamp(last.enqueued_ms / 1000, UTC)


def test_bounds_of_an_empty_partition_say_which_number_comes_next(source: Source) -> None:
    assert source.bounds("1") == PartitionBounds(first=0, last=-1)


def test_without_a_position_reading_starts_at_the_first_event(source: Source) -> None:
    got = read(source, None, EVENTS)
    assert [each.sequence_number for each in got] == list(range(EVENTS))
    assert [each.body for each in got] == [b"event %d" % number for number in range(EVENTS)]
    assert all(each.offset and each.enqueued_ms > 1_600_000_000_000 for each in got)


@pytest.mark.parametrize("position", [0, 1, 299, 300, EVENTS - 2])
def test_reading_starts_after_the_position(position: int, source: Source) -> None:
    got = read(source, position, 1)
    assert got[0].sequence_number == position + 1


def test_nothing_more_is_delivered_once_enough_was_said(source: Source) -> None:
    calls: list[Any] = []

    def deliver(events: Sequence[HubEvent]) -> bool:
        calls.append(events)
        return False

    source.read("0", None, deliver)
    assert len(calls) == 1
