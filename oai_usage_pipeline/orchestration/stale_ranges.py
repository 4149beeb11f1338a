"""Which ranges of stale days are to be asked for together, and which of them must wait.

Belongs here: that a day which fails keeps no other from being done, and is tried again ever more seldom. When
a sensor asks at all is for `sensors`.
"""

import time
from collections.abc import Collection, Iterable
from typing import Any

import dagster as dg

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.days import range_tags, ranges
from oai_usage_pipeline.refresh.day import stale_days
from oai_usage_pipeline.refresh.derivation import Derivation

RETRY_SECONDS = 20.0
"""After a first failure; twice as long after each further one."""

LONGEST_WAIT_SECONDS = 300.0
MOST_FAILURES = 6

Ranges = list[tuple[str, str]]


def stale_ranges(lake: Lake, derivations: Iterable[Derivation[Any]]) -> Ranges:
    """Stale days as ranges, oldest first; neighbours share one if the same table is the first to do."""
    return sorted(each for days in stale_groups(lake, derivations) for each in ranges(days))


def stale_groups(
    lake: Lake, derivations: Iterable[Derivation[Any]], without: Collection[str] = ()
) -> list[list[str]]:
    """Stale days in groups, by the first table to do.

    A run stops at the first table that fails on any of its days. Those of its days that got further then come
    in a group of their own, without the one that failed.
    """
    first_stale: dict[str, str] = {}
    for derivation in derivations:
        for each in stale_days(lake, derivation):
            first_stale.setdefault(each.day, derivation.target.name)
    by_table: dict[str, list[str]] = {}
    for day, table in first_stale.items():
        if day not in without:
            by_table.setdefault(table, []).append(day)
    return list(by_table.values())


def seconds_to_wait(instance: dg.DagsterInstance, job_name: str, first: str, last: str) -> float:
    """How long not to ask for a range yet, since the job's last runs on it didn't succeed, or 0."""
    wanted = dg.RunsFilter(job_name=job_name, tags=range_tags(first, last))
    ended = instance.get_run_records(wanted, limit=MOST_FAILURES)
    failures = 0
    for record in ended:
        if record.dagster_run.status is dg.DagsterRunStatus.SUCCESS:
            break
        failures += 1
    if not failures:
        return 0.0
    return wait_after(failures, ended[0].update_timestamp.timestamp())


def wait_after(failures: int, ended_at: float) -> float:
    """Seconds left of the pause after so many failures in a row, the last at `ended_at` (since 1970)."""
    pause = min(RETRY_SECONDS * float(2 ** (failures - 1)), LONGEST_WAIT_SECONDS)
    return max(0.0, pause - (time.time() - ended_at))
