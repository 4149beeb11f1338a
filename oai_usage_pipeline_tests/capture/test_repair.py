"""`repair` sets a damaged table right, whatever was done to it; then all holds and capture goes on."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.capture.acknowledgement import acknowledge_gap
from oai_usage_pipeline.capture.gaps import gaps_of
from oai_usage_pipeline.capture.remedies import Site
from oai_usage_pipeline.capture.repair import Plan, Repair
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import SourceUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import CAPTURE_GAPS, OPENAI_EVENTS
from oai_usage_pipeline_tests.capture import damage
from oai_usage_pipeline_tests.capture.damage import (
    FINGERPRINT,
    NOW,
    capture,
    captured_lake,
    delete_change_files,
    hub,
    repair,
)
from oai_usage_pipeline_tests.capture.list_source import ListSource

MORE = {"0": 50, "1": 25}
HARM = [
    damage.restore,
    damage.overwrite,
    damage.overwrite_with_nothing,
    damage.delete_tail,
    damage.delete_middle,
    damage.delete_middle_and_tail,
    damage.double_by_a_foreign_append,
    damage.forget_positions,
    damage.cut_last_log_entry,
    damage.lose_a_file,
    damage.cut_a_file,
]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return captured_lake(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """What the lake holds after the same captures, when nobody has done it harm."""
    lake = captured_lake(tmp_path_factory.mktemp("untouched"))
    capture(hub(MORE), lake)
    return content(lake)


def named(harm: Callable[[Lake], None]) -> str:
    return harm.__name__


def content(lake: Lake) -> pl.DataFrame:
    return damage.rows(lake).sort("partition_id", "sequence_number")


def assert_sound(lake: Lake) -> None:
    for invariant in (nothing_lost, nothing_doubled, positions_match):
        assert invariant(lake).holds, invariant(lake).sentence


def look(source: ListSource, lake: Lake) -> Plan:
    return Repair(source, lake, FINGERPRINT, lambda: NOW, lambda _: False).execute()


@pytest.mark.parametrize("forget", [False, True], ids=["old files kept", "old files gone"])
@pytest.mark.parametrize("harm", HARM, ids=named)
def test_after_the_repair_nothing_is_lost_doubled_or_altered_and_capture_goes_on(
    harm: Callable[[Lake], None], forget: bool, lake: Lake, untouched: pl.DataFrame
) -> None:
    harm(lake)
    if forget:
        damage.forget_old_files(lake)
    assert repair(hub(MORE), lake)
    version = lake.existing(OPENAI_EVENTS).version
    assert repair(hub(MORE), lake) == []
    assert lake.existing(OPENAI_EVENTS).version == version
    assert capture(hub(MORE), lake).errors == []
    assert content(lake).equals(untouched)
    assert_sound(lake)


def test_what_the_hub_no_longer_has_comes_from_the_tables_old_files(lake: Lake) -> None:
    before = content(lake)
    damage.overwrite_with_nothing(lake)
    [done] = repair(hub(MORE, first=20), lake)
    assert done.startswith("Put back what WRITE at")
    assert content(lake).equals(before)
    assert gaps_of(lake) == []


@pytest.mark.parametrize("harm", [damage.restore, damage.delete_tail], ids=named)
def test_what_nobody_has_any_more_at_the_end_is_a_gap_that_stops_the_partition_until_acknowledged(
    harm: Callable[[Lake], None], lake: Lake
) -> None:
    harm(lake)
    damage.table(lake).optimize.compact()
    delete_change_files(lake)
    damage.forget_old_files(lake)
    left = damage.numbers(lake)[-1]
    repair(hub({"0": 50, "1": 50}, first=30), lake)
    [gap, *_] = gaps_of(lake)
    assert (gap.partition_id, gap.range, gap.is_open) == ("0", (left + 1, 29), True)
    assert gap.before_at - gap.after_at == timedelta(seconds=30 - left)  # type: ignore[operator]  # both are known
    [stopped] = [
        each for each in capture(hub({"0": 50, "1": 50}, first=30), lake).errors if "partition 0" in str(each)
    ]
    assert f"events {left + 1} to 29 are missing" in str(stopped)
    for each in gaps_of(lake):
        acknowledge_gap(
            hub({"0": 50, "1": 50}, first=30), lake, each.partition_id, *each.range, "Ada", "restored", NOW
        )
    assert [
        e for e in capture(hub({"0": 50, "1": 50}, first=30), lake).errors if "partition 0" in str(e)
    ] == []
    assert damage.numbers(lake)[-1] == 49
    assert repair(hub({"0": 50, "1": 50}, first=30), lake) == []


def test_a_record_of_gaps_that_was_lost_is_made_again(tmp_path: Path) -> None:
    lake, later = Lake(str(tmp_path / "lake")), hub({"0": 20}, first=15)
    capture(hub({"0": 10}), lake)
    capture(later, lake)
    acknowledge_gap(later, lake, "0", 10, 14, "Ada", "retention was a day", NOW)
    assert capture(later, lake).event_count == 5
    shutil.rmtree(lake.uri(CAPTURE_GAPS))
    assert (
        "10 to 14. Where `oai-usage gaps` doesn't list them, `oai-usage repair`"
        in nothing_lost(lake).sentence
    )
    repair(later, lake)
    assert [(each.range, each.is_open) for each in gaps_of(lake)] == [((10, 14), True)]


def test_a_hole_in_the_middle_of_which_the_hub_has_half_is_filled_and_the_rest_recorded(lake: Lake) -> None:
    damage.delete_middle(lake)
    delete_change_files(lake)
    damage.forget_old_files(lake)
    done = repair(hub(MORE, first=10), lake)
    assert [each.split(":")[0] for each in done] == [
        "Record as missing what can't be had any more",
        "Land again from the Event Hub",
    ]
    assert [(each.partition_id, each.range) for each in gaps_of(lake)] == [("0", (7, 9)), ("1", (7, 9))]
    assert damage.numbers(lake) == [*range(7), *range(10, 40)]
    assert not nothing_lost(lake).holds
    for each in gaps_of(lake):
        acknowledge_gap(hub(MORE, first=10), lake, each.partition_id, *each.range, "Ada", "deleted", NOW)
    assert capture(hub(MORE, first=10), lake).errors == []
    assert_sound(lake)
    assert repair(hub(MORE, first=10), lake) == []


def test_what_the_hub_itself_has_a_hole_in_is_recorded_and_what_lies_behind_it_landed(lake: Lake) -> None:
    damage.delete_middle(lake)
    delete_change_files(lake)
    damage.forget_old_files(lake)
    holed = hub(MORE)
    holed.partitions["0"] = [each for each in holed.partitions["0"] if each.sequence_number not in (9, 10)]
    repair(holed, lake)
    assert [(each.partition_id, each.range) for each in gaps_of(lake)] == [("0", (9, 10))]
    assert damage.numbers(lake) == [*range(9), *range(11, 40)]


def test_a_partition_that_lost_all_of_which_the_hub_has_nothing_keeps_its_position(lake: Lake) -> None:
    damage.overwrite_with_nothing(lake)
    damage.forget_old_files(lake)
    done = repair(hub({"0": 50, "1": 50}, first=45), lake)
    assert len(done) == 1
    assert [(each.partition_id, each.range) for each in gaps_of(lake)] == [("0", (0, 39)), ("1", (0, 19))]
    assert lake.existing(OPENAI_EVENTS).position("capture/namespace/hub/2026-01-05T08:00:00.000Z/0") == 39
    stopped = capture(hub({"0": 50, "1": 50}, first=45), lake)
    assert "events 40 to 44 are missing" in str(stopped.errors[0])


def test_silver_still_tells_with_which_event_capture_began(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    capture(hub({"0": 40}, first=5), lake)
    refresh_days(
        lake, USAGE_EVENTS_DERIVATION, [each.day for each in stale_days(lake, USAGE_EVENTS_DERIVATION)]
    )
    damage.overwrite_with_nothing(lake)
    damage.forget_old_files(lake)
    repair(hub({"0": 40}, first=10), lake)
    assert [each.range for each in gaps_of(lake)] == [(5, 9)]
    assert damage.numbers(lake) == list(range(10, 40))


def test_a_former_life_of_the_hub_that_lost_rows_gets_a_gap(lake: Lake) -> None:
    reborn = replace(hub(MORE), incarnation="2026-02-01T00:00:00.000Z")
    capture(reborn, lake)
    damage.table(lake).delete("incarnation = '2026-01-05T08:00:00.000Z' AND sequence_number > 30")
    delete_change_files(lake)
    damage.forget_old_files(lake)
    repair(replace(hub(MORE), incarnation=reborn.incarnation), lake)
    assert [(each.incarnation, each.range) for each in gaps_of(lake)] == [
        ("2026-01-05T08:00:00.000Z", (31, 39))
    ]
    assert positions_match(lake).holds
    assert nothing_lost(lake).holds


def test_rows_of_another_hub_are_left_to_its_own_settings(lake: Lake) -> None:
    damage.delete_middle(lake)
    delete_change_files(lake)
    damage.forget_old_files(lake)
    other = OtherHub({"0": [], "1": []})
    plan = Repair(other, lake, FINGERPRINT, lambda: NOW, lambda _: True).execute()
    assert [each.split(" lacks ")[1] for each in plan.left] == [
        "6 events, 7 to 12: repair it by that hub's settings"
    ] * 2
    assert gaps_of(lake) == []


class OtherHub(ListSource):
    def describe(self) -> Hub:
        return replace(super().describe(), event_hub="namespace/other")


def test_rows_that_differ_are_left_to_a_person_and_named(lake: Lake) -> None:
    differing = (
        damage.rows(lake).filter(pl.col("sequence_number") == 3).with_columns(Response=pl.lit("other"))
    )
    write_deltalake(damage.table(lake), differing, mode="append")
    plan = Repair(hub(MORE), lake, FINGERPRINT, lambda: NOW, lambda _: True).execute()
    assert "namespace/hub partition 0: event 3 has 2 rows that differ" in plan.left
    assert plan.remedies == ()
    assert len(damage.rows(lake)) == 62


def test_a_hub_that_lost_events_too_is_left_to_a_person(lake: Lake) -> None:
    damage.delete_tail(lake)
    delete_change_files(lake)
    damage.forget_old_files(lake)
    plan = Repair(hub({"0": 30, "1": 25}), lake, FINGERPRINT, lambda: NOW, lambda _: True).execute()
    assert "lacks events up to 39, but the hub's last is 29" in plan.left[0]
    assert plan.remedies == ()


def test_a_hub_that_delivers_nothing_is_no_reason_for_a_gap(lake: Lake) -> None:
    damage.delete_middle(lake)
    delete_change_files(lake)
    damage.forget_old_files(lake)
    silent = hub(MORE)
    silent.close()
    with pytest.raises(SourceUnavailable, match="delivers none"):
        repair(silent, lake)
    assert gaps_of(lake) == []


def test_looking_changes_nothing(lake: Lake) -> None:
    damage.restore(lake)
    version = lake.existing(OPENAI_EVENTS).version
    assert len(look(hub(MORE), lake).remedies) == 1
    assert lake.existing(OPENAI_EVENTS).version == version


def test_what_was_not_agreed_to_is_asked_for_again(lake: Lake) -> None:
    damage.lose_a_file(lake)
    asked: list[list[str]] = []

    def agree(plan: Plan) -> bool:
        asked.append([type(each).__name__ for each in plan.remedies])
        return True

    repair(hub(MORE), lake, agree)
    assert asked == [["ForgetFiles"], ["MovePositions"]]


def test_a_capture_while_somebody_thinks_about_the_question_is_not_undone(lake: Lake) -> None:
    damage.forget_positions(lake)

    def capture_meanwhile(plan: Plan) -> bool:
        del plan
        # Of a former version that has no preflight: by the position that it finds.
        positions = {f"capture/namespace/hub/2026-01-05T08:00:00.000Z/{each}": last for each, last in MOVED}
        lake.existing(OPENAI_EVENTS).append(OPENAI_EVENTS.empty(), positions)
        return True

    assert repair(hub(MORE), lake, capture_meanwhile) == []
    assert_sound(lake)


MOVED = (("0", 39), ("1", 19))


@pytest.mark.parametrize("harm", [damage.restore, damage.double_by_a_foreign_append], ids=named)
def test_a_commit_between_looking_and_repairing_makes_it_look_again(
    harm: Callable[[Lake], None], lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    harm(lake)
    tries: list[str] = []

    class Raced(Repair):
        def _look(self) -> tuple[Site, Plan]:
            site, plan = super()._look()
            tries.append("look")
            if len(tries) == 2:
                # Positions that are read anew are committed once more, as any capture does.
                key = "capture/namespace/hub/2026-01-05T08:00:00.000Z/0"
                other = self.lake.existing(OPENAI_EVENTS)
                other.append(OPENAI_EVENTS.empty(), {key: other.position(key) or 0})
            return site, plan

    raced = Raced(hub(MORE), lake, FINGERPRINT, lambda: NOW, lambda _: True)
    assert raced.execute().is_sound
    assert len(tries) > 3
    assert capture(hub(MORE), lake).errors == []
    assert_sound(lake)


def test_two_repairs_at_once_do_it_once(lake: Lake) -> None:
    damage.delete_middle_and_tail(lake)
    repairs = [start(lake, "never") for _ in range(2)]
    assert [each.wait() for each in repairs] == [0, 0]
    assert capture(hub(MORE), lake).errors == []
    assert_sound(lake)
    assert damage.numbers(lake) == list(range(50))


@pytest.mark.parametrize(
    ("harm", "step"),
    [(damage.lose_a_file, "1"), (damage.delete_middle_and_tail, "1"), (damage.delete_middle_and_tail, "2")],
)
def test_killed_after_any_commit_it_is_finished_by_the_next(
    harm: Callable[[Lake], None], step: str, tmp_path: Path
) -> None:
    lake = captured_lake(tmp_path)
    if harm is damage.lose_a_file:
        damage.lose_a_file(lake, 0)
    else:
        harm(lake)
    delete_change_files(lake)
    if harm is not damage.lose_a_file:
        damage.forget_old_files(lake)
    assert start(lake, step, first=8).wait() in (-signal.SIGKILL, 0)
    repair(hub(MORE, first=8), lake)
    for each in gaps_of(lake):
        acknowledge_gap(hub(MORE, first=8), lake, each.partition_id, *each.range, "Ada", "deleted", NOW)
    assert capture(hub(MORE, first=8), lake).errors == []
    assert_sound(lake)
    assert repair(hub(MORE, first=8), lake) == []


def start(lake: Lake, step: str, first: int = 0) -> "subprocess.Popen[bytes]":
    module = "oai_usage_pipeline_tests.capture.crashing_repair"
    return subprocess.Popen([sys.executable, "-m", module, lake.location, step, str(first)], env=os.environ)
