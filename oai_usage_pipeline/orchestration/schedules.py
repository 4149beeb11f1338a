"""The schedules: a daily close and an hourly reconciliation.

Belongs here: what must happen at a time even when nothing new arrives. Everything else is
level-triggered, in `sensors`.
"""

from datetime import timedelta

import dagster as dg

from oai_usage_pipeline.orchestration.days import range_tags
from oai_usage_pipeline.orchestration.jobs import reconcile_job, refresh_job


@dg.schedule(
    job=refresh_job,
    cron_schedule="30 0 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Brings the day that has ended, UTC, up to date in silver and gold.",
)
def daily_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Yesterday, as seen from the scheduled time: a late tick still closes its own day."""
    day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
    return dg.RunRequest(tags=range_tags(day, day))


hourly_reconcile = dg.ScheduleDefinition(
    name="hourly_reconcile",
    job=reconcile_job,
    cron_schedule="10 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Checks every invariant on the lake as it stands.",
)

SCHEDULES = [daily_close, hourly_reconcile]
