"""Deleting Dagster's old runs with their event logs, but none that holds the latest word on anything.

Belongs here: which runs go. A run takes its events along, and with them what Dagster knows of an asset. So a
run stays as long as one of its events is the latest materialization or observation of an asset or of one of
its partitions, or the latest result of a check, or its last that was completed. What Dagster would leave of a
run is for `leftovers`, when it happens for `maintenance`.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

import dagster as dg
from dagster._core.events import DagsterEventType
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from oai_usage_pipeline.orchestration.backfills import is_under_way
from oai_usage_pipeline.orchestration.leftovers import (
    AT_ONCE,
    delete_check_results,
    delete_observations,
    in_parts,
)

FAILED_STAY_LONGER = 10
"""Times as long as others: somebody may still want to know why."""

MOST_RUNS = 20_000
"""Runs deleted at once, so that a first pruning after years ends, too; the rest goes the nights after."""

ENDED_WELL = [dg.DagsterRunStatus.SUCCESS]
ENDED_BADLY = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True)
class Pruned:
    """What pruning did, or would do: runs that went, old ones met that stay for what they hold, all before;
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
    going, kept = _sorted_out(
        instance, set(_latest_runs(instance, check_keys)), now, timedelta(days=run_days)
    )
    for part in in_parts(going if not dry_run else []):
        # First, for nobody would know afterwards whose they were.
        delete_check_results(instance.event_log_storage, part)
        for run_id in part:
            _delete(instance, run_id)
        report(f"{len(part):,} runs deleted")
    observations = delete_observations(
        instance.event_log_storage, now - timedelta(days=run_days), dry_run=dry_run
    )
    return Pruned(len(going), kept, runs, observations)


def _sorted_out(
    instance: dg.DagsterInstance, latest: Collection[str], now: datetime, stay: timedelta
) -> tuple[list[str], int]:
    """The runs to delete, at most MOST_RUNS, and how many old ones were met that stay."""
    going: list[str] = []
    kept = 0
    ended_well = _old_runs(instance, now - stay, ENDED_WELL)
    for run in chain(ended_well, _old_runs(instance, now - stay * FAILED_STAY_LONGER, ENDED_BADLY)):
        if len(going) == MOST_RUNS:
            break
        if run.run_id in latest or _is_of_backfill(instance, run):
            kept += 1
        else:
            going.append(run.run_id)
    return going, kept


def _old_runs(
    instance: dg.DagsterInstance, before: datetime, statuses: list[dg.DagsterRunStatus]
) -> Iterator[dg.DagsterRun]:
    """Runs that ended so before then, oldest first; read as far as they are taken."""
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
    return backfill is not None and is_under_way(backfill.status.value)


def _latest_runs(instance: dg.DagsterInstance, check_keys: Collection[dg.AssetCheckKey]) -> Iterator[str]:
    """Runs that hold the latest event of an asset, a partition or a check."""
    for key in instance.get_asset_keys():
        for kind, fetch in (
            (DagsterEventType.ASSET_MATERIALIZATION, instance.fetch_materializations),
            (DagsterEventType.ASSET_OBSERVATION, instance.fetch_observations),
        ):
            yield from (each.run_id for each in fetch(key, limit=1).records)
            by_partition = instance.get_latest_storage_id_by_partition(key, kind)
            for ids in in_parts(sorted(by_partition.values())):
                found = fetch(dg.AssetRecordsFilter(asset_key=key, storage_ids=ids), limit=len(ids))
                yield from (each.run_id for each in found.records)
    # A check that crashed has a latest result that says nothing.
    for each in instance.event_log_storage.get_asset_check_summary_records(list(check_keys)).values():
        yield from (found for found in (each.last_run_id, each.last_completed_run_id) if found)


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        # Dagster empties the run's own database and leaves the file.
        for suffix in ("", "-wal", "-shm"):
            Path(storage.path_for_shard(run_id) + suffix).unlink(missing_ok=True)
