"""Days that become stale are asked for until they are done: none blocks another, and nothing storms."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration import backfills, stale_ranges
from oai_usage_pipeline.orchestration.days import range_tags
from oai_usage_pipeline.orchestration.instance import dagster_instance
from oai_usage_pipeline.orchestration.jobs import LIVE
from oai_usage_pipeline.orchestration.queue import BACKGROUND
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.sensors import stale_days_sensor
from oai_usage_pipeline.orchestration.stale_ranges import LONGEST_WAIT_SECONDS, RETRY_SECONDS, wait_after
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.tables import OPENAI_EVENTS, TOKEN_USAGE_HOURLY
from oai_usage_pipeline_tests.landed import Landing
from oai_usage_pipeline_tests.refresh.next_version import install


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Landing:
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", str(tmp_path / "lake"))
    return Landing(Lake(str(tmp_path / "lake")))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def tick(instance: dg.DagsterInstance) -> tuple[list[tuple[str, str]], str]:
    """The ranges that the sensor asks for, and why it asks for none."""
    context = dg.build_sensor_context(
        instance=instance,
        repository_def=build_definitions().get_repository_def(),
        resources={"pipeline": Pipeline()},
    )
    data = stale_days_sensor.evaluate_tick(context)
    names = list(range_tags("", ""))
    asked = [tuple(request.tags[name] for name in names) for request in data.run_requests or []]
    return [(first, last) for first, last in asked], data.skip_message or ""


def run(instance: dg.DagsterInstance, first: str, last: str) -> bool:
    job = build_definitions().resolve_job_def("refresh")
    tags = range_tags(first, last)
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False).success


def test_after_a_new_contract_a_day_that_fails_blocks_no_other_and_is_tried_ever_more_seldom(
    landing: Landing, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (10, 11, 12):
        landing.send(30, day=day)
    for derivation in DERIVATIONS:
        refresh_days(landing.lake, derivation, [each.day for each in stale_days(landing.lake, derivation)])
    assert tick(instance) == (
        [],
        "No day of silver, gold and cost is behind, or else it is left to a backfill.",
    )
    install(monkeypatch.setattr)
    folder = Path(landing.lake.uri(OPENAI_EVENTS), "enqueued_date=2026-03-11")
    files = {path: path.read_bytes() for path in folder.glob("*.parquet")}
    for path, content in files.items():
        path.write_bytes(content[: len(content) // 2])
    whole = ("2026-03-10", "2026-03-12")
    assert tick(instance) == ([whole], "")
    assert not run(instance, *whole)
    # Silver of two days is done; their gold is not held up by the third.
    alone = [(f"2026-03-{day}", f"2026-03-{day}") for day in (10, 11, 12)]
    assert tick(instance) == (alone, "")
    assert [run(instance, *each) for each in alone] == [True, False, True]
    asked, reason = tick(instance)
    assert asked == []
    assert "2026-03-11 to 2026-03-11 failed; the next try is in" in reason
    for path, content in files.items():
        path.write_bytes(content)
    monkeypatch.setattr(stale_ranges, "RETRY_SECONDS", 0.0)
    assert tick(instance) == (alone[1:2], "")
    assert run(instance, *alone[1])
    assert tick(instance)[0] == []
    for derivation in DERIVATIONS[-1:]:
        refresh_days(landing.lake, derivation, [each.day for each in stale_days(landing.lake, derivation)])
    assert [each.sentence for each in verify(landing.lake) if not each.holds] == []


def test_the_pause_doubles_with_each_failure_and_ends() -> None:
    now = datetime.now(UTC).timestamp()
    assert wait_after(1, now) == pytest.approx(RETRY_SECONDS, abs=5)
    assert wait_after(3, now) == pytest.approx(4 * RETRY_SECONDS, abs=5)
    assert wait_after(50, now) == pytest.approx(LONGEST_WAIT_SECONDS, abs=5)
    assert wait_after(50, now - LONGEST_WAIT_SECONDS) == 0.0


def test_many_days_are_one_backfill_which_comes_back_an_hour_after_it_was_cancelled(
    landing: Landing, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [(date(2026, 3, 10) + timedelta(days=number)).isoformat() for number in range(3)]
    monkeypatch.setattr(backfills, "MANY_DAYS", 2)
    for day in (10, 11, 12):
        landing.send(5, day=day)
    assert tick(instance)[0] == []
    [made] = instance.get_backfills()
    graph = backfills.asset_graph()
    assert backfills.days_under_way(instance, graph) == {made.backfill_id: set(days)}
    # It has them all: neither another one nor runs are asked for.
    assert tick(instance)[0] == []
    cancelled = made.with_status(BulkActionStatus.CANCELED)  # type: ignore[no-untyped-call]  # Dagster's own
    instance.update_backfill(cancelled.with_end_timestamp(datetime.now(UTC).timestamp()))
    assert tick(instance)[0] == []
    assert len(instance.get_backfills()) == 1
    monkeypatch.setattr(backfills, "CANCELLED_FOR", timedelta(0))
    assert tick(instance)[0] == []
    assert len(instance.get_backfills()) == 2


def test_after_a_backfill_failed_the_next_one_waits_and_no_runs_take_its_place(
    landing: Landing, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfills, "MANY_DAYS", 0)
    landing.send(5)
    tick(instance)
    [made] = instance.get_backfills()
    failed = made.with_status(BulkActionStatus.COMPLETED_FAILED)  # type: ignore[no-untyped-call]  # Dagster's own
    instance.update_backfill(failed.with_end_timestamp(datetime.now(UTC).timestamp()))
    assert tick(instance)[0] == []
    assert len(instance.get_backfills()) == 1
    monkeypatch.setattr(stale_ranges, "RETRY_SECONDS", 0.0)
    assert tick(instance)[0] == []
    assert len(instance.get_backfills()) == 2


def test_many_days_beside_a_backfill_of_others_wait_for_its_end(
    landing: Landing, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfills, "MANY_DAYS", 3)
    # No two are neighbours: as runs, they would be one each.
    for day in range(1, 13, 2):
        landing.send(5, day=day)
    graph = backfills.asset_graph()
    somebodys = backfills.plan(landing.lake, instance, "2026-03-01", "2026-03-01")
    launched = backfills.launch(instance, graph, somebodys, by="command")
    assert tick(instance)[0] == []
    assert set(backfills.days_under_way(instance, graph)) == {launched}
    made = instance.get_backfill(launched)
    assert made is not None
    instance.update_backfill(made.with_status(BulkActionStatus.COMPLETED_SUCCESS))  # type: ignore[no-untyped-call]  # Dagster's own
    assert tick(instance)[0] == []
    [days] = backfills.days_under_way(instance, graph).values()
    assert len(days) == 6


def test_a_day_that_fails_in_a_backfill_is_no_part_of_the_next_one(
    landing: Landing, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfills, "MANY_DAYS", 1)
    for day in (10, 11, 12):
        landing.send(5, day=day)
    # As a run leaves them whose silver failed on the eleventh.
    refresh_days(landing.lake, DERIVATIONS[0], ["2026-03-10", "2026-03-12"])
    assert tick(instance)[0] == [("2026-03-11", "2026-03-11")]
    [days] = backfills.days_under_way(instance, backfills.asset_graph()).values()
    assert days == {"2026-03-10", "2026-03-12"}


def test_what_comes_by_itself_leaves_a_place_in_the_queue_to_live_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dagster_instance() as furnished:
        runs = furnished.get_settings("concurrency")["runs"]
    limits = {each["key"]: each["limit"] for each in runs["tag_concurrency_limits"]}
    [background] = BACKGROUND
    assert limits[background] + limits["dagster/backfill"] < runs["max_concurrent_runs"]
    repository = build_definitions().get_repository_def()
    asked_for = {target.job_name for each in repository.sensor_defs for target in each.targets}
    asked_for |= {each.job_name for each in repository.schedule_defs}
    jobs = [repository.get_job(name) for name in asked_for - {LIVE}]
    assert [job.name for job in jobs if not job.tags.items() >= BACKGROUND.items()] == []


def test_the_check_tells_which_days_are_behind_how_many_rows_and_about_how_long(
    landing: Landing, instance: dg.DagsterInstance
) -> None:
    for day in (10, 11, 14):
        landing.send(5, day=day)
    key = dg.AssetCheckKey(dg.AssetKey(TOKEN_USAGE_HOURLY.name), "days_are_current")
    everything = build_definitions().resolve_implicit_global_asset_job_def()
    only = everything.get_subset(asset_check_selection={key})
    [found] = only.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert not found.passed
    assert re.match("about [0-9]+ s, by what two cores", str(found.metadata["takes"].value))
    table = found.metadata["behind"]
    assert isinstance(table, dg.TableMetadataValue)
    [behind] = table.records
    assert behind.data == {
        "table": "usage_events",
        "stale_days": 3,
        "which": "2026-03-10 to 2026-03-11, 2026-03-14",
        "made_anew": 3,
        "source_rows": 15,
    }
