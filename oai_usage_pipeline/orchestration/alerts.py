"""The sensor that tells people what is wrong: when it begins, daily while it lasts, and when it has ended.

Belongs here: one look, and keeping what was told. A message is remembered once it was delivered, by receiver;
one that wasn't is due again at the next tick. Runs are not told of one by one: sensors ask for them again, so
what counts is whether a job goes on failing. Dagster's own run-failure sensor would tell of each attempt.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from oai_usage_pipeline.alerts.memory import Condition, Memory, Told, episodes, news, told_after
from oai_usage_pipeline.alerts.message import message
from oai_usage_pipeline.alerts.receivers import NotDelivered, Receiver, receivers
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.orchestration.conditions import (
    capture_lag,
    failed_checks,
    failing_jobs,
    wrong_files,
)
from oai_usage_pipeline.orchestration.resources import Pipeline


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the receivers of OAI_USAGE_ALERT_URLS what is wrong, and when it is well again.",
)
def alert_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult | dg.SkipReason:
    """Asks for no run. A receiver that can't be told is a reason to skip, and holds no other up."""
    try:
        settings = pipeline.settings()
        to = receivers(settings.alert_urls)
    except PipelineError as error:
        return dg.SkipReason(str(error))
    if not to:
        return dg.SkipReason("OAI_USAGE_ALERT_URLS is not set: nobody is told.")
    assert context.repository_def is not None
    memory, now = Memory.of(context.cursor), datetime.now(UTC)
    settling = timedelta(minutes=settings.alert_minutes)
    lag, marks = capture_lag(pipeline, memory.marks, now, settling)
    found = [
        *failed_checks(context.instance, context.repository_def, now),
        *failing_jobs(context.instance, context.repository_def),
        *lag,
        *wrong_files(pipeline),
    ]
    memory = memory.model_copy(
        update={"marks": marks, "episodes": episodes(memory.episodes, found, now, settling)}
    )
    told, failures = _tell(to, memory, found, now, settling)
    reason = "\n".join(failures) or f"Wrong are: {', '.join(memory.episodes) or 'nothing'}."
    return dg.SensorResult(
        skip_reason=reason, cursor=memory.model_copy(update={"told": told}).model_dump_json()
    )


def _tell(
    to: Sequence[Receiver], memory: Memory, found: Sequence[Condition], now: datetime, settling: timedelta
) -> tuple[dict[str, dict[str, Told]], list[str]]:
    """What each receiver knows afterwards, and who could not be told."""
    told, failures = {}, []
    for each in to:
        known = memory.told.get(each.name, {})
        due = news(known, found, memory.episodes, now, settling)
        try:
            if due.is_any:
                each.tell(message(due, now))
            told[each.name] = told_after(known, due, now)
        except NotDelivered as failure:
            told[each.name] = known
            failures.append(str(failure))
    return told, failures
