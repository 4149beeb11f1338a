"""Whole capture runs: what stops one partition must not stop the others, and nothing is taken twice."""

from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.capture.run import Captured, CaptureRun
from oai_usage_pipeline.errors import ConfigurationError, SourceGap, SourceUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import ListSource, event


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def run(source: ListSource, lake: Lake, *only: str) -> Captured:
    fingerprint = KeyFingerprint(b"pepper of the tests", 1)
    return CaptureRun(source, lake, fingerprint, only, limits=Limits(rows=25)).execute()


def hub(**counts: int) -> ListSource:
    return ListSource({each[1:]: [event(number) for number in range(n)] for each, n in counts.items()})


def captured_numbers(lake: Lake) -> dict[str, list[int]]:
    rows = lake.table(OPENAI_EVENTS).scan().sort("sequence_number").collect()
    return {str(key[0]): list(group["sequence_number"]) for key, group in rows.group_by("partition_id")}


def assert_sound(lake: Lake) -> None:
    for invariant in (nothing_lost, nothing_doubled, positions_match):
        assert invariant(lake).holds, invariant(lake).sentence


def test_all_partitions_are_captured_in_commits_that_they_share(lake: Lake) -> None:
    captured = run(hub(p0=40, p1=10, p2=0, p3=1), lake)
    assert captured.event_count == 51
    assert captured.commit_count == 2
    assert {each: len(found) for each, found in captured_numbers(lake).items()} == {"0": 40, "1": 10, "3": 1}
    assert captured.partitions["2"].first is None
    assert_sound(lake)


def test_a_second_run_adds_nothing_and_a_third_only_what_is_new(lake: Lake) -> None:
    run(hub(p0=40), lake)
    assert run(hub(p0=40), lake).commit_count == 0
    captured = run(hub(p0=45), lake)
    assert (captured.partitions["0"].first, captured.partitions["0"].last) == (40, 44)
    assert_sound(lake)


def test_chosen_partitions_only_so_that_processes_can_share_a_hub(lake: Lake) -> None:
    run(hub(p0=5, p1=5), lake, "1")
    assert list(captured_numbers(lake)) == ["1"]
    run(hub(p0=5, p1=5), lake, "0")
    assert sorted(captured_numbers(lake)) == ["0", "1"]


def test_a_partition_that_does_not_exist_is_named(lake: Lake) -> None:
    with pytest.raises(ConfigurationError, match="no partition 7: it has 0, 1"):
        run(hub(p0=5, p1=5), lake, "7")


def test_partitions_added_to_the_hub_are_read_from_their_start(lake: Lake) -> None:
    run(hub(p0=5), lake)
    run(hub(p0=5, p1=3), lake)
    assert captured_numbers(lake) == {"0": [0, 1, 2, 3, 4], "1": [0, 1, 2]}


def test_what_the_source_sends_again_is_dropped(lake: Lake) -> None:
    source = hub(p0=40)
    source.replays = 2
    captured = run(source, lake)
    assert captured.partitions["0"].duplicate_count > 0
    assert_sound(lake)


def test_expired_events_stop_their_partition_with_the_exact_range_and_the_others_go_on(
    lake: Lake,
) -> None:
    run(hub(p0=10, p1=10), lake)
    source = hub(p0=30, p1=30)
    source.partitions["0"] = source.partitions["0"][15:]
    captured = run(source, lake)
    assert isinstance(captured.partitions["0"].error, SourceGap)
    assert "partition 0: events 10 to 14 are missing" in str(captured.partitions["0"].error)
    assert captured_numbers(lake)["0"] == list(range(10))
    assert captured_numbers(lake)["1"] == list(range(30))
    assert_sound(lake)


@pytest.mark.parametrize("expired", [10, 25], ids=["some of what was there", "all that was there"])
def test_events_that_expire_while_the_first_capture_begins_are_named(
    expired: int, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = hub(p0=20)
    held_at_first = {each: source.bounds(each) for each in source.partitions}
    monkeypatch.setattr(source, "bounds", held_at_first.__getitem__)
    source.partitions["0"] = [event(number) for number in range(expired, 30)]
    captured = run(source, lake)
    assert f"events 0 to {expired - 1} are missing" in str(captured.errors[0])


def test_a_hub_that_lost_events_is_no_idle_hub(lake: Lake) -> None:
    run(hub(p0=20), lake)
    assert "event 19 is committed, but the hub's last is 9" in str(run(hub(p0=10), lake).errors[0])


def test_events_that_expired_from_an_emptied_partition_are_a_gap_too(lake: Lake) -> None:
    run(hub(p0=10), lake)
    source = hub(p0=30)
    source.partitions["0"] = source.partitions["0"][29:]
    assert "events 10 to 28 are missing" in str(run(source, lake).errors[0])


def test_a_hole_in_what_the_source_delivers_stops_the_partition_before_it(lake: Lake) -> None:
    source = hub(p0=30, p1=5)
    del source.partitions["0"][12]
    captured = run(source, lake)
    assert "events 12 to 12 are missing" in str(captured.errors[0])
    assert captured_numbers(lake)["0"] == list(range(12))
    assert captured_numbers(lake)["1"] == list(range(5))
    assert_sound(lake)


def test_a_partition_that_fails_does_not_stop_the_others(lake: Lake) -> None:
    source = hub(p0=30, p1=30)
    source.failing = {"0"}
    captured = run(source, lake)
    assert [type(error) for error in captured.errors] == [SourceUnavailable]
    assert captured_numbers(lake) == {"1": list(range(30))}


@pytest.mark.parametrize("reborn_count", [3, 60], ids=["lower numbers", "already higher numbers"])
def test_a_hub_made_again_starts_a_new_incarnation(reborn_count: int, lake: Lake) -> None:
    run(hub(p0=40), lake)
    reborn = hub(p0=reborn_count)
    reborn.incarnation = "2026-02-01T00:00:00.000Z"
    assert run(reborn, lake).event_count == reborn_count
    by_life = lake.table(OPENAI_EVENTS).scan().group_by("incarnation").len().sort("incarnation").collect()
    assert list(by_life["len"]) == [40, reborn_count]
    assert_sound(lake)


def test_unreadable_events_keep_their_bytes_and_a_reason(lake: Lake) -> None:
    source = ListSource({"0": [event(0), event(1, b"not json \xff"), event(2, b"")]})
    captured = run(source, lake)
    assert captured.partitions["0"].unreadable_count == 2
    rows = lake.table(OPENAI_EVENTS).scan().sort("sequence_number").collect()
    assert list(rows["body"]) == [None, b"not json \xff", b""]
    assert rows["reason"].is_null().to_list() == [True, False, False]


def test_a_fault_of_our_own_in_a_reader_ends_the_run_loudly(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("oai_usage_pipeline.capture.run.land", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run(hub(p0=5), lake)
    assert lake.table(OPENAI_EVENTS).scan().select(pl.len()).collect().item() == 0
