"""The schedules: a daily close, an hourly verification and a daily reconciliation.

Belongs here: what must happen at a time even when nothing new arrives. Everything else is
level-triggered, in `sensors`.
"""

from datetime import timedelta

import dagster as dg

from oai_usage_pipeline.orchestration.days import range_tags
from oai_usage_pipeline.orchestration.jobs import VERIFY, reconcile_job, refresh_job, verify_job
from oai_usage_pipeline.orchestration.liveness import is_at_work
from oai_usage_pipeline.orchestration.maintenance import MAINTENANCE_SCHEDULES
from oai_usage_pipeline.orchestration.payloads import PAYLOAD_SCHEDULES


@dg.schedule(
    job=refresh_job,
    cron_schedule="30 0 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Brings the day that has ended, UTC, up to date in silver, gold and cost.",
)
def daily_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Yesterday, as seen from the scheduled time: a late tick still closes its own day."""
    day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
    return dg.RunRequest(tags=range_tags(day, day))


@dg.schedule(
    job=verify_job,
    cron_schedule="10 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Checks every invariant on the lake as it stands.",
)
def hourly_verify(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One at a time: on a long history it may take more than an hour."""
    if is_at_work(context.instance, VERIFY):
        return dg.SkipReason("The last verification is still at work.")
    return dg.RunRequest()


daily_reconcile = dg.ScheduleDefinition(
    name="daily_reconcile",
    job=reconcile_job,
    cron_schedule="0 6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Holds our totals against the files that Azure's exports left.",
)

SCHEDULES = [daily_close, hourly_verify, daily_reconcile, *MAINTENANCE_SCHEDULES, *PAYLOAD_SCHEDULES]
