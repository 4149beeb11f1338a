"""Deriving rejected events anew, as a Dagster job; `oai-usage replay` does the same.

Belongs here: the configuration that a person fills in at the launchpad. What a replay is, is for
`refresh.replay`.
"""

import dagster as dg
from pydantic import Field

from oai_usage_pipeline.orchestration.queue import BACKGROUND
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.refresh.replay import replay


class ReplayConfig(dg.Config):
    """Which events: by reason, and from which to which day."""

    reason: str = Field(description="The first reason of the rejected rows, such as `not_json`")
    first_day: str | None = Field(default=None, description="Not before this day, such as 2026-03-10 (UTC)")
    last_day: str | None = Field(default=None, description="Not after this day")
    dry_run: bool = Field(default=False, description="Say what would become of them, and write nothing")


@dg.op
def replay_rejected(context: dg.OpExecutionContext, config: ReplayConfig, pipeline: Pipeline) -> None:
    """Derive the days anew that hold events rejected for a reason; gold and cost follow by themselves."""
    done = replay(
        pipeline.lake(),
        config.reason,
        config.first_day,
        config.last_day,
        dry_run=config.dry_run,
        report=lambda day: context.log.info("%s", day),
    )
    context.add_output_metadata(
        {
            "days": len(done),
            "events": sum(day.events for day in done),
            "no_longer_rejected": sum(day.accepted for day in done),
            "others_rejected_now": sum(day.broken for day in done),
        }
    )


@dg.job(
    name="replay",
    description="Derive rejected events anew from bronze, by reason and range of days.",
    tags=BACKGROUND,
)
def replay_job() -> None:
    """One step."""
    replay_rejected()


REPLAY_JOBS = [replay_job]
