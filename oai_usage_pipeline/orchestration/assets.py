"""The assets of usage: the hub, bronze, silver and gold.

Belongs here: what Dagster must know of each (keys, partitions, versions, owners, columns) around
one call of a plain function. Everything else is in the packages that are called;
assets of money are in `charge_assets`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from oai_usage_pipeline.audit.status import table_status
from oai_usage_pipeline.capture.backlog import backlog
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.errors import PipelineError, SourceGap
from oai_usage_pipeline.orchestration.charge_assets import CHARGE_ASSETS
from oai_usage_pipeline.orchestration.days import DAYS
from oai_usage_pipeline.orchestration.gaps import capture_gaps, gaps_recorded
from oai_usage_pipeline.orchestration.health_asset import pipeline_health_asset
from oai_usage_pipeline.orchestration.liveness import signs_of_life
from oai_usage_pipeline.orchestration.metadata import captured_state, hub_state
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.table_asset import GROUP, refresh, table_asset
from oai_usage_pipeline.refresh.gold import TOKEN_USAGE_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import OPENAI_EVENTS, TOKEN_USAGE_HOURLY, USAGE_EVENTS


class CaptureConfig(dg.Config):
    """Which hub partitions a run reads; none named means all that the hub has."""

    partition_ids: list[str] = Field(default_factory=list)


@dg.observable_source_asset(
    name="event_hub",
    group_name=GROUP,
    description="The Event Hub that API Management logs each Azure OpenAI call to.",
    tags={"dagster/kind/azure": "", "dagster/kind/eventhub": ""},
)
def event_hub(pipeline: Pipeline) -> dg.ObserveResult:
    """Heads, positions and lag of each hub partition."""
    with pipeline.source() as source:
        found = backlog(source, pipeline.lake())
    heads = ",".join(f"{each.partition_id}:{each.bounds.last}" for each in found)
    return dg.ObserveResult(data_version=dg.DataVersion(heads), metadata=hub_state(found))


@table_asset(
    OPENAI_EVENTS,
    "bronze",
    deps=[event_hub],
    check_specs=[
        dg.AssetCheckSpec(
            "no_gap",
            asset=OPENAI_EVENTS.name,
            description="The hub still had, and delivered, every event after each partition's position.",
        ),
        dg.AssetCheckSpec(
            "every_partition_read",
            asset=OPENAI_EVENTS.name,
            description="Every partition could be read up to its head.",
        ),
        dg.AssetCheckSpec(
            "clock_agrees",
            asset=OPENAI_EVENTS.name,
            description="This machine's clock isn't behind the newest event's (it stops nothing).",
        ),
    ],
)
def openai_events(
    context: dg.AssetExecutionContext, config: CaptureConfig, pipeline: Pipeline
) -> Iterator[dg.MaterializeResult[Any]]:
    """Capture every partition up to the head it has now; partitions that stop don't stop the others.

    Their failures are checks, so that silver and gold of the others follow. Raises SourceUnavailable
    or LakeUnavailable when nothing could be done at all, LakeDamaged when bronze contradicts itself.
    """
    lake = pipeline.lake()
    with signs_of_life(context), pipeline.source() as source:
        capture = CaptureRun(source, lake, pipeline.fingerprint(), config.partition_ids, keep=pipeline.keep())
        captured = capture.execute()
    gaps = [error for error in captured.errors if isinstance(error, SourceGap)]
    others = [error for error in captured.errors if not isinstance(error, SourceGap)]
    partitions = f"{len(captured.partitions)} partitions"
    context.log.info("Captured %d events in %d commits", captured.event_count, captured.commit_count)
    if captured.has_new_gaps:
        context.log_event(gaps_recorded(captured.gaps))
    yield dg.MaterializeResult(
        metadata={
            **captured_state(captured, table_status(lake, OPENAI_EVENTS)),
            "payloads": pipeline.settings().payloads,
        },
        check_results=[
            _check("no_gap", gaps, f"{partitions} continue without a gap."),
            _check("every_partition_read", others, f"{partitions} were read up to their heads."),
            dg.AssetCheckResult(
                check_name="clock_agrees",
                passed=captured.clock_fault is None,
                severity=dg.AssetCheckSeverity.WARN,
                description=captured.clock_fault or "No event was accepted by the hub after our present.",
            ),
        ],
    )


def _check(name: str, errors: Sequence[PipelineError], sentence: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=not errors,
        severity=dg.AssetCheckSeverity.ERROR,
        # Dagster shows it as Markdown, where an empty line begins a paragraph.
        description="\n\n".join(str(error) for error in errors) or sentence,
    )


@table_asset(USAGE_EVENTS, "silver", deps=[openai_events], partitions_def=DAYS)
def usage_events(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[Any]:
    """Bring days of silver, by enqueued date, up to date with bronze."""
    return refresh(context, pipeline, USAGE_EVENTS_DERIVATION)


@table_asset(TOKEN_USAGE_HOURLY, "gold", deps=[usage_events, capture_gaps.key], partitions_def=DAYS)
def token_usage_hourly(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[Any]:
    """Bring days of gold, by the date of the call, up to date with silver."""
    return refresh(context, pipeline, TOKEN_USAGE_HOURLY_DERIVATION)


ASSETS: list[dg.AssetsDefinition | dg.SourceAsset | dg.AssetSpec] = [
    event_hub,
    capture_gaps,
    openai_events,
    usage_events,
    token_usage_hourly,
    *CHARGE_ASSETS,
    pipeline_health_asset,
]
