"""Old runs go with all that they left, and what Dagster knows of assets and checks stays."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.instance import RUNLESS_RUN_ID
from sqlalchemy import Engine, event

from oai_usage_pipeline.orchestration import leftovers, pruning
from oai_usage_pipeline.orchestration.backfills import is_under_way
from oai_usage_pipeline.orchestration.pruning import Pruned, prune
from oai_usage_pipeline_tests.postgres_server import postgres_server
from oai_usage_pipeline_tests.production import settings

DAYS = dg.StaticPartitionsDefinition(["monday", "tuesday"])
NOW = datetime.now(UTC)
WEEK = timedelta(days=7)


@dg.asset(partitions_def=DAYS)
def daily() -> None:
    """Has partitions."""


@dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="whole")])
def whole(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads it
    """Has none, observes itself, and checks itself."""
    if context.run.tags.get("must") == "fail":
        raise ValueError("asked to")
    context.log_event(dg.AssetObservation("seen", partition=context.run.tags.get("seen")))
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="holds")])


@dg.asset
def plain() -> None:
    """Has nothing of all that."""


@dg.asset_check(asset=plain)
def is_plain(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Is run by itself, too."""
    if context.run.tags.get("must") == "fail":
        raise ValueError("asked to")
    return dg.AssetCheckResult(passed=True)


def check(instance: dg.DagsterInstance, **tags: str) -> str:
    job = dg.define_asset_job("check", dg.AssetSelection.checks(is_plain))
    made = dg.Definitions([plain], asset_checks=[is_plain], jobs=[job]).resolve_job_def("check")
    return made.execute_in_process(instance=instance, tags=tags, raise_on_error=False).run_id


@pytest.fixture(params=["sqlite", "postgres"])
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """As embedded, and as in production."""
    with ExitStack() as running:
        overrides = {}
        if request.param == "postgres":
            for name, value in running.enter_context(postgres_server()).environment.items():
                monkeypatch.setenv(name, value)
            overrides["storage"] = settings()["storage"]
        yield running.enter_context(dg.instance_for_test(temp_dir=str(tmp_path), overrides=overrides))


def run(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, **options: object) -> str:
    options = {"raise_on_error": False, **options}
    return dg.materialize([asset], instance=instance, **options).run_id  # type: ignore[arg-type]  # its own


def prune_all(instance: dg.DagsterInstance, after: timedelta = WEEK, *, dry_run: bool = False) -> Pruned:
    checks = [each for made in (daily, whole, is_plain) for each in made.check_keys]
    return prune(instance, checks, NOW + after, 3, dry_run=dry_run)


def runs(instance: dg.DagsterInstance) -> set[str]:
    return {each.run_id for each in instance.get_runs()}


def test_only_what_is_superseded_goes(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    monday = [run(instance, daily, partition_key="monday") for _ in range(2)]
    tuesday = run(instance, daily, partition_key="tuesday")
    seen = run(instance, whole, tags={"seen": "long ago"})
    whole_runs = [run(instance, whole) for _ in range(2)]
    plain_runs = [run(instance, plain) for _ in range(2)]
    checked = [check(instance) for _ in range(2)]
    everything = runs(instance)
    assert prune_all(instance, timedelta(days=2)).removed_runs == 0, "their time is not over"
    assert prune_all(instance, dry_run=True) == Pruned(4, 6, 10)
    assert runs(instance) == everything
    statuses = instance.get_status_by_partition(daily.key, ["monday", "tuesday"], DAYS)
    assert prune_all(instance) == Pruned(4, 6, 10)
    assert runs(instance) == {monday[1], tuesday, seen, whole_runs[1], plain_runs[1], checked[1]}
    assert instance.get_status_by_partition(daily.key, ["monday", "tuesday"], DAYS) == statuses
    assert instance.get_latest_materialization_event(plain.key) is not None
    assert instance.get_materialized_partitions(daily.key) == {"monday", "tuesday"}
    for partition, run_id in (("monday", monday[1]), ("tuesday", tuesday)):
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(daily.key, asset_partitions=[partition]), limit=9
        )
        assert [each.run_id for each in found.records] == [run_id]
    observed = instance.get_latest_storage_id_by_partition(
        dg.AssetKey("seen"), dg.DagsterEventType.ASSET_OBSERVATION
    )
    assert set(observed) == {"long ago"}
    keys = [dg.AssetCheckKey(whole.key, "holds"), dg.AssetCheckKey(plain.key, "is_plain")]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert [latest[each].run_id for each in keys] == [whole_runs[1], checked[1]]
    for key in keys:
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
        assert {each.run_id for each in history} <= runs(instance)
    # Nothing of those that went is left on disk.
    left = [
        path for path in tmp_path.rglob("*") for run_id in everything - runs(instance) if run_id in path.name
    ]
    assert left == []
    assert prune_all(instance).removed_runs == 0


