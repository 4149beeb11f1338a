"""Real captures from a hub that misbehaves: they end right, or stop with the reason and go on next time."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from oai_usage_pipeline.errors import SourceGap, SourceUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline_tests.capture.hub_under_test import EVENTS, HubUnderTest
from oai_usage_pipeline_tests.running_broker import RunningBroker


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> HubUnderTest:
    """Partition 0 has some hundred events, 1 has one and 2 none."""
    folder = tmp_path_factory.mktemp("filled")
    with RunningBroker(folder / "broker", partitions=3) as broker:
        hub = HubUnderTest(broker, Lake(str(folder / "lake")))
        hub.send("0", EVENTS)
        hub.send("1", 1)
    return hub


@pytest.fixture
def hub(filled: HubUnderTest, tmp_path: Path) -> Iterator[HubUnderTest]:
    """A copy of it, with an empty lake; the broker isn't running."""
    data = tmp_path / "broker"
    shutil.copytree(filled.broker.data, data)
    broker = RunningBroker(data, partitions=3)
    hub = HubUnderTest(broker, Lake(str(tmp_path / "lake")))
    hub.sent = {each: list(texts) for each, texts in filled.sent.items()}
    yield hub
    broker.stop()


@pytest.mark.parametrize(
    ("orders", "duplicates"),
    [
        pytest.param(["silence:partition=0"], 0, id="silence-at-once"),
        pytest.param(["silence:at=500,partition=0"], 0, id="silence-after-500-events"),
        pytest.param(["silence:on=attach,partition=0"], 0, id="silence-when-a-reader-attaches"),
        pytest.param(["silence:on=$cbs"], 0, id="silence-of-cbs"),
        pytest.param(["silence:on=$management"], 0, id="silence-of-management"),
        pytest.param(["silence:on=connect"], 0, id="silence-from-the-first-byte"),
        pytest.param(["server-busy:at=300,partition=0"], 0, id="busy-while-reading"),
        pytest.param(["server-busy:on=attach"], 0, id="busy-when-a-reader-attaches"),
        pytest.param(["server-busy:on=$management"], 0, id="busy-when-asked"),
        pytest.param(["detached:at=300,partition=0"], 0, id="link-detached"),
        pytest.param(["closed:at=300,partition=0"], 0, id="idle-close"),
        pytest.param(["reset:at=300,partition=0"], 0, id="reset-in-mid-frame"),
        pytest.param(["expired:at=300,partition=0"], 0, id="token-expired-in-mid-run"),
        pytest.param(["slow:rate=600"], 0, id="throttled"),
        pytest.param(["slow:rate=80,every=0,partition=0"], 0, id="a-trickle-below-what-the-sdk-waits-for"),
        pytest.param(["duplicates:at=10,count=50,partition=0"], 50, id="duplicates"),
        pytest.param(["replay:at=500,back=400,partition=0"], 400, id="replay-from-an-older-position"),
        pytest.param(["grow:to=8,on=events,at=100,partition=0"], 0, id="partitions-added-while-reading"),
        pytest.param(
            ["reset:p=0.002,times=3,partition=0", "duplicates:p=0.01,count=3,partition=0"],
            None,
            id="by-chance",
        ),
    ],
)
def test_what_passes_by_itself_costs_no_event(
    hub: HubUnderTest, orders: list[str], duplicates: int | None
) -> None:
    hub.behave(*orders, seed=7)
    captured = hub.capture()
    assert duplicates in (None, captured.partitions["0"].duplicate_count)
    hub.assert_all_is_captured(captured)


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        ("stolen:at=400,partition=0", SourceUnavailable, "read by another consumer with a higher epoch"),
        ("stolen:on=attach,partition=0", SourceUnavailable, "read by another consumer with a higher epoch"),
        ("refused:on=attach,partition=0", SourceUnavailable, "refused the credentials"),
        ("silence:at=400,every=0,partition=0", SourceUnavailable, "events after 399 but sent none for 9 s"),
        ("server-busy:at=0,every=0,partition=0", SourceUnavailable, "is busy and throttles its readers"),
        ("gap:at=400,count=3,partition=0", SourceGap, "partition 0: events 400 to 402 are missing"),
        ("reorder:at=400,partition=0", SourceGap, "partition 0: events 400 to 400 are missing"),
    ],
)
def test_what_doesnt_pass_stops_its_partition_only_and_the_next_run_goes_on(
    hub: HubUnderTest, order: str, error: type[Exception], message: str
) -> None:
    hub.behave(order)
    captured = hub.capture()
    (stopped,) = captured.errors
    assert isinstance(stopped, error)
    assert message in str(stopped)
    assert captured.partitions["0"].error is stopped
    assert captured.partitions["1"].event_count == 1
    landed = hub.landed(captured.incarnation).get("0", [])
    assert landed == hub.sent["0"][: len(landed)]
    assert len(landed) <= 400
    hub.assert_consistent()
    hub.behave()
    hub.assert_all_is_captured(hub.capture())


def test_the_same_event_again_and_again_is_no_progress(hub: HubUnderTest) -> None:
    hub.behave("replay:back=1000,every=1,partition=0", "slow:rate=500,every=1,partition=0")
    captured = hub.capture(silence_seconds=8.0)
    assert "events after 0 but sent none for 24 s" in str(captured.partitions["0"].error)
    assert hub.landed(captured.incarnation)["0"] == hub.sent["0"][:1]
    hub.assert_consistent()


@pytest.mark.parametrize("place", ["connect", "$cbs", "$management"])
def test_a_hub_that_never_answers_is_given_up(hub: HubUnderTest, place: str) -> None:
    hub.behave(f"silence:on={place},every=0")
    with pytest.raises(SourceUnavailable, match="accepts connections but doesn't answer"):
        hub.capture()
    hub.behave()
    hub.assert_all_is_captured(hub.capture())


def test_a_hub_that_refuses_every_token_says_so(hub: HubUnderTest) -> None:
    hub.behave("refused:on=$cbs,every=0")
    with pytest.raises(SourceUnavailable, match="refused the credentials"):
        hub.capture()


def test_events_that_expire_while_they_are_read_stop_the_partition_with_their_range(
    hub: HubUnderTest,
) -> None:
    hub.behave("expire:below=700,on=events,at=400,partition=0")
    captured = hub.capture()
    assert isinstance(captured.partitions["0"].error, SourceGap)
    assert "partition 0: events 400 to 699 are missing" in str(captured.partitions["0"].error)
    assert len(hub.landed(captured.incarnation)["0"]) == 400
    assert "partition 0: events 400 to 699 are missing" in str(hub.capture().errors[0])
    hub.assert_consistent()


def test_a_start_that_expired_before_the_first_capture_is_no_gap(hub: HubUnderTest) -> None:
    hub.behave("expire:below=100,partition=0")
    hub.sent["0"] = hub.sent["0"][100:]
    hub.assert_all_is_captured(hub.capture())
