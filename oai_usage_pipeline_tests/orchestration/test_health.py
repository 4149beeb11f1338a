"""The health page and `oai-usage status` say the same: what is wrong, what waits, what runs next."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat

from oai_usage_pipeline.cli import main
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.orchestration import health_asset
from oai_usage_pipeline.orchestration.automation import Automation, automation, idle_daemons
from oai_usage_pipeline.orchestration.health import failed_checks
from oai_usage_pipeline.orchestration.health_asset import health_sensor
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake

NOW = datetime(2026, 11, 28, 17, 20, tzinfo=UTC)
REPOSITORY = build_definitions().get_repository_def()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedLake]:
    with embedded_lake(tmp_path_factory.mktemp("health") / "stack") as running:
        running.send(60)
        running.run()
        yield running


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def status(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["status", *arguments], env={"COLUMNS": "100"})


def looked(instance: dg.DagsterInstance) -> SensorExecutionData:
    context = dg.build_sensor_context(instance, repository_def=REPOSITORY, resources={"pipeline": Pipeline()})
    return health_sensor.evaluate_tick(context)


def named(instance: dg.DagsterInstance, name: str) -> Automation:
    return next(each for each in automation(instance, REPOSITORY, NOW) if each.name == name)


def test_status_and_page_say_the_same_of_what_waits(lake: EmbeddedLake, instance: dg.DagsterInstance) -> None:
    healthy = status()
    assert (healthy.exit_code, "Healthy as of" in healthy.stdout) == (0, True)
    assert max(map(len, healthy.stdout.split("There is no deployments.csv")[0].splitlines())) <= 100
    lake.send(8)
    told = json.loads(status("--json").stdout)
    assert told["problems"] == []
    assert sum(each["lag"] for each in told["partitions"]) == 8
    assert {each["name"] for each in told["automation"]} >= {"backlog_sensor", "nightly_upkeep"}

    [event] = looked(instance).asset_events
    seen: dict[str, Any] = {
        name: getattr(each, "records", each.value) for name, each in event.metadata.items()
    }
    assert seen["lag_events"] == 8
    assert seen["what_to_do"] == "none"
    shown = {each.data["table"]: each.data for each in seen["tables"]}
    assert {name: each["rows"] for name, each in shown.items()} == {
        each["table"]: each["rows"] for each in told["tables"]
    }
    assert {each.data["name"] for each in seen["next_runs"]} >= {"backlog_sensor", "nightly_upkeep"}


def test_what_dagster_can_not_tell_hides_nothing_of_hub_and_lake(
    lake: EmbeddedLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("nonsense: 1")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shown = status()
    assert (shown.exit_code, "usage_events" in shown.stdout) == (1, True)
    assert shown.stderr.startswith(f"Error: {tmp_path / 'dagster.yaml'} can't be used: ")


def test_the_sensor_tells_what_changed_and_an_hour_later_that_nothing_did(
    lake: EmbeddedLake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = looked(instance).asset_events
    instance.report_runless_asset_event(first)
    assert (looked(instance).asset_events, looked(instance).run_requests) == ([], [])
    monkeypatch.setattr(health_asset, "TOLD_EVERY", timedelta(0))
    assert len(looked(instance).asset_events) == 1
    monkeypatch.undo()
    lake.broker.stop()
    try:
        again = looked(instance)
    finally:
        lake.broker.start()
    [changed] = again.asset_events
    assert changed.metadata["problem_count"].value == 1
    assert "can't be reached" in str(changed.metadata["what_to_do"])


def told(
    instance: dg.DagsterInstance,
    name: str,
    *,
    passed: bool,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> None:
    """A check's result."""
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(OPENAI_EVENTS.name),
            check_name=name,
            passed=passed,
            severity=severity,
            description="3 rows too many\n\nand more",
        )
    )


def test_a_problem_that_takes_the_place_of_another_is_told_though_there_are_as_many(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    told(instance, "nothing_doubled", passed=False)
    [first] = looked(instance).asset_events
    instance.report_runless_asset_event(first)
    assert looked(instance).asset_events == []
    told(instance, "nothing_doubled", passed=True)
    told(instance, "nothing_lost", passed=False)
    [second] = looked(instance).asset_events
    assert first.metadata["problem_count"] == second.metadata["problem_count"]
    assert "nothing_lost" in str(second.metadata["what_to_do"])


def test_a_failed_check_is_a_problem_until_it_holds_and_while_it_runs_again(
    instance: dg.DagsterInstance,
) -> None:
    told(instance, "nothing_doubled", passed=False)
    told(instance, "nothing_lost", passed=False, severity=dg.AssetCheckSeverity.WARN)
    told(instance, "no_gap", passed=False)
    doubled = ["The check nothing_doubled of openai_events says: 3 rows too many"]
    assert list(failed_checks(instance, REPOSITORY)) == doubled
    # A run that will check again has not done so yet.
    instance.create_run_for_job(build_definitions().resolve_job_def("verify"))
    assert list(failed_checks(instance, REPOSITORY)) == doubled
    told(instance, "nothing_doubled", passed=True)
    assert list(failed_checks(instance, REPOSITORY)) == []


def test_schedules_say_when_they_run_next_and_sensors_what_they_said(instance: dg.DagsterInstance) -> None:
    upkeep = named(instance, "nightly_upkeep")
    assert (upkeep.is_on, upkeep.next_at) == (True, datetime(2026, 11, 29, 3, 30, tzinfo=UTC))
    assert (named(instance, "backlog_sensor").runs, named(instance, "backlog_sensor").last) == (
        "every 5 s",
        None,
    )
    state(instance, "backlog_sensor", InstigatorStatus.DECLARED_IN_CODE, "Bronze has every event.")
    state(instance, "nightly_upkeep", InstigatorStatus.STOPPED, "The last upkeep is still at work.")
    backlog, upkeep = named(instance, "backlog_sensor"), named(instance, "nightly_upkeep")
    assert (backlog.is_on, backlog.last, backlog.last_at) == (True, "Bronze has every event.", NOW)
    assert (upkeep.is_on, upkeep.next_at) == (False, None)


def test_a_daemon_that_has_stopped_is_a_problem_and_one_that_never_was_is_none(
    instance: dg.DagsterInstance,
) -> None:
    assert list(idle_daemons(instance)) == []
    now = datetime.now(UTC).timestamp()
    instance.add_daemon_heartbeat(DaemonHeartbeat(now, "SENSOR", "a"))
    instance.add_daemon_heartbeat(DaemonHeartbeat(now - 3600, "SCHEDULER", "a"))
    [problem] = idle_daemons(instance)
    assert problem.startswith("Dagster's daemon doesn't run its schedules, last seen ")


def state(instance: dg.DagsterInstance, name: str, status: InstigatorStatus, said: str) -> None:
    """As the daemon and the UI leave it."""
    is_schedule = REPOSITORY.has_schedule_def(name)
    kind = InstigatorType.SCHEDULE if is_schedule else InstigatorType.SENSOR
    data = ScheduleInstigatorData("30 3 * * *") if is_schedule else SensorInstigatorData()
    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")
    made = InstigatorState(RemoteInstigatorOrigin(place, name), kind, status, data)
    instance.add_instigator_state(made)
    instance.create_tick(
        TickData(
            made.instigator_origin_id,
            name,
            kind,
            TickStatus.SKIPPED,
            NOW.timestamp(),
            skip_reason=said,
            selector_id=made.selector_id,
        )
    )
