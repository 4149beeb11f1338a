"""Deleting Dagster's old runs with their event logs, but none that holds the latest word on anything.

Belongs here: which runs go. A run takes its events along, and with them what Dagster knows of an asset. So a
run stays as long as one of its events is the latest materialization or observation of an asset or of one of
its partitions, or the latest result of a check. What Dagster would leave of a run is for `leftovers`, when it
happens for `maintenance`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import dagster as dg
from dagster._core.events import DagsterEventType
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from oai_usage_pipeline.orchestration.leftovers import delete_check_results, delete_observations

FAILED_STAY_LONGER = 10
"""Times as long as others: somebody may still want to know why."""

MOST_RUNS = 20_000
"""Runs deleted at once, so that a first pruning after years ends, too; the rest goes the nights after."""

AT_ONCE = 500

ENDED_WELL = [dg.DagsterRunStatus.SUCCESS]
ENDED_BADLY = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
Id = TypeVar("Id", int, str)
UNDER_WAY = {"REQUESTED", "CANCELING"}


@dataclass(frozen=True)
class Pruned:
    """What pruning did, or would do: runs that went, old ones that stay for what they hold, all before;
    observations of no run that went."""

    removed_runs: int
    kept_runs: int
    runs: int
    removed_observations: int = 0


def prune(
    instance: dg.DagsterInstance,
    check_keys: Collection[dg.AssetCheckKey],
    now: datetime,
    run_days: int,
    *,
    dry_run: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Pruned:
    """Delete runs that ended more than `run_days` ago, failed and cancelled ones ten times as long.

    Runs of a backfill that is not over stay, since it counts them. Interrupted, it is simply gone on with.
    """
    runs = instance.get_runs_count()
    latest = set(_latest_runs(instance, check_keys))
    old = list(_old_runs(instance, now - timedelta(days=run_days), ENDED_WELL))
    old += _old_runs(instance, now - timedelta(days=run_days * FAILED_STAY_LONGER), ENDED_BADLY)
    going = [run.run_id for run in old if run.run_id not in latest and not _is_of_backfill(instance, run)]
    for part in _parts(going[:MOST_RUNS] if not dry_run else []):
        # First, for nobody would know afterwards whose they were.
        delete_check_results(instance.event_log_storage, part)
        for run_id in part:
            _delete(instance, run_id)
        report(f"{len(part):,} runs deleted")
    observations = delete_observations(
        instance.event_log_storage, now - timedelta(days=run_days), dry_run=dry_run
    )
    return Pruned(min(len(going), MOST_RUNS), len(old) - len(going), runs, observations)


def _old_runs(
    instance: dg.DagsterInstance, before: datetime, statuses: list[dg.DagsterRunStatus]
) -> Iterator[dg.DagsterRun]:
    """Runs that ended so before then, oldest first; no more than are needed to delete MOST_RUNS."""
    cursor: str | None = None
    filters = dg.RunsFilter(statuses=statuses, updated_before=before)
    while True:
        page = instance.get_runs(filters, cursor=cursor, limit=AT_ONCE, ascending=True)
        yield from page
        if len(page) < AT_ONCE:
            return
        cursor = page[-1].run_id


def _is_of_backfill(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a backfill that is under way asked for the run."""
    if (backfill_id := run.tags.get("dagster/backfill")) is None:
        return False
    backfill = instance.get_backfill(backfill_id)
    return backfill is not None and backfill.status.name in UNDER_WAY


def _latest_runs(instance: dg.DagsterInstance, check_keys: Collection[dg.AssetCheckKey]) -> Iterator[str]:
    """Runs that hold the latest event of an asset, a partition or a check."""
    for key in instance.get_asset_keys():
        for kind, fetch in (
            (DagsterEventType.ASSET_MATERIALIZATION, instance.fetch_materializations),
            (DagsterEventType.ASSET_OBSERVATION, instance.fetch_observations),
        ):
            yield from (each.run_id for each in fetch(key, limit=1).records)
            by_partition = instance.get_latest_storage_id_by_partition(key, kind)
            for ids in _parts(sorted(by_partition.values())):
                found = fetch(dg.AssetRecordsFilter(asset_key=key, storage_ids=ids), limit=len(ids))
                yield from (each.run_id for each in found.records)
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(check_keys))
    yield from (each.run_id for each in checks.values())


def _parts(ids: list[Id]) -> Iterable[list[Id]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        # Dagster empties the run's own database and leaves the file.
        for suffix in ("", "-wal", "-shm"):
            Path(storage.path_for_shard(run_id) + suffix).unlink(missing_ok=True)
