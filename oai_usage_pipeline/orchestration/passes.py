"""Whole passes in this process, until nothing is left to do: what `oai-usage run` does.

Belongs here: the same jobs that the sensors ask for, run one after another. What is left to do is
read from the hub and the lake before every pass, never remembered.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from oai_usage_pipeline.capture.backlog import PartitionBacklog, backlog
from oai_usage_pipeline.capture.beginning import refuse_lost_table
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.days import live_days, range_tags
from oai_usage_pipeline.orchestration.instance import storage_fault
from oai_usage_pipeline.orchestration.jobs import CHARGEBACK, LIVE, REFERENCE, REFRESH
from oai_usage_pipeline.orchestration.memory import give_back
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.sensors import all_stale_days, all_stale_months
from oai_usage_pipeline.orchestration.stale_ranges import stale_ranges
from oai_usage_pipeline.reference.landing import is_reference_behind
from oai_usage_pipeline.refresh.chain import DAILY
from oai_usage_pipeline.tables import OPENAI_EVENTS


class PassFailed(PipelineError):
    """A pass ended without having done its work."""


def run_until_idle(
    instance: dg.DagsterInstance, pipeline: Pipeline, report: Callable[[str], None] = lambda _: None
) -> int:
    """Run passes until what the hub holds now is charged for; returns how many were run.

    On a hub that goes on receiving, that is what it held at the start. Raises PassFailed when a pass
    failed, or changed nothing although something is left (a gap, a partition that can't be read), and
    after everything else was done, when a reference file is wrong.
    """
    work = _Work(build_definitions(resource_overrides={"pipeline": pipeline}), instance, pipeline, report)
    # A lake that can't be written or has lost its events: better found before the hub is asked for anything.
    refuse_lost_table(pipeline.lake())
    pipeline.lake().table(OPENAI_EVENTS)
    wrong_files = work.land_reference()
    found = _backlog(pipeline)
    heads = {each.partition_id: each.bounds.last for each in found}
    passes = 0
    faults: list[str] = []
    left = _left(pipeline.lake(), found, heads)
    while left.is_any:
        passes += 1
        if left.events or left.new_gaps:
            report(f"Pass {passes}: {reason(left.events, len(heads), len(left.new_gaps))}")
            faults = work.capture()
        work.refresh_stale()
        before = left
        found = _backlog(pipeline)
        left = _left(pipeline.lake(), found, heads)
        if left == before:
            raise PassFailed("\n".join(faults) or "A pass changed nothing, and yet there is work left")
    faults = [*wrong_files, *(str(each.gap) for each in found if each.gap)]
    if faults:
        raise PassFailed("\n".join(faults))
    return passes


def reason(events: int, partitions: int, new_gaps: int) -> str:
    """Why a live pass is run, for people: events that wait, gaps that aren't on record, or both."""
    waiting = [f"{events:,} events wait in {partitions} partitions"] if events else []
    stopped = [f"partitions stopped by a gap that is to be recorded: {new_gaps}"] if new_gaps else []
    return "; ".join(waiting + stopped)


@dataclass(frozen=True)
class _Left:
    """Events up to the given heads that can be had and are not in bronze; partitions stopped by gaps that
    are not on record; days and months that are behind."""

    events: int
    new_gaps: frozenset[str]
    days: frozenset[str]
    months: frozenset[str]

    @property
    def is_any(self) -> bool:
        return bool(self.events or self.new_gaps or self.days or self.months)


@dataclass(frozen=True)
class _Work:
    """The jobs, run in this process."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    pipeline: Pipeline
    report: Callable[[str], None]

    def land_reference(self) -> list[str]:
        """Land files that changed; what is wrong with them stops no event from being captured."""
        try:
            if is_reference_behind(self.pipeline.lake(), self.pipeline.reference_folder()):
                self.report("Landing the reference data")
                self._execute(REFERENCE)
        except PipelineError as error:
            return [str(error)]
        return []

    def capture(self) -> list[str]:
        """A live pass; returns what its checks found wrong."""
        return self._execute(LIVE, *live_days(datetime.now(UTC)))

    def refresh_stale(self) -> None:
        """Days that are behind, then months; one that fails doesn't keep the others from being done."""
        failures = []
        for first, last in stale_ranges(self.pipeline.lake(), DAILY):
            failures += self._tried(REFRESH, first, last)
        for month in sorted(all_stale_months(self.pipeline.lake())):
            failures += self._tried(CHARGEBACK, month, month)
        if failures:
            raise PassFailed("\n".join(failures))

    def _tried(self, job: str, first: str, last: str) -> list[str]:
        self.report(
            f"Bringing {first} to {last} up to date" if job == REFRESH else f"Charging for {first[:7]}"
        )
        try:
            self._execute(job, first, last)
        except PassFailed as failure:
            return [str(failure)]
        return []

    def _execute(self, job: str, *days: str) -> list[str]:
        """Run a job, on the days from the first to the last; returns what its checks found wrong."""
        try:
            result = self.definitions.resolve_job_def(job).execute_in_process(
                instance=self.instance,
                tags=range_tags(*days) if days else {},
                # Dagster would print every event of the run; its event log has them anyway.
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
        except Exception as error:
            if (fault := storage_fault(error)) is None:
                raise
            raise PassFailed(
                f"{fault}. The lake is untouched by that, and the next run goes on from there"
            ) from error
        finally:
            give_back()
        if not result.success:
            raise PassFailed(f"The pass failed: {_cause(result)}\nThe run {result.run_id} has the details")
        return [
            each.description or each.check_name
            for each in result.get_asset_check_evaluations()
            if not each.passed
        ]


def _backlog(pipeline: Pipeline) -> list[PartitionBacklog]:
    with pipeline.source() as source:
        return backlog(source, pipeline.lake())


def _left(lake: Lake, found: list[PartitionBacklog], heads: dict[str, int]) -> _Left:
    waiting = sum(each.events_up_to(heads.get(each.partition_id, -1)) for each in found if each.gap is None)
    new_gaps = frozenset(str(each.gap) for each in found if each.has_news)
    return _Left(waiting, new_gaps, frozenset(all_stale_days(lake)), frozenset(all_stale_months(lake)))


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
            # Dagster puts the type before an error's own words; ours are made for people.
            return re.sub(r"^oai_usage_pipeline\.errors\.\w+: ", "", error.message.strip())
    return "no step failed"
