"""Bringing many days up to date as a Dagster backfill, which people watch and cancel in the UI.

Belongs here: making one, and what is known of those under way. Which days are stale is for `refresh`, and
so is what a run does to a day: a backfill asks for nothing that a sensor's run wouldn't do.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.selector import (
    PartitionRangeSelector,
    PartitionsByAssetSelector,
    PartitionsSelector,
)
from dagster._core.errors import DagsterDefinitionChangedDeserializationError
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._core.utils import make_new_backfill_id
from dagster._daemon.controller import get_daemon_statuses

from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.days import ranges
from oai_usage_pipeline.orchestration.pace import Estimate, estimate
from oai_usage_pipeline.orchestration.queue import LAST
from oai_usage_pipeline.orchestration.stale_ranges import wait_after
from oai_usage_pipeline.refresh.chain import DAILY
from oai_usage_pipeline.refresh.stale import StaleTable, stale_tables, work
from oai_usage_pipeline.tables import FIRST_DATE

TAG = "oai_usage/backfill"
"""On the backfills made here, and their runs: who asked, `command` or `sensor`."""

BACKFILL_RUNS = "__ASSET_JOB"
"""Dagster's name of the job that runs of backfills belong to."""

MANY_DAYS = 7
"""Stale days beyond which a sensor launches a backfill instead of runs: people can watch and cancel it."""

CANCELLED_FOR = timedelta(hours=1)
"""How long the days of a cancelled backfill are left alone: it isn't to come back at once."""

UNDER_WAY = (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING)
FAILED = (BulkActionStatus.FAILED, BulkActionStatus.COMPLETED_FAILED)
MOST_LOOKED_AT = 50
NEEDED_DAEMONS = ("BACKFILL", "QUEUED_RUN_COORDINATOR")
SUCCEEDED = {BulkActionStatus.COMPLETED_SUCCESS.value, BulkActionStatus.COMPLETED.value}
Graph = BaseAssetGraph[Any]
KEYS = [dg.AssetKey(derivation.target.name) for derivation in DAILY]


class BackfillRefused(PipelineError):
    """A backfill that was asked for makes no sense now."""


Instance = dg.DagsterInstance
"""Where runs and backfills are on record; for those who may not import Dagster."""


@dataclass(frozen=True)
class Plan:
    """What a backfill would do: the days that are behind, the tables, and what it takes."""

    days: tuple[str, ...]
    tables: list[StaleTable]
    takes: Estimate

    @property
    def source_rows(self) -> int:
        """Rows of the first table behind: events, where that is silver."""
        return self.tables[0].source_rows if self.tables else 0

    @property
    def title(self) -> str:
        """For the list of backfills in the UI."""
        return f"{len(self.days)} stale days from {self.days[0]} to {self.days[-1]}"


def refuse_wrong_dates(first: str | None, last: str | None) -> None:
    """Raise BackfillRefused for dates (ISO) in the wrong order, or without usage."""
    if first and last and first > last:
        raise BackfillRefused(f"{first} is after {last}: the first day of a backfill comes first")
    latest = (datetime.now(UTC) + timedelta(days=1)).date()
    for day in _named(first, last):
        if not FIRST_DATE <= day <= latest:
            raise BackfillRefused(f"{day} is no day of usage: days go from {FIRST_DATE} to {latest}")


def plan(
    lake: Lake,
    instance: dg.DagsterInstance,
    first: str | None = None,
    last: str | None = None,
    only: Collection[str] | None = None,
) -> Plan:
    """What is behind from `first` to `last` (ISO dates, inclusive); `days` is empty if nothing is.

    Of these days, those of `only`. Raises LakeUnavailable.
    """
    found = stale_tables(lake, first, last, DAILY)
    days = tuple(sorted({day for each in found for day in each.days if only is None or day in only}))
    return Plan(days, found, estimate(instance, work(lake, found), len(ranges(days))))


def launch(instance: dg.DagsterInstance, graph: Graph, planned: Plan, by: str) -> str:
    """Record a backfill of the planned days; returns its id. The daemon runs it.

    Raises BackfillRefused when there is nothing to do, or when all of it is being done.
    """
    if not planned.days:
        raise BackfillRefused("Nothing is stale: every day of silver, gold and cost is up to date")
    for backfill_id, taken in days_under_way(instance, graph).items():
        if taken >= set(planned.days):
            raise BackfillRefused(
                f"The backfill {backfill_id}, which is under way, has all of these {len(planned.days)} days: "
                "watch it, or cancel it, in Dagster's UI"
            )
    backfill_id = make_new_backfill_id()
    days = PartitionsSelector(
        ranges=[PartitionRangeSelector(start=first, end=last) for first, last in ranges(planned.days)]
    )
    instance.add_backfill(
        PartitionBackfill.from_partitions_by_assets(
            backfill_id=backfill_id,
            asset_graph=graph,
            partitions_by_assets=[PartitionsByAssetSelector(asset_key=key, partitions=days) for key in KEYS],
            backfill_timestamp=time.time(),
            tags={TAG: by, **LAST},
            dynamic_partitions_store=instance,
            title=planned.title,
            description=f"{planned.source_rows:,} source rows, {planned.takes}",
            run_config=None,
        )
    )
    return backfill_id