def test_failed_runs_stay_ten_times_as_long_and_those_at_work_for_good(instance: dg.DagsterInstance) -> None:
    failed = run(instance, whole, tags={"must": "fail"})
    job = dg.Definitions([whole], jobs=[dg.define_asset_job("job", [whole])]).resolve_job_def("job")
    waiting = instance.create_run_for_job(job).run_id
    run(instance, whole)
    run(instance, whole)
    prune_all(instance)
    assert {failed, waiting} <= runs(instance)
    prune_all(instance, timedelta(days=31))
    assert failed not in runs(instance)
    assert waiting in runs(instance)


def test_the_last_result_of_a_check_stays_when_the_check_crashes_ever_after(
    instance: dg.DagsterInstance,
) -> None:
    checked = [check(instance) for _ in range(2)]
    crashed = check(instance, must="fail")
    prune_all(instance)
    assert runs(instance) == {checked[1], crashed}
    key = dg.AssetCheckKey(plain.key, "is_plain")
    last = instance.event_log_storage.get_asset_check_summary_records([key])[key]
    assert (last.last_completed_run_id, last.last_run_id) == (checked[1], crashed)


def test_one_night_looks_at_no_more_runs_than_it_deletes(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "MOST_RUNS", 2)
    made = [run(instance, plain) for _ in range(4)]
    assert prune_all(instance, dry_run=True) == Pruned(2, 0, 4)
    assert prune_all(instance) == Pruned(2, 0, 4)
    assert runs(instance) == set(made[2:])
    assert prune_all(instance) == Pruned(1, 1, 2)


def test_runs_of_a_backfill_stay_until_it_is_over(instance: dg.DagsterInstance) -> None:
    run(instance, plain, tags={"dagster/backfill": "some"})
    run(instance, plain)
    for status in BulkActionStatus:
        made = PartitionBackfill("some", status, from_failure=False, tags={}, backfill_timestamp=0.0)
        if instance.get_backfill("some") is None:
            instance.add_backfill(made)
        instance.update_backfill(made)
        assert prune_all(instance, dry_run=True).kept_runs == 1 + is_under_way(status.value), status


def test_observations_are_deleted_in_parts_so_that_writers_come_between(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "AT_ONCE", 2)
    for _ in range(6):
        instance.report_runless_asset_event(dg.AssetObservation("hub"))
    deleted = []

    def note(_1: object, cursor: Any, statement: str, *_2: object) -> None:
        if statement.startswith("DELETE FROM event_logs"):
            deleted.append(cursor.rowcount)

    event.listen(Engine, "after_cursor_execute", note)
    try:
        assert prune_all(instance).removed_observations == 5
    finally:
        event.remove(Engine, "after_cursor_execute", note)
    assert max(deleted) == 2
    assert len(observed(instance)) == 1


def test_old_observations_of_no_run_go_but_the_latest_of_each_partition(instance: dg.DagsterInstance) -> None:
    for partition in ("monday", "tuesday", "monday"):
        seen = dg.AssetObservation("hub", partition=partition, tags={"dagster/data_version": "7"})
        instance.report_runless_asset_event(seen)
    instance.report_runless_asset_event(dg.AssetMaterialization("made"))
    instance.report_runless_asset_event(dg.AssetMaterialization("made"))
    before = observed(instance)
    assert prune_all(instance, timedelta(days=2)).removed_observations == 0, "their time is not over"
    assert prune_all(instance, dry_run=True).removed_observations == 1
    assert observed(instance) == before
    assert prune_all(instance).removed_observations == 1
    assert observed(instance) == before[:2]
    assert len(instance.fetch_materializations(dg.AssetKey("made"), limit=9).records) == 2
    assert len(instance.all_logs(RUNLESS_RUN_ID)) == 4
    assert len(instance.get_event_tags_for_asset(dg.AssetKey("hub"))) == 2
    assert prune_all(instance).removed_observations == 0


def observed(instance: dg.DagsterInstance) -> list[tuple[int, str | None]]:
    """Observations of the hub, latest first."""
    found = instance.fetch_observations(dg.AssetKey("hub"), limit=9).records
    return [(each.storage_id, each.partition_key) for each in found]
