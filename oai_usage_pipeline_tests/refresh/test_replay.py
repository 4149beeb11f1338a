"""Rejected events after a fix: derived anew by reason and day; nothing else is touched, gold follows."""

import copy
import json
import shutil
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner, Result

from oai_usage_pipeline.audit.invariants import (
    gold_equals_silver,
    silver_accounts_for_bronze,
    silver_equals_rebuild,
)
from oai_usage_pipeline.cli import main
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chain import DAILY
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.outcomes import GONE
from oai_usage_pipeline.refresh.replay import Rejection, ReplayedDay, rejections, replay
from oai_usage_pipeline.tables import OPENAI_EVENTS, TOKEN_USAGE_HOURLY, USAGE_EVENTS
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline_tests.landed import Landing

OLD = "oai_usage_pipeline.refresh.silver.derive"
NOW = "oai_usage_pipeline.refresh.outcomes.derive"
FOLLOWING = DAILY[:2]
"""Silver and gold; what follows from gold is no other way."""
DAYS = ("2026-03-10", "2026-03-11", "2026-03-12")


def older_parser(bronze: pl.DataFrame) -> pl.DataFrame:
    """As a version that couldn't read embeddings, and said more than one reason."""
    is_unread = (pl.col("operation") == "embeddings") & (pl.col("status") == "metered")
    read = derive(bronze)
    unread = pl.when(is_unread)
    return read.with_columns(
        unread.then(pl.lit("unknown_operation; no_model")).otherwise("reason").alias("reason"),
        unread.then(pl.lit("rejected")).otherwise("status").alias("status"),
    )


def refresh_all(lake: Lake) -> None:
    for derivation in FOLLOWING:
        refresh_days(lake, derivation, [each.day for each in stale_days(lake, derivation)])


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Landing:
    """Three days of traffic, derived by the older parser on the first two; only to be copied."""
    landing = Landing(Lake(str(tmp_path_factory.mktemp("replay") / "lake")))
    with pytest.MonkeyPatch.context() as older:
        older.setattr(OLD, older_parser)
        for day in (10, 11):
            landing.send(60, day)
        refresh_all(landing.lake)
    landing.send(20, 12)
    refresh_all(landing.lake)
    return landing


@pytest.fixture
def landing(first: Landing, tmp_path: Path) -> Landing:
    copied = copy.deepcopy(first)
    copied.lake = Lake(str(tmp_path / "lake"))
    shutil.copytree(first.lake.location, copied.lake.location)
    return copied