def days_under_way(instance: dg.DagsterInstance, graph: Graph) -> dict[str, set[str]]:
    """The days of each backfill under way that brings all daily tables up to date, whoever launched it."""
    found = instance.get_backfills(filters=BulkActionsFilter(statuses=list(UNDER_WAY)))
    return {each.backfill_id: days for each in found if (days := _days(each, graph))}


def days_left_alone(instance: dg.DagsterInstance, graph: Graph) -> set[str]:
    """Days of backfills under way, and of those that somebody has cancelled in the last hour."""
    since = (datetime.now(UTC) - CANCELLED_FOR).timestamp()
    filters = BulkActionsFilter(statuses=[BulkActionStatus.CANCELED])
    ended = instance.get_backfills(filters=filters, limit=MOST_LOOKED_AT)
    cancelled = [each for each in ended if _ended_at(each) >= since]
    return set().union(*days_under_way(instance, graph).values(), *(_days(each, graph) for each in cancelled))


def launch_for_many(
    lake: Lake, instance: dg.DagsterInstance, graph: Graph, groups: Iterable[Sequence[str]]
) -> None:
    """Launch a backfill for each group of many days (`is_many`), or none yet.

    They wait for those under way, so that days which become stale one after another don't get one each; after
    failures, the pauses are those of runs.
    """
    many = [days for days in groups if is_many(days)]
    if not many or days_under_way(instance, graph) or _is_pausing(instance):
        return
    for days in many:
        launch(instance, graph, plan(lake, instance, min(days), max(days), only=days), by="sensor")


def is_many(days: Sequence[str]) -> bool:
    """Whether days are for a backfill, and never for runs that a sensor asks for."""
    return len(days) > MANY_DAYS


def _is_pausing(instance: dg.DagsterInstance) -> bool:
    """Whether the last backfills that the sensor launched failed, the last one a moment ago."""
    last = [each for each in instance.get_backfills(limit=MOST_LOOKED_AT) if each.tags.get(TAG) == "sensor"]
    failed = list(takewhile(lambda each: each.status in FAILED, last))
    return bool(failed) and wait_after(len(failed), _ended_at(failed[0])) > 0


def _ended_at(backfill: PartitionBackfill) -> float:
    return backfill.backfill_end_timestamp or backfill.backfill_timestamp


def status_of(instance: dg.DagsterInstance, backfill_id: str) -> str:
    """Dagster's word for how a backfill stands, such as `REQUESTED` (under way) or `COMPLETED_SUCCESS`."""
    found = instance.get_backfill(backfill_id)
    return found.status.value if found else "DELETED"


def is_under_way(status: str) -> bool:
    """Whether a backfill of this status may still do something."""
    return status in {each.value for each in UNDER_WAY}


def asset_graph() -> Graph:
    """Our assets, for whoever isn't given them by Dagster."""
    # Sensors use this module and are part of the definitions.
    from oai_usage_pipeline.definitions import build_definitions

    return build_definitions().resolve_asset_graph()


def daemon_fault(instance: dg.DagsterInstance) -> str | None:
    """Why nobody would run a backfill now, None where Dagster's daemon is alive."""
    statuses: Mapping[str, object] = get_daemon_statuses(instance, NEEDED_DAEMONS, ignore_errors=True)
    if all(getattr(each, "healthy", None) is not False for each in statuses.values()):
        return None
    return (
        "No daemon of Dagster's is alive on this instance: the backfill begins once `dagster dev` or "
        "`dagster-daemon run` is started with the same DAGSTER_HOME"
    )


def _days(backfill: PartitionBackfill, graph: Graph) -> set[str]:
    if not backfill.is_asset_backfill or not set(KEYS) <= set(backfill.asset_selection or ()):
        return set()
    try:
        target = backfill.get_asset_backfill_data(graph).target_subset
    except DagsterDefinitionChangedDeserializationError:
        return set()
    subsets = target.partitions_subsets_by_asset_key
    days = (set(subsets[key].get_partition_keys()) if key in subsets else set() for key in KEYS)
    return set.intersection(*days)


def _named(*days: str | None) -> Iterable[date]:
    return (date.fromisoformat(day) for day in days if day)
