"""Gaps as Dagster shows them: the table as an asset, and a job by which a person acknowledges one.

Belongs here: what Dagster must know, and the configuration filled in at the launchpad. What a gap is
and what may be acknowledged is for `capture`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from oai_usage_pipeline.capture.acknowledgement import acknowledge_gap
from oai_usage_pipeline.capture.gaps import Gap, gaps_of
from oai_usage_pipeline.orchestration.metadata import gaps_state, table_definition
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.table_asset import GROUP, OWNERS
from oai_usage_pipeline.tables import CAPTURE_GAPS

# Not executable: capture finds gaps and says so here, with the events that it could have.
capture_gaps = dg.AssetSpec(
    CAPTURE_GAPS.name,
    deps=["event_hub"],
    description=CAPTURE_GAPS.description,
    group_name=GROUP,
    kinds={"deltalake", "polars", "bronze"},
    owners=OWNERS,
    code_version=str(CAPTURE_GAPS.rebuilt_since),
    metadata=table_definition(CAPTURE_GAPS),
)


def gaps_recorded(gaps: Sequence[Gap]) -> dg.AssetMaterialization:
    """What the record holds now, as an event of its asset."""
    return dg.AssetMaterialization(capture_gaps.key, metadata=gaps_state(gaps))


def acknowledge(
    pipeline: Pipeline, event_hub: str | None, partition_id: str, first: int, last: int, by: str, why: str
) -> tuple[Gap, dg.AssetMaterialization]:
    """See `acknowledge_gap`; also returns the event to log. No hub, or the configured one, is asked."""
    is_configured = not event_hub or event_hub.casefold() == pipeline.settings().event_hub.casefold()
    other_hub = None if is_configured else event_hub
    lake = pipeline.lake()
    with pipeline.source() as source:
        done = acknowledge_gap(
            source, lake, partition_id, first, last, by, why, datetime.now(UTC), other_hub=other_hub
        )
    return done, gaps_recorded(gaps_of(lake))


class AcknowledgeConfig(dg.Config):
    """Which gap, exactly as it is recorded, and who answers for going on without its events."""

    hub: str = Field(default="", description="Hub of the gap as namespace/hub; empty: the configured one")
    partition_id: str = Field(description="Partition of the hub, such as 0")
    first: int = Field(description="Number of the first missing event")
    last: int = Field(description="Number of the last missing event")
    by: str = Field(description="Who goes on without these events: kept in capture_gaps")
    why: str = Field(description="Why they are given up: kept in capture_gaps")


@dg.op
def acknowledge_one_gap(
    context: dg.OpExecutionContext, config: AcknowledgeConfig, pipeline: Pipeline
) -> None:
    """Let capture go on past events that the hub no longer has; the days concerned stay marked."""
    done, event = acknowledge(
        pipeline, config.hub, config.partition_id, config.first, config.last, config.by, config.why
    )
    context.log.info("%s", done)
    context.log_event(event)


@dg.job(
    name="acknowledge_gap",
    description="Let capture go on past events that the hub no longer has; the days concerned stay marked.",
)
def acknowledge_gap_job() -> None:
    """One step."""
    acknowledge_one_gap()


GAP_JOBS = [acknowledge_gap_job]
