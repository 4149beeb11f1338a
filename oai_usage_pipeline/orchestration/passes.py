"""Whole passes in this process, until nothing is left to do: what `oai-usage run` does.

Belongs here: the same jobs that the sensors ask for, run one after another. What is left to do is
read from the hub and the lake before every pass, never remembered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from oai_usage_pipeline.capture.backlog import PartitionBacklog, backlog
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.orchestration.days import live_days, range_tags, ranges
from oai_usage_pipeline.orchestration.jobs import LIVE, REFRESH
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.sensors import all_stale_days


class PassFailed(PipelineError):
    """A pass ended without having done its work."""


@dataclass(frozen=True)
class Work:
    """What is left: the backlog of each partition, and the days that are behind."""

    backlog: list[PartitionBacklog]
    stale_days: set[str]

    @property
    def waiting(self) -> int:
        """Events that can be captured."""
        return sum(each.event_count for each in self.backlog if each.gap is None)

    @property
    def gaps(self) -> list[str]:
        """What stops partitions for good."""
        return [str(each.gap) for each in self.backlog if each.gap]

    @property
    def summary(self) -> str:
        """What is left, in words."""
        return f"{self.waiting} events to capture, {', '.join(sorted(self.stale_days)) or 'no day'} behind"

    @property
    def is_idle(self) -> bool:
        """Whether a pass would do nothing."""
        return not self.waiting and not self.stale_days


def remaining_work(pipeline: Pipeline) -> Work:
    """Compare hub and lake; raises SourceUnavailable or LakeUnavailable."""
    with pipeline.source() as source:
        found = backlog(source, pipeline.lake())
    return Work(found, all_stale_days(pipeline.lake()))


def run_until_idle(
    instance: dg.DagsterInstance, pipeline: Pipeline, report: Callable[[str], None] = lambda _: None
) -> int:
    """Run passes until nothing is left; returns how many were run.

    Raises PassFailed when a pass failed, or when a gap keeps a partition from being captured.
    """
    definitions = build_definitions(resource_overrides={"pipeline": pipeline})
    passes = 0
    before = None
    while not (work := remaining_work(pipeline)).is_idle:
        if work == before:
            raise PassFailed(f"A pass changed nothing, and yet is left to do: {work.summary}")
        before = work
        passes += 1
        if work.waiting:
            report(f"Pass {passes}: {work.waiting:,} events wait in {len(work.backlog)} partitions")
            _execute(definitions, instance, LIVE, *live_days(datetime.now(UTC)))
        else:
            for first, last in ranges(work.stale_days):
                report(f"Pass {passes}: bringing {first} to {last} up to date")
                _execute(definitions, instance, REFRESH, first, last)
    if work.gaps:
        raise PassFailed("\n".join(work.gaps))
    return passes


def _execute(
    definitions: dg.Definitions, instance: dg.DagsterInstance, job: str, first: str, last: str
) -> None:
    result = definitions.resolve_job_def(job).execute_in_process(
        instance=instance,
        tags=range_tags(first, last),
        # Dagster would print every event of the run; its event log has them anyway.
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    if not result.success:
        raise PassFailed(f"The pass failed: {_cause(result)}\nThe run {result.run_id} has the details")


def _cause(result: dg.ExecuteInProcessResult) -> str:
    """The innermost error of the first step that failed, in its own words."""
    for event in result.get_step_failure_events()[:1]:
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        failure = event.step_failure_data.user_failure_data
        if failure is not None and failure.description:
            return failure.description
        if error is not None and error.cls_name == "DagsterExecutionInterruptedError":
            return "it was interrupted. What was committed stays, and the next run goes on from there"
        if error is not None:
            return error.message.strip()
    return "no step failed"
