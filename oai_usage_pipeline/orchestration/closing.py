"""Closing a month and stating it anew, as Dagster jobs; the commands do the same.

Belongs here: the configuration that a person fills in at the launchpad. What closing means is for
`refresh.closing`.
"""

from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.refresh.closing import close_month, month_of, restate_month


class CloseConfig(dg.Config):
    """Which month, and who answers for it."""

    month: str = Field(description="Such as 2026-03")
    by: str = Field(description="Who closes it: kept in month_closings")


class RestateConfig(CloseConfig):
    """The same, with a reason."""

    why: str = Field(description="Why the statement changes: kept in month_closings")


@dg.op
def close_a_month(context: dg.OpExecutionContext, config: CloseConfig, pipeline: Pipeline) -> None:
    """Close a month that is over: from then on it only gains adjustments."""
    done = close_month(pipeline.lake(), month_of(config.month), config.by, datetime.now(UTC))
    context.log.info("%s", done)


@dg.op
def restate_a_month(context: dg.OpExecutionContext, config: RestateConfig, pipeline: Pipeline) -> None:
    """Replace a closed month's statement by a new one; the old stays in the table's history."""
    done = restate_month(pipeline.lake(), month_of(config.month), config.by, config.why, datetime.now(UTC))
    context.log.info("%s", done)


@dg.job(name="close_month", description="Close a month that is over: from then on it only gains adjustments.")
def close_month_job() -> None:
    """One step."""
    close_a_month()


@dg.job(name="restate_month", description="Replace a closed month's statement by a new, numbered one.")
def restate_month_job() -> None:
    """One step."""
    restate_a_month()


CLOSING_JOBS = [close_month_job, restate_month_job]
