"""The asset `pipeline_health` and the sensor that looks after it.

Belongs here: when health is looked at, and what Dagster keeps of it: an observation when problems have come,
gone or changed, else once an hour, and by hand whenever somebody asks for it.
"""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import dagster as dg

from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.orchestration.health import pipeline_health
from oai_usage_pipeline.orchestration.health_lines import verdict
from oai_usage_pipeline.orchestration.metadata import health_state
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.table_asset import GROUP

TOLD_EVERY = timedelta(hours=1)


@dg.observable_source_asset(
    name="pipeline_health",
    group_name=GROUP,
    description="How it all stands: what is wrong and what to do, what waits, is behind, and runs next.",
)
def pipeline_health_asset(context: dg.OpExecutionContext, pipeline: Pipeline) -> dg.ObserveResult:
    """Look now; changes nothing."""
    now = datetime.now(UTC)
    found = pipeline_health(pipeline, nullcontext(context.instance), context.repository_def, now)
    return dg.ObserveResult(data_version=dg.DataVersion(now.isoformat()), metadata=health_state(found))


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at everything; tells `pipeline_health` when problems come or go, else hourly.",
)
def health_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult | dg.SkipReason:
    """Asks for no run: what it sees is an observation."""
    now = datetime.now(UTC)
    repository = context.repository_def
    assert repository is not None, "the daemon names it"
    try:
        found = pipeline_health(pipeline, nullcontext(context.instance), repository, now)
    except PipelineError as error:
        return dg.SkipReason(str(error))
    seen = dg.AssetObservation(pipeline_health_asset.key, metadata=health_state(found))
    if _is_told(context.instance, seen, now):
        return dg.SkipReason("\n".join([verdict(found), *found.problems]))
    return dg.SensorResult(asset_events=[seen], skip_reason=verdict(found))


def _is_told(instance: dg.DagsterInstance, seen: dg.AssetObservation, now: datetime) -> bool:
    """Whether the latest observation is young and has the same problems."""
    latest = instance.fetch_observations(pipeline_health_asset.key, limit=1).records
    if not latest or now.timestamp() - latest[0].timestamp >= TOLD_EVERY.total_seconds():
        return False
    told = latest[0].event_log_entry.asset_observation
    return told is not None and told.metadata["what_to_do"] == seen.metadata["what_to_do"]
