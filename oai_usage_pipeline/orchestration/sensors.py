"""The sensors: level-triggered, they compare the hub with the lake and ask for what is missing.

Belongs here: when a run is requested. A sensor never receives events, and keeps no cursor and no
run key: a run that failed is simply asked for again, because what it should have done is still
missing. (A run key would be refused for ever after a failed run.)
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from oai_usage_pipeline.capture.backlog import backlog
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.assets import event_hub
from oai_usage_pipeline.orchestration.backfills import (
    BACKFILL_RUNS,
    asset_graph,
    days_left_alone,
    is_many,
    launch_for_many,
)
from oai_usage_pipeline.orchestration.days import live_days, range_tags, ranges
from oai_usage_pipeline.orchestration.health_asset import health_sensor
from oai_usage_pipeline.orchestration.jobs import (
    CHARGEBACK,
    LIVE,
    REFERENCE,
    REFRESH,
    chargeback_job,
    live_job,
    reference_job,
    refresh_job,
)
from oai_usage_pipeline.orchestration.liveness import is_at_work
from oai_usage_pipeline.orchestration.metadata import hub_state
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.stale_ranges import RETRY_SECONDS, Ranges, seconds_to_wait, stale_groups
from oai_usage_pipeline.reference.landing import is_reference_behind
from oai_usage_pipeline.refresh.chain import DAILY, MONTHLY
from oai_usage_pipeline.refresh.day import stale_days
from oai_usage_pipeline.refresh.derivation import Derivation

RANGES_AT_ONCE = 10


@dg.sensor(
    job=live_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a live pass when the hub holds events that bronze doesn't.",
)
def backlog_sensor(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> dg.SensorResult | dg.SkipReason:
    """One live pass at a time; partitions stopped by a gap ask for one that records it, and no more.

    What was seen of the hub is kept as an observation with each pass that is asked for.
    """
    if (reason := _reason_to_wait(context.instance, LIVE)) is not None:
        return dg.SkipReason(reason)
    try:
        with pipeline.source() as source:
            found = backlog(source, pipeline.lake())
    except PipelineError as error:
        return dg.SkipReason(str(error))
    waiting = sum(each.event_count for each in found if each.gap is None)
    gaps = [str(each.gap) for each in found if each.gap]
    if not waiting and not any(each.has_news for each in found):
        return dg.SkipReason("\n".join(gaps) or "Bronze has every event that the hub holds.")
    tags = {
        "oai_usage/event_hub": found[0].hub.event_hub.replace("/", "."),
        "oai_usage/backlog": str(waiting),
        **range_tags(*live_days(datetime.now(UTC))),
    }
    seen = dg.AssetObservation(event_hub.key, metadata=hub_state(found))
    return dg.SensorResult(run_requests=[dg.RunRequest(tags=tags)], asset_events=[seen])


@dg.sensor(
    job=refresh_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for days of silver, gold and cost that are behind: late events, new contracts, prices.",
)
def stale_days_sensor(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """A run for each range of stale days; those that are many wait for a backfill of their own.

    Live days are left to a live pass under way, and days of backfills to these: to one under way, and for a
    while to one that somebody has cancelled.
    """
    # Whoever killed a run of a backfill must not hold up the next one for ever.
    is_at_work(context.instance, BACKFILL_RUNS)
    graph = context.repository_def.asset_graph if context.repository_def else asset_graph()

    def days() -> Ranges:
        others = days_left_alone(context.instance, graph)
        if is_at_work(context.instance, LIVE):
            others |= set(live_days(datetime.now(UTC)))
        lake = pipeline.lake()
        groups = stale_groups(lake, DAILY, others)
        launch_for_many(lake, context.instance, graph, groups)
        return sorted(each for days in groups if not is_many(days) for each in ranges(days))

    yield from _requests(
        context, REFRESH, days, "No day of silver, gold and cost is behind, or else it is left to a backfill."
    )


@dg.sensor(
    job=chargeback_job,
    # A statement reads its whole month, and nobody watches it by the second.
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for months of chargeback that are behind their costs or subscriptions.",
)
def stale_months_sensor(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """A run for each stale month, after the days that it is made of."""

    def months() -> Ranges:
        return [(month, month) for month in sorted(all_stale_months(pipeline.lake()))]

    yield from _requests(context, CHARGEBACK, months, "Every month of chargeback is up to date.")


@dg.sensor(
    job=reference_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for landing the reference files when they differ from the tables.",
)
def reference_sensor(
    context: dg.SensorEvaluationContext, pipeline: Pipeline
) -> dg.RunRequest | dg.SkipReason:
    """A wrong file is told here, and its tables stay as they are."""
    if (reason := _reason_to_wait(context.instance, REFERENCE)) is not None:
        return dg.SkipReason(reason)
    try:
        if is_reference_behind(pipeline.lake(), pipeline.reference_folder()):
            return dg.RunRequest()
    except PipelineError as error:
        return dg.SkipReason(str(error))
    return dg.SkipReason("The tables hold what the reference files say.")


def all_stale_days(lake: Lake) -> set[str]:
    """Days on which silver, gold or cost is behind."""
    return _stale(lake, DAILY)


def all_stale_months(lake: Lake) -> set[str]:
    """First days of the months whose chargeback is behind."""
    return _stale(lake, MONTHLY)


def _stale(lake: Lake, derivations: Iterable[Derivation[Any]]) -> set[str]:
    return {each.day for derivation in derivations for each in stale_days(lake, derivation)}


def _requests(
    context: dg.SensorEvaluationContext,
    job_name: str,
    behind: Callable[[], Ranges],
    otherwise: str,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """A run of the job for each range of partitions that is behind, or why there is none."""
    instance = context.instance
    if is_at_work(instance, job_name):
        yield dg.SkipReason(_under_way(job_name))
        return
    try:
        found = behind()
    except PipelineError as error:
        yield dg.SkipReason(str(error))
        return
    waits = {each: seconds_to_wait(instance, job_name, *each) for each in found}
    for first, last in [each for each, wait in waits.items() if not wait][:RANGES_AT_ONCE]:
        yield dg.RunRequest(tags=range_tags(first, last))
    if all(waits.values()):
        tries = [
            f"{first} to {last} failed; the next try is in {wait:.0f} s."
            for (first, last), wait in waits.items()
        ]
        yield dg.SkipReason("\n".join(tries) or otherwise)


def _reason_to_wait(instance: dg.DagsterInstance, job_name: str) -> str | None:
    """Why not to ask for a run now: one is at work, or the last one failed a moment ago."""
    if is_at_work(instance, job_name):
        return _under_way(job_name)
    ended = instance.get_run_records(dg.RunsFilter(job_name=job_name), limit=1)
    if ended and ended[0].dagster_run.status is dg.DagsterRunStatus.FAILURE:
        wait = RETRY_SECONDS - (time.time() - ended[0].update_timestamp.timestamp())
        if wait > 0:
            return f"The last {job_name} run failed; the next try is in {wait:.0f} s."
    return None


def _under_way(job_name: str) -> str:
    return f"A {job_name} run is under way."


SENSORS = [backlog_sensor, stale_days_sensor, stale_months_sensor, reference_sensor, health_sensor]
