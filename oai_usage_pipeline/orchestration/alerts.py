"""The sensor that tells people what is wrong: when it begins, daily while it lasts, and when it has ended.

Belongs here: one look, and keeping what was told. A message is remembered once it was delivered, by receiver;
one that wasn't is due again at the next tick. Runs are not told of one by one: sensors ask for them again, so
what counts is whether a job goes on failing. Dagster's own run-failure sensor would tell of each attempt.

Dagster ends a tick that takes 60 s, and its cursor is lost: the same would be told each minute. So hub and
lake are looked at side by side, which ends within 22 s, and receivers are told side by side, within 20 s.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import dagster as dg

from oai_usage_pipeline.alerts.memory import Condition, Memory, Told, episodes, news, told_after
from oai_usage_pipeline.alerts.message import message
from oai_usage_pipeline.alerts.receivers import NotDelivered, Receiver, receivers
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.orchestration.conditions import (
    HUB_OR_LAKE,
    capture_lag,
    failed_backfill,
    failed_checks,
    failing_jobs,
    overdue_verification,
    wrong_files,
)
from oai_usage_pipeline.orchestration.evaluations import last_evaluations
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
    memory, now = Memory.of(context.cursor), datetime.now(UTC)
    settling = timedelta(minutes=settings.alert_minutes)
    with ThreadPoolExecutor() as looking:
        seen = looking.submit(capture_lag, pipeline, memory.marks, now, settling)
        files = looking.submit(wrong_files, pipeline)
    lag, marks = seen.result()
    found = [*lag, *files.result()]
    found += _in_dagster(context, now, is_answered=all(each.name != HUB_OR_LAKE for each in found))
    memory = memory.model_copy(
        update={"marks": marks, "episodes": episodes(memory.episodes, found, now, settling)}
    )
    told, failures = _tell(to, memory, found, now, settling)
    reason = "\n".join(failures) or f"Wrong are: {', '.join(memory.episodes) or 'nothing'}."
    return dg.SensorResult(
        skip_reason=reason, cursor=memory.model_copy(update={"told": told}).model_dump_json()
    )


def _in_dagster(
    context: dg.SensorEvaluationContext, now: datetime, *, is_answered: bool
) -> Iterator[Condition]:
    """What jobs, backfills and checks have left there; whether hub and lake answer is known."""
    instance, repository = context.instance, context.repository_def
    assert repository is not None
    yield from failing_jobs(instance, repository, now, is_answered=is_answered)
    yield from failed_backfill(instance, now)
    evaluated = last_evaluations(instance, repository)
    yield from overdue_verification(instance, evaluated, now)
    yield from failed_checks(evaluated)


def _tell(
    to: Sequence[Receiver], memory: Memory, found: Sequence[Condition], now: datetime, settling: timedelta
) -> tuple[dict[str, dict[str, Told]], list[str]]:
    """What each receiver knows afterwards, and who could not be told."""

    def tell(each: Receiver) -> tuple[dict[str, Told], str | None]:
        known = memory.told.get(each.name, {})
        due = news(known, found, memory.episodes, now, settling)
        try:
            if due.is_any:
                each.tell(message(due, now))
        except NotDelivered as failure:
            return known, str(failure)
        return told_after(known, due, now), None

    with ThreadPoolExecutor(max_workers=len(to)) as telling:
        done = list(telling.map(tell, to))
    told = {each.name: known for each, (known, _) in zip(to, done, strict=True)}
    return told, [failure for _, failure in done if failure]
