"""The sensors ask for what is missing, for nothing twice, and again after a failure."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.orchestration import liveness, sensors
from oai_usage_pipeline.orchestration.days import live_days, range_tags
from oai_usage_pipeline.orchestration.jobs import VERIFY
from oai_usage_pipeline.orchestration.liveness import SILENT_SECONDS, is_at_work, signs_of_life
from oai_usage_pipeline.orchestration.passes import PassFailed
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.schedules import daily_close, hourly_verify
from oai_usage_pipeline.orchestration.sensors import backlog_sensor, stale_days_sensor
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake
from oai_usage_pipeline_tests.orchestration.test_liveness import give_sign


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[EmbeddedLake]:
    with embedded_lake(tmp_path / "stack") as running:
        yield running


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> tuple[list[dg.RunRequest], str]:
    """What a sensor asks for, and why it asks for nothing."""
    repository = build_definitions().get_repository_def()
    context = dg.build_sensor_context(
        instance=instance, repository_def=repository, resources={"pipeline": Pipeline()}
    )
    data = sensor.evaluate_tick(context)
    return list(data.run_requests or []), data.skip_message or ""


def start_run(instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus) -> None:
    definition = build_definitions().resolve_job_def(job)
    instance.create_run_for_job(definition, status=status)


def test_a_backlog_asks_for_one_live_pass_over_the_live_days(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    lake.send(50)
    [request], _ = tick(backlog_sensor, instance)
    assert request.tags.items() >= range_tags(*live_days(datetime.now(UTC))).items()
    assert request.tags["oai_usage/backlog"] == "50"
    assert request.run_key is None


def test_what_was_seen_of_the_hub_is_kept_with_the_request(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    lake.send(50)
    repository = build_definitions().get_repository_def()
    context = dg.build_sensor_context(
        instance=instance, repository_def=repository, resources={"pipeline": Pipeline()}
    )
    [seen] = backlog_sensor.evaluate_tick(context).asset_events
    assert seen.asset_key == dg.AssetKey("event_hub")
    assert seen.metadata["lag_events"].value == 50


def test_without_a_backlog_nothing_is_asked_for(lake: EmbeddedLake, instance: dg.DagsterInstance) -> None:
    assert tick(backlog_sensor, instance) == ([], "Bronze has every event that the hub holds.")


def test_while_a_live_pass_is_under_way_no_other_is_asked_for(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    lake.send(50)
    start_run(instance, "live", dg.DagsterRunStatus.STARTED)
    assert tick(backlog_sensor, instance) == ([], "A live run is under way.")


def test_a_failed_pass_is_asked_for_again_after_a_while(
    lake: EmbeddedLake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.send(50)
    start_run(instance, "live", dg.DagsterRunStatus.FAILURE)
    requests, reason = tick(backlog_sensor, instance)
    assert requests == []
    assert "The last live run failed; the next try is in" in reason
    monkeypatch.setattr(sensors, "RETRY_SECONDS", 0.0)
    assert len(tick(backlog_sensor, instance)[0]) == 1


def test_a_run_whose_process_was_killed_holds_nobody_up(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    lake.send(50)
    start_run(instance, "live", dg.DagsterRunStatus.STARTED)
    [run] = instance.get_runs()
    give_sign(instance, run)
    assert is_at_work(instance, "live", now=time.time() + SILENT_SECONDS - 5)
    assert not is_at_work(instance, "live", now=time.time() + SILENT_SECONDS + 5)
    assert [each.status for each in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]


def test_a_run_that_waits_in_the_queue_is_not_taken_for_dead(instance: dg.DagsterInstance) -> None:
    start_run(instance, "live", dg.DagsterRunStatus.NOT_STARTED)
    assert is_at_work(instance, "live", now=time.time() + 10 * SILENT_SECONDS)


def test_a_cancelled_run_whose_interrupt_was_lost_is_interrupted_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "SIGN_SECONDS", 1.0)

    @dg.asset
    def working(context: dg.AssetExecutionContext) -> None:
        with signs_of_life(context):
            instance.report_run_canceling(context.run)
            threading.Event().wait(30)

    with pytest.raises(DagsterExecutionInterruptedError):
        dg.materialize([working], instance=instance)
    assert [each.status for each in instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]


def test_a_hub_that_is_gone_is_a_reason_to_skip_not_an_error(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    lake.broker.kill()
    requests, reason = tick(backlog_sensor, instance)
    assert requests == []
    assert "can't be reached" in reason
    lake.broker.start()


def test_a_partition_stopped_by_a_gap_asks_for_the_pass_that_records_it_and_then_says_so(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    with embedded_lake(tmp_path / "stack", partitions=1) as lake:
        lake.send(100)
        lake.run()
        lake.broker.stop()
        lake.broker.options = ("--retention-events", "50")
        lake.broker.start()
        lake.send(200)
        assert len(tick(backlog_sensor, instance)[0]) == 1
        with pytest.raises(PassFailed):
            lake.run()
        requests, reason = tick(backlog_sensor, instance)
    assert requests == []
    assert "events 100 to 249 are missing" in reason


def test_days_that_are_behind_are_asked_for_the_oldest_range_first(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    lake.send(200, days=2)
    job = build_definitions().resolve_job_def("live")
    assert job.execute_in_process(instance=instance, tags=range_tags(*live_days(datetime.now(UTC)))).success
    [request], _ = tick(stale_days_sensor, instance)
    start_run(instance, "refresh", dg.DagsterRunStatus.STARTED)
    assert tick(stale_days_sensor, instance) == ([], "A refresh run is under way.")
    assert request.tags["dagster/asset_partition_range_start"] < live_days(datetime.now(UTC))[0]


def test_live_days_are_left_to_a_live_pass_under_way(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    lake.send(50)
    lake_only = build_definitions().resolve_implicit_global_asset_job_def()
    assert lake_only.execute_in_process(asset_selection=[dg.AssetKey("openai_events")]).success
    assert len(tick(stale_days_sensor, instance)[0]) == 1
    start_run(instance, "live", dg.DagsterRunStatus.STARTED)
    requests, _ = tick(stale_days_sensor, instance)
    assert [each for each in requests if each.tags == range_tags(*live_days(datetime.now(UTC)))] == []


def test_a_verification_at_work_is_not_joined_by_another() -> None:
    verify = build_definitions().resolve_job_def(VERIFY)
    with dg.instance_for_test() as instance, dg.build_schedule_context(instance) as context:
        assert isinstance(hourly_verify(context), dg.RunRequest)
        instance.create_run_for_job(verify, status=dg.DagsterRunStatus.STARTED)
        assert isinstance(hourly_verify(context), dg.SkipReason)


def test_the_daily_close_takes_the_day_that_ended_even_when_its_tick_is_late() -> None:
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 3, 1, 0, 30, tzinfo=UTC))
    request = daily_close(context)
    assert isinstance(request, dg.RunRequest)
    assert request.tags == range_tags("2026-02-28", "2026-02-28")
