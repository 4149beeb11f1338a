"""The commit protocol on a real Delta table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from oai_usage_pipeline.capture.commit import ATTEMPTS, CommittedRange, Step, commit
from oai_usage_pipeline.capture.landing import bronze_frame, land
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import LakeDamaged, LakeUnavailable, PositionConflict, SourceGap
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import event

HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0", "1"))
FINGERPRINT = KeyFingerprint(b"pepper of the tests", 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def open_table(lake: Lake) -> Callable[[], LakeTable]:
    return lambda: lake.table(OPENAI_EVENTS)


def batch(numbers: dict[str, range]) -> pl.DataFrame:
    rows = [land(each, event(number), FINGERPRINT) for each, found in numbers.items() for number in found]
    return bronze_frame(HUB, rows)


def numbers_in(lake: Lake, partition_id: str) -> list[int]:
    rows = lake.table(OPENAI_EVENTS).scan().filter(pl.col("partition_id") == partition_id).collect()
    return sorted(rows["sequence_number"])


def no_pause(_: float) -> None: ...


def test_rows_and_positions_of_several_partitions_share_one_commit(
    lake: Lake, open_table: Callable[[], LakeTable]
) -> None:
    before = open_table().version
    added = commit(open_table, HUB, batch({"0": range(5), "1": range(3)}))
    table = open_table()
    assert table.version == before + 1
    assert added == [CommittedRange("0", 0, 4, 5, 0), CommittedRange("1", 0, 2, 3, 0)]
    assert [table.position(HUB.app_id(each)) for each in ("0", "1")] == [4, 2]


def test_rejected_rows_share_the_commit_of_their_position(
    lake: Lake, open_table: Callable[[], LakeTable]
) -> None:
    before = open_table().version
    rows = [land("0", event(n, b"no JSON" if n % 2 else None), FINGERPRINT) for n in range(4)]
    assert commit(open_table, HUB, bronze_frame(HUB, rows)) == [CommittedRange("0", 0, 3, 4, 2)]
    assert open_table().version == before + 1
    assert open_table().position(HUB.app_id("0")) == 3
    assert numbers_in(lake, "0") == [0, 1, 2, 3]


def test_the_same_batch_twice_is_in_bronze_once(lake: Lake, open_table: Callable[[], LakeTable]) -> None:
    commit(open_table, HUB, batch({"0": range(5)}))
    assert commit(open_table, HUB, batch({"0": range(5)})) == []
    assert numbers_in(lake, "0") == list(range(5))


def test_an_overlapping_batch_adds_only_what_is_new(lake: Lake, open_table: Callable[[], LakeTable]) -> None:
    commit(open_table, HUB, batch({"0": range(5)}))
    assert commit(open_table, HUB, batch({"0": range(3, 9)})) == [CommittedRange("0", 5, 8, 4, 0)]
    assert numbers_in(lake, "0") == list(range(9))


def test_position_zero_is_a_position(lake: Lake, open_table: Callable[[], LakeTable]) -> None:
    commit(open_table, HUB, batch({"0": range(1)}))
    commit(open_table, HUB, batch({"0": range(2)}))
    assert numbers_in(lake, "0") == [0, 1]


def test_a_partition_never_captured_may_begin_anywhere(
    lake: Lake, open_table: Callable[[], LakeTable]
) -> None:
    commit(open_table, HUB, batch({"0": range(1000, 1003)}))
    assert numbers_in(lake, "0") == [1000, 1001, 1002]


def test_a_gap_is_refused_with_its_exact_range_and_nothing_is_written(
    lake: Lake, open_table: Callable[[], LakeTable]
) -> None:
    commit(open_table, HUB, batch({"0": range(5)}))
    with pytest.raises(SourceGap, match="partition 0: events 5 to 7 are missing"):
        commit(open_table, HUB, batch({"0": range(8, 10), "1": range(2)}))
    assert numbers_in(lake, "0") == list(range(5))
    assert numbers_in(lake, "1") == []


def test_a_hole_inside_a_batch_is_a_gap(open_table: Callable[[], LakeTable]) -> None:
    holed = batch({"0": range(10)}).filter(~pl.col("sequence_number").is_in([4, 5]))
    with pytest.raises(SourceGap, match="events 4 to 5 are missing"):
        commit(open_table, HUB, holed)


def test_a_single_event_that_is_missing_is_a_gap(open_table: Callable[[], LakeTable]) -> None:
    holed = batch({"0": range(10)}).filter(pl.col("sequence_number") != 4)
    with pytest.raises(SourceGap, match="events 4 to 4 are missing"):
        commit(open_table, HUB, holed)


def test_attempts_are_logged_with_their_number_and_a_conflict_as_nothing_to_worry_about(
    open_table: Callable[[], LakeTable], caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = [OSError("no answer"), PositionConflict("another was first")]

    def fail_twice(step: Step) -> None:
        if step == "checked" and errors:
            raise errors.pop(0)

    with caplog.at_level("INFO", "oai_usage_pipeline.capture.commit"):
        commit(open_table, HUB, batch({"0": range(5)}), fail_twice, no_pause)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "Commit attempt 1: no answer"),
        ("INFO", "Commit attempt 2: another was first"),
    ]


@pytest.mark.parametrize("numbers", [[0, 1, 1, 2], [0, 2, 1], [3, 2]], ids=["again", "older", "only older"])
def test_events_out_of_order_are_refused_and_nothing_is_written(
    numbers: list[int], lake: Lake, open_table: Callable[[], LakeTable]
) -> None:
    rows = bronze_frame(HUB, [land("0", event(number), FINGERPRINT) for number in numbers])
    everything = {"0": ((0, 10),)}
    with pytest.raises(SourceGap, match="out of order"):
        commit(open_table, HUB, rows, acknowledged=everything)
    assert numbers_in(lake, "0") == []


def test_acknowledged_numbers_are_passed_over_and_no_others(
    lake: Lake, open_table: Callable[[], LakeTable]
) -> None:
    commit(open_table, HUB, batch({"0": range(5), "1": range(5)}))
    later = batch({"0": range(8, 10)})
    for acknowledged in ({"0": ((5, 6),)}, {"0": ((6, 7),)}, {"1": ((5, 7),)}):
        with pytest.raises(SourceGap, match="are missing"):
            commit(open_table, HUB, later, acknowledged=acknowledged)
    assert numbers_in(lake, "0") == list(range(5))
    added = commit(open_table, HUB, later, acknowledged={"0": ((5, 7),)})
    assert added == [CommittedRange("0", 8, 9, 2, 0)]
    assert open_table().position(HUB.app_id("0")) == 9


def test_a_hub_made_again_does_not_collide_with_its_former_life(
    lake: Lake, open_table: Callable[[], LakeTable]
) -> None:
    reborn = Hub(HUB.event_hub, "2026-02-01T00:00:00.000Z", HUB.partition_ids)
    commit(open_table, HUB, batch({"0": range(5)}))
    commit(open_table, reborn, batch({"0": range(3)}))
    table = open_table()
    assert [table.position(hub.app_id("0")) for hub in (HUB, reborn)] == [4, 2]
    assert numbers_in(lake, "0") == [0, 0, 1, 1, 2, 2, 3, 4]


def test_a_reply_lost_after_the_commit_does_not_double_the_batch(
    lake: Lake, open_table: Callable[[], LakeTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    append = LakeTable.append
    lost = iter([True])

    def append_and_lose_the_reply(self: LakeTable, *args: Any, **options: Any) -> None:
        append(self, *args, **options)
        if next(lost, False):
            raise OSError("connection reset while waiting for the reply")

    monkeypatch.setattr(LakeTable, "append", append_and_lose_the_reply)
    added = commit(open_table, HUB, batch({"0": range(5)}), pause=no_pause)
    assert added == [CommittedRange("0", 0, 4, 5, 0)]
    commit(open_table, HUB, batch({"0": range(5, 8)}), pause=no_pause)
    assert numbers_in(lake, "0") == list(range(8))


def test_of_two_committers_with_the_same_events_one_wins_and_the_other_adds_nothing(
    lake: Lake, open_table: Callable[[], LakeTable]
) -> None:
    other_was_faster = iter([True])

    def race(step: Step) -> None:
        if step == "checked" and next(other_was_faster, False):
            commit(open_table, HUB, batch({"0": range(7)}))

    assert commit(open_table, HUB, batch({"0": range(5)}), race, no_pause) == []
    assert numbers_in(lake, "0") == list(range(7))


def test_committers_of_different_partitions_do_not_hinder_each_other(
    lake: Lake, open_table: Callable[[], LakeTable]
) -> None:
    attempts: list[Step] = []

    def other_partition_first(step: Step) -> None:
        attempts.append(step)
        if step == "checked" and attempts.count("checked") == 1:
            commit(open_table, HUB, batch({"1": range(4)}))

    commit(open_table, HUB, batch({"0": range(5)}), other_partition_first, no_pause)
    assert attempts == ["opened", "checked", "appended"]
    assert [numbers_in(lake, each) for each in ("0", "1")] == [list(range(5)), list(range(4))]


def test_a_lake_that_stays_broken_is_an_error_that_says_what_happens_next(
    open_table: Callable[[], LakeTable],
) -> None:
    pauses: list[float] = []

    def broken(_: Step) -> None:
        raise OSError("no space left on device")

    with pytest.raises(LakeUnavailable, match=r"no space left on device.*the next run reads them again"):
        commit(open_table, HUB, batch({"0": range(5)}), broken, pauses.append)
    assert len(pauses) == ATTEMPTS - 1 == 11
    # About half a minute in all: a store that restarts is waited for, a run that hopes for ever is not.
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
    assert open_table().row_count() == 0


def test_a_table_that_would_forget_positions_is_refused(
    lake: Lake, open_table: Callable[[], LakeTable]
) -> None:
    open_table()
    DeltaTable(lake.uri(OPENAI_EVENTS)).alter.set_table_properties(
        {"delta.setTransactionRetentionDuration": "interval 7 days"}, raise_if_not_exists=False
    )
    with pytest.raises(LakeDamaged, match="setTransactionRetentionDuration"):
        commit(open_table, HUB, batch({"0": range(5)}))


def test_the_delta_log_holds_no_payload_and_no_key(lake: Lake, open_table: Callable[[], LakeTable]) -> None:
    secret = b'{"AppSubscriptionKey":"0123456789abcdef0123456789abcdef","Request":"top secret prompt"}'
    rows = [land("0", event(0, secret), FINGERPRINT)]
    commit(open_table, HUB, bronze_frame(HUB, rows))
    log = "".join(path.read_text() for path in Path(lake.uri(OPENAI_EVENTS), "_delta_log").glob("*.json"))
    assert "sequence_number" in log
    assert "top secret" not in log
    assert "0123456789abcdef" not in log
    assert FINGERPRINT.of("0123456789abcdef0123456789abcdef") not in log
