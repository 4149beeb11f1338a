"""Texts of prompts and answers in Dagster: the daily purge, and whether it keeps up.

Belongs here: what Dagster must know around `privacy`. Erasing on request has no job: a run's configuration is
kept, and it would name whom to forget; `oai-usage payloads erase` asks for it unseen.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from oai_usage_pipeline.orchestration.queue import BACKGROUND
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.privacy.retention import first_day_kept, purge, texts_by_day
from oai_usage_pipeline.settings import Settings
from oai_usage_pipeline.tables import OPENAI_EVENTS

GRACE = timedelta(days=1)
"""How long the purge may be behind: it runs once a day."""


@dg.op
def take_texts_out(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    """Take the texts out of days beyond their time; without a retention, nothing."""
    retention = pipeline.settings().payload_retention_days
    if retention is None:
        context.log.info("OAI_USAGE_PAYLOAD_RETENTION_DAYS is not set: texts are kept")
        return
    done = purge(pipeline.lake(), first_day_kept(datetime.now(UTC), retention), context.log.info)
    context.log.info("%s", done)


@dg.job(
    name="purge_payloads",
    description="Take the texts out of days older than OAI_USAGE_PAYLOAD_RETENTION_DAYS; numbers stay.",
    tags=BACKGROUND,
)
def purge_payloads_job() -> None:
    """One step."""
    take_texts_out()


@dg.schedule(
    name="daily_purge",
    job=purge_payloads_job,
    cron_schedule="30 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Takes texts out of bronze when their time is over.",
)
def daily_purge() -> dg.RunRequest | dg.SkipReason:
    """Only where there is a retention."""
    if Settings.load().payload_retention_days is None:
        return dg.SkipReason("OAI_USAGE_PAYLOAD_RETENTION_DAYS is not set: texts are kept.")
    return dg.RunRequest()


@dg.asset_check(
    name="payloads_within_retention",
    asset=OPENAI_EVENTS.name,
    description="No event holds texts longer than OAI_USAGE_PAYLOAD_RETENTION_DAYS, plus a day.",
)
def payloads_within_retention(pipeline: Pipeline) -> dg.AssetCheckResult:
    """A warning: the daily purge is behind."""
    retention = pipeline.settings().payload_retention_days
    days = texts_by_day(pipeline.lake())
    oldest = min(days, default=None)
    latest = None if retention is None else first_day_kept(datetime.now(UTC) - GRACE, retention).isoformat()
    is_behind = oldest is not None and latest is not None and oldest < latest
    told = f"The oldest texts are of {oldest}" if oldest else "No event holds texts"
    limit = "; they are kept for ever" if latest is None else f"; days before {latest} should hold none"
    advice = ": run the job purge_payloads, or `oai-usage payloads purge`" if is_behind else "."
    return dg.AssetCheckResult(
        passed=not is_behind,
        severity=dg.AssetCheckSeverity.WARN,
        description=told + limit + advice,
        metadata={
            "events_with_texts": sum(days.values()),
            "oldest_texts": oldest or "none",
            "retention_days": retention or "for ever",
        },
    )


PAYLOAD_JOBS = [purge_payloads_job]
PAYLOAD_SCHEDULES = [daily_purge]
PAYLOAD_CHECKS = [payloads_within_retention]