@pytest.fixture
def lake(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", landing.lake.location)
    return landing.lake


def unread(lake: Lake) -> Rejection:
    return next(each for each in rejections(lake) if each.reason == "unknown_operation")


def versions(lake: Lake) -> list[int]:
    return [lake.existing(each.target).version for each in FOLLOWING]


def assert_sound(lake: Lake) -> None:
    for invariant in (
        silver_accounts_for_bronze,
        silver_equals_rebuild,
        gold_equals_silver,
    ):
        assert invariant(lake).holds, invariant(lake).sentence


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", *arguments])


def test_the_reasons_are_listed_without_what_follows_them(lake: Lake) -> None:
    found = unread(lake)
    assert found.events > 2
    assert (found.days, found.first_day, found.last_day) == (2, *DAYS[:2])
    shown = cli()
    assert shown.exit_code == 0
    assert "unknown_operation" in shown.output
    assert f"{found.events}" in shown.output


def test_a_replay_derives_the_days_anew_in_a_commit_each_and_the_rest_follows(lake: Lake) -> None:
    rejected = unread(lake).events
    silver, _ = versions(lake)
    done = replay(lake, "unknown_operation")
    assert [each.day for each in done] == list(DAYS[:2])
    assert sum(each.events for each in done) == sum(each.accepted for each in done) == rejected
    assert [set(each.statuses) for each in done] == [{"metered"}] * 2
    assert lake.existing(USAGE_EVENTS).version == silver + 2
    assert "unknown_operation" not in {each.reason for each in rejections(lake)}
    gold = lake.existing(TOKEN_USAGE_HOURLY).scan().select(pl.col("metered_count").sum()).collect().item()
    refresh_all(lake)
    after = lake.existing(TOKEN_USAGE_HOURLY).scan().select(pl.col("metered_count").sum()).collect().item()
    assert after == gold + rejected
    assert_sound(lake)


def test_a_second_replay_changes_nothing(lake: Lake) -> None:
    replay(lake, "unknown_operation")
    refresh_all(lake)
    before = versions(lake)
    assert replay(lake, "unknown_operation") == []
    assert versions(lake) == before


def test_a_dry_run_tells_the_same_and_writes_nothing(lake: Lake) -> None:
    before = versions(lake)
    told = replay(lake, "unknown_operation", dry_run=True)
    assert versions(lake) == before
    assert [each.is_replaced for each in told] == [False, False]
    assert [each.statuses for each in replay(lake, "unknown_operation")] == [each.statuses for each in told]


def test_only_the_days_asked_for_are_replayed(lake: Lake) -> None:
    assert [each.day for each in replay(lake, "unknown_operation", DAYS[1], DAYS[2])] == [DAYS[1]]
    assert [each.day for each in replay(lake, "unknown_operation", None, DAYS[0])] == [DAYS[0]]
    assert replay(lake, "unknown_operation") == []


def test_what_nobody_mended_stays_rejected_and_its_days_are_not_written(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NOW, older_parser)
    before = versions(lake)
    done = replay(lake, "unknown_operation")
    assert [(each.accepted, each.is_replaced) for each in done] == [(0, False), (0, False)]
    assert "0 of" in str(done[0])
    assert versions(lake) == before


def positions(lake: Lake, day: str, *, status: str) -> dict[str, list[int]]:
    """The numbers of a day's events of a status, by partition."""
    rows = (
        lake.existing(USAGE_EVENTS)
        .scan()
        .filter(pl.col("enqueued_date").cast(pl.String) == day, pl.col("status") == status)
    )
    found = rows.group_by("partition_id").agg(pl.col("sequence_number").sort()).collect()
    return dict(found.iter_rows())


def test_it_is_told_by_position_what_became_of_which_event(lake: Lake) -> None:
    asked = positions(lake, DAYS[0], status="rejected")
    told, _ = replay(lake, "unknown_operation", dry_run=True)
    ours = [each for each in told.outcomes if each.is_asked_for]
    assert {each.partition_id: list(each.sequence_numbers) for each in ours} == asked
    assert {(each.before, each.after) for each in ours} == {("rejected: unknown_operation", "metered")}
    some = ", ".join(map(str, asked["0"][:5]))
    assert f"namespace/hub partition 0, events {some}" in str(told)
    assert [each for each in told.outcomes if not each.is_asked_for] == []


def test_one_that_breaks_while_another_is_mended_is_told_with_its_position(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = positions(lake, DAYS[0], status="metered")["1"][0]

    def parser(bronze: pl.DataFrame) -> pl.DataFrame:
        is_broken = (pl.col("partition_id") == "1") & (pl.col("sequence_number") == number)
        return derive(bronze).with_columns(
            pl.when(is_broken).then(pl.lit("rejected")).otherwise("status").alias("status"),
            pl.when(is_broken).then(pl.lit("broke; today")).otherwise("reason").alias("reason"),
        )

    monkeypatch.setattr(NOW, parser)
    monkeypatch.setattr(OLD, parser)
    first, second = replay(lake, "unknown_operation")
    assert (first.accepted, first.broken, second.broken) == (first.events, 1, 0)
    [broken] = [each for each in first.outcomes if not each.is_asked_for]
    assert (broken.partition_id, broken.sequence_numbers) == ("1", (number,))
    assert (broken.before, broken.after) == ("metered", "rejected: broke")
    assert "others that weren't rejected are now: 1" in str(first)
    assert positions(lake, DAYS[0], status="rejected") == {"1": [number]}


def test_events_rejected_for_another_reason_now_are_no_longer_told_by_the_old_one(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parser(bronze: pl.DataFrame) -> pl.DataFrame:
        return older_parser(bronze).with_columns(
            pl.col("reason").str.replace("unknown_operation", "no_usage")
        )

    monkeypatch.setattr(NOW, parser)
    monkeypatch.setattr(OLD, parser)
    done = replay(lake, "unknown_operation")
    assert [(each.accepted, each.is_replaced) for each in done] == [(0, True), (0, True)]
    assert {each.after for day in done for each in day.outcomes} == {"rejected: no_usage"}
    assert replay(lake, "unknown_operation") == []


def test_an_event_that_bronze_has_lost_is_not_counted_as_mended(lake: Lake) -> None:
    lost = positions(lake, DAYS[0], status="rejected")["0"][0]
    lake.existing(OPENAI_EVENTS)._handle.delete(f"partition_id = '0' AND sequence_number = {lost}")
    told, _ = replay(lake, "unknown_operation", dry_run=True)
    assert told.accepted == told.events - 1
    [gone] = [each for each in told.outcomes if each.after == GONE]
    assert (gone.partition_id, gone.sequence_numbers) == ("0", (lost,))


def test_events_that_arrive_meanwhile_are_derived_with_the_day_or_after_it(
    landing: Landing, lake: Lake
) -> None:
    landing.send(40, 11)

    def send_more(day: ReplayedDay) -> None:
        landing.send(20, int(day.day[-2:]) + 1)

    replay(lake, "unknown_operation", report=send_more)
    landing.send(40, 11)
    refresh_all(lake)
    assert "unknown_operation" not in {each.reason for each in rejections(lake)}
    assert_sound(lake)


def test_the_command_says_by_day_and_in_all_what_became_of_them(lake: Lake) -> None:
    rejected = unread(lake).events
    dry = cli("--reason", "unknown_operation", "--dry-run")
    assert f"{rejected} of {rejected} events would no longer be rejected for unknown_operation" in dry.output
    done = cli("--reason", "unknown_operation", "--from", DAYS[0], "--to", DAYS[2])
    assert done.exit_code == 0
    told = done.output.splitlines()
    assert [line.split(":")[0] for line in told if line.startswith("2026-")] == list(DAYS[:2])
    assert "  namespace/hub partition 0, events " in told[1]
    assert f"{rejected} of {rejected} events are no longer rejected" in done.output
    again = cli("--reason", "unknown_operation")
    assert "No event is rejected for unknown_operation" in again.output


def test_all_positions_are_told_to_programs(lake: Lake) -> None:
    asked = {day: positions(lake, day, status="rejected") for day in DAYS[:2]}
    told = json.loads(cli("--reason", "unknown_operation", "--json").output)
    assert [(each["day"], each["is_replaced"], each["broken"]) for each in told] == [
        (day, True, 0) for day in DAYS[:2]
    ]
    for day in told:
        assert asked[day["day"]] == {
            each["partition_id"]: each["sequence_numbers"] for each in day["outcomes"] if each["is_asked_for"]
        }


@pytest.mark.parametrize(
    "wrong", [["--dry-run"], ["--json"], ["--from", DAYS[0]], ["--reason", "x", "--from", "March"]]
)
def test_options_that_make_no_sense_are_refused(wrong: list[str], lake: Lake) -> None:
    assert cli(*wrong).exit_code == 2


def test_the_job_does_the_same(lake: Lake) -> None:
    rejected = unread(lake).events
    config = {"ops": {"replay_rejected": {"config": {"reason": "unknown_operation"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        done = build_definitions().resolve_job_def("replay").execute_in_process(config, instance)
    assert done.success
    assert "unknown_operation" not in {each.reason for each in rejections(lake)}
    [output] = [each for each in done.all_events if each.event_type_value == "STEP_OUTPUT"]
    assert output.step_output_data.metadata["no_longer_rejected"].value == rejected
