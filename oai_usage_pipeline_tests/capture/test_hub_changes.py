"""Captures from a hub that becomes another one, or gets another key or size, while it is being read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.errors import SourceUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline_tests.capture.hub_under_test import HubUnderTest, once
from oai_usage_pipeline_tests.running_broker import RunningBroker

EVENTS = 500
READ = 300
PAUSE = f"silence:at={READ},every=0"
"""The reader gets so far, and no further until something has happened to the hub."""
SMALL = Limits(rows=100)
PATIENT = 10.0
"""More than it takes to start a broker."""
KEYS = [("--sas-key", f"me={key}") for key in ("b25l", "dHdv")]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubUnderTest]:
    with RunningBroker(tmp_path / "broker", partitions=4) as broker:
        yield HubUnderTest(broker, Lake(str(tmp_path / "lake")))


@pytest.mark.parametrize(
    ("first_sequence", "count"),
    [
        pytest.param(0, 50, id="lower-numbers"),
        pytest.param(0, 900, id="numbers-that-reach-beyond-ours"),
        pytest.param(READ, 200, id="numbers-that-follow-ours"),
        pytest.param(5000, 200, id="higher-numbers"),
    ],
)
def test_a_hub_made_again_while_it_is_read_is_another_life(
    hub: HubUnderTest, first_sequence: int, count: int
) -> None:
    hub.send("0", EVENTS)
    first = hub.sent["0"]
    hub.behave(PAUSE)
    captured = hub.capture(
        once(lambda: hub.make_again(first_sequence, {"0": count, "3": 5})), SMALL, silence_seconds=PATIENT
    )
    (error,) = captured.errors
    assert isinstance(error, SourceUnavailable)
    assert "was deleted and made again while it was being read" in str(error)
    assert hub.landed(captured.incarnation)["0"] == first[:READ]
    again = hub.capture()
    assert again.incarnation != captured.incarnation
    assert again.partitions["0"].first == first_sequence
    hub.assert_all_is_captured(again)
    assert hub.landed(captured.incarnation)["0"] == first[:READ]


def test_partitions_added_while_it_is_read_are_read_from_their_start_by_the_next_run(
    hub: HubUnderTest,
) -> None:
    hub.send("0", EVENTS)
    hub.behave(PAUSE)

    def grow() -> None:
        hub.broker.partitions = 8
        hub.behave()
        hub.send("7", 20)

    captured = hub.capture(once(grow), SMALL, silence_seconds=PATIENT)
    assert captured.errors == []
    assert set(captured.partitions) == {"0", "1", "2", "3"}
    again = hub.capture()
    assert (again.event_count, again.partitions["7"].first) == (20, 0)
    hub.assert_all_is_captured(again)


def test_a_key_rotated_while_it_is_read_stops_the_run_and_the_new_one_goes_on(hub: HubUnderTest) -> None:
    hub.send("0", EVENTS)
    hub.behave(PAUSE, options=KEYS[0])
    old = hub.broker.connection_string
    captured = hub.capture(once(lambda: hub.behave(options=KEYS[1])), SMALL, silence_seconds=PATIENT)
    assert "refused the credentials" in str(captured.errors[0])
    assert hub.landed(captured.incarnation)["0"] == hub.sent["0"][:READ]
    with pytest.raises(SourceUnavailable, match="refused the credentials"):
        hub.capture(connection_string=old)
    hub.assert_consistent()
    hub.assert_all_is_captured(hub.capture())


def test_one_event_is_number_0_and_the_next_follows_it(hub: HubUnderTest) -> None:
    hub.send("1", 1)
    captured = hub.capture()
    assert {each.partition_id: each.last for each in captured.partitions.values()} == {
        "0": None,
        "1": 0,
        "2": None,
        "3": None,
    }
    hub.assert_all_is_captured(captured)
    hub.send("1", 1, life="again")
    again = hub.capture()
    assert (again.partitions["1"].first, again.event_count) == (1, 1)
    hub.assert_all_is_captured(again)
