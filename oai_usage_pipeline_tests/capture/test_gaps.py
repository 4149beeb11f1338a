"""The record of gaps on a real Delta table: each once, exact, and nothing acknowledged by accident."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.capture import gaps
from oai_usage_pipeline.capture.gaps import Gap, gaps_of, record_gap, rewrite
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import CAPTURE_GAPS

HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0", "1"))
AFTER = datetime(2026, 1, 5, 9, tzinfo=UTC)
BEFORE = AFTER + timedelta(hours=2)
NOW = AFTER + timedelta(days=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def record(
    lake: Lake, first: int, last: int, partition_id: str = "0", hub: Hub = HUB, now: datetime = NOW
) -> list[Gap]:
    return record_gap(lake, hub, partition_id, first, last, AFTER, BEFORE, now)


def acknowledge(lake: Lake, first: int, last: int) -> None:
    rewrite(
        lake,
        lambda record: [
            replace(each, acknowledged_at=NOW, acknowledged_by="Ada", reason="gone")
            if each.range == (first, last)
            else each
            for each in record
        ],
    )


def ranges(lake: Lake) -> list[tuple[int, int, bool]]:
    return [(*each.range, each.is_open) for each in gaps_of(lake)]


def version(lake: Lake) -> int:
    return lake.existing(CAPTURE_GAPS).version


def test_looking_for_gaps_makes_no_table(lake: Lake) -> None:
    assert gaps_of(lake) == []
    assert not Path(lake.location).exists()


def test_a_gap_is_recorded_with_its_count_and_the_times_around_it(lake: Lake) -> None:
    [found] = record(lake, 10, 14)
    assert gaps_of(lake) == [found]
    [row] = lake.existing(CAPTURE_GAPS).scan().collect().iter_rows(named=True)
    assert row == {
        "event_hub": "namespace/hub",
        "incarnation": HUB.incarnation,
        "partition_id": "0",
        "first_sequence_number": 10,
        "last_sequence_number": 14,
        "event_count": 5,
        "after_at": AFTER,
        "before_at": BEFORE,
        "found_at": NOW,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "reason": None,
    }
    assert "5 events of namespace/hub partition 0 are missing: 10 to 14" in str(found)
    assert "oai-usage gaps acknowledge --partition 0 --first 10 --last 14" in str(found)


def test_a_gap_found_again_is_on_record_once_and_nothing_is_written(lake: Lake) -> None:
    record(lake, 10, 14)
    before = version(lake)
    assert record(lake, 10, 14, now=NOW + timedelta(hours=1)) == gaps_of(lake)
    assert ranges(lake) == [(10, 14, True)]
    assert version(lake) == before


def test_an_open_gap_that_grows_is_the_same_gap(lake: Lake) -> None:
    record(lake, 10, 14)
    record(lake, 10, 20, now=NOW + timedelta(hours=1))
    assert ranges(lake) == [(10, 20, True)]
    assert gaps_of(lake)[0].found_at == NOW


def test_an_open_gap_of_which_some_events_came_shrinks_to_the_rest(lake: Lake) -> None:
    record(lake, 10, 20)
    record(lake, 15, 20, now=NOW + timedelta(hours=1))
    assert ranges(lake) == [(15, 20, True)]
    assert gaps_of(lake)[0].found_at == NOW


def test_a_gap_whose_beginning_moved_takes_over_the_time_before_it_and_one_that_grew_keeps_it(
    lake: Lake,
) -> None:
    later, much_later = AFTER + timedelta(minutes=5), AFTER + timedelta(minutes=9)
    record(lake, 10, 20)
    [shrunk] = record_gap(lake, HUB, "0", 15, 20, later, BEFORE, NOW)
    assert shrunk.after_at == later
    [grown] = record_gap(lake, HUB, "0", 15, 25, much_later, BEFORE, NOW)
    assert grown.after_at == later


def test_what_expired_after_an_acknowledgement_is_a_gap_of_its_own(lake: Lake) -> None:
    record(lake, 10, 14)
    acknowledge(lake, 10, 14)
    [rest] = record(lake, 10, 20)
    assert rest.range == (15, 20)
    assert ranges(lake) == [(10, 14, False), (15, 20, True)]


def test_recording_what_is_acknowledged_changes_nothing(lake: Lake) -> None:
    record(lake, 10, 14)
    acknowledge(lake, 10, 14)
    before = gaps_of(lake)
    assert record(lake, 11, 13) == []
    assert gaps_of(lake) == before


def test_gaps_of_other_partitions_and_lives_of_the_hub_stand_beside(lake: Lake) -> None:
    reborn = Hub(HUB.event_hub, "2026-02-01T00:00:00.000Z", HUB.partition_ids)
    record(lake, 10, 14)
    record(lake, 12, 20, "1")
    record(lake, 8, 30, hub=reborn)
    assert ranges(lake) == [(10, 14, True), (12, 20, True), (8, 30, True)]


def test_a_gap_found_when_the_hub_had_nothing_after_it_ends_when_it_was_found(lake: Lake) -> None:
    [found] = record_gap(lake, HUB, "0", 10, 14, AFTER, None, NOW)
    assert found.before_at == NOW
    [again] = record_gap(lake, HUB, "0", 10, 14, AFTER, None, NOW + timedelta(hours=1))
    assert again.before_at == NOW
    [narrower] = record_gap(lake, HUB, "0", 10, 14, AFTER, BEFORE, NOW + timedelta(hours=2))
    assert narrower.before_at == BEFORE


def test_many_writers_at_once_all_get_their_gap_on_record(lake: Lake) -> None:
    lake.table(CAPTURE_GAPS)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: record(lake, number * 10, number * 10 + 5), range(8)))
    assert ranges(lake) == [(number * 10, number * 10 + 5, True) for number in range(8)]


def test_a_commit_whose_reply_is_lost_records_the_gap_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = LakeTable.replace
    lost = iter([True])

    def replace_and_lose_the_reply(self: LakeTable, rows: pl.DataFrame, positions: dict[str, int]) -> None:
        commit(self, rows, positions)
        if next(lost, False):
            raise PositionConflict("the outcome of this commit is unknown")

    monkeypatch.setattr(LakeTable, "replace", replace_and_lose_the_reply)
    record(lake, 10, 14)
    assert ranges(lake) == [(10, 14, True)]


def test_writers_that_never_get_through_give_up_with_an_error(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(*_: object) -> None:
        raise PositionConflict("another was first")

    monkeypatch.setattr(LakeTable, "replace", conflict)
    with pytest.raises(PositionConflict, match="other writers keep getting ahead"):
        record(lake, 10, 14)
    assert gaps.ATTEMPTS > 1


@pytest.mark.parametrize(("position", "is_passed"), [(None, False), (13, False), (14, True), (15, True)])
def test_an_open_gap_is_passed_once_the_position_reaches_its_last_number(
    lake: Lake, position: int | None, is_passed: bool
) -> None:
    [found] = record(lake, 10, 14)
    assert found.is_passed_by(position) is is_passed
    acknowledge(lake, 10, 14)
    assert not gaps_of(lake)[0].is_passed_by(position)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("neighbour", ["0", "z"])
def test_a_gap_is_of_its_own_hub_life_and_partition_only(lake: Lake, place: int, neighbour: str) -> None:
    [found] = record(lake, 10, 14, "1")
    assert found.is_of(HUB, "1")
    other = [HUB.event_hub, HUB.incarnation, "1"]
    other[place] = neighbour
    assert not found.is_of(Hub(other[0], other[1], ()), other[2])


def test_a_gap_says_between_which_times_it_was_received(lake: Lake) -> None:
    [found] = record(lake, 10, 14)
    assert "received between 2026-01-05 09:00:00 and 2026-01-05 11:00:00 UTC" in str(found)
    assert "received until 2026-01-05 11:00:00 UTC" in str(replace(found, after_at=None))


@pytest.mark.parametrize(
    ("first", "last", "on_record"),
    [
        (14, 20, [(14, 20)]),
        (5, 10, [(5, 10)]),
        (8, 12, [(8, 12)]),
        (15, 20, [(10, 14), (15, 20)]),
        (5, 9, [(5, 9), (10, 14)]),
    ],
)
def test_an_open_gap_gives_way_to_one_that_shares_a_number_with_it_and_to_no_other(
    lake: Lake, first: int, last: int, on_record: list[tuple[int, int]]
) -> None:
    record(lake, 10, 14)
    assert [each.range for each in record(lake, first, last)] == [(first, last)]
    assert [each.range for each in gaps_of(lake)] == on_record


def test_a_gap_of_a_single_event_is_told_to_whoever_records_it(lake: Lake) -> None:
    assert [each.range for each in record(lake, 10, 10)] == [(10, 10)]


@pytest.mark.parametrize("last", [12, 20])
def test_a_gap_that_ends_elsewhere_ends_at_the_time_it_was_found_with(lake: Lake, last: int) -> None:
    record(lake, 10, 14)
    later = BEFORE + timedelta(hours=1)
    [found] = record_gap(lake, HUB, "0", 10, last, AFTER, later, NOW)
    assert found.before_at == later


def test_a_gap_that_begins_earlier_takes_no_time_from_the_one_it_grew_from(lake: Lake) -> None:
    record_gap(lake, HUB, "0", 15, 20, AFTER + timedelta(minutes=5), BEFORE, NOW)
    [found] = record(lake, 10, 20)
    assert found.after_at == AFTER


def test_each_change_of_the_record_moves_its_counter_by_one(lake: Lake) -> None:
    for number in (1, 2):
        record(lake, 10 * number, 10 * number)
        assert lake.existing(CAPTURE_GAPS).position(gaps._COUNTER) == number
