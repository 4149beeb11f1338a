"""What is wrong now: hub, lake or files that fail, capture that is behind, failed jobs, backfills and checks.

Belongs here: reading it, and where a person goes with it. When that is news is for `alerts.memory`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from oai_usage_pipeline.alerts.lag import Mark, marks
from oai_usage_pipeline.alerts.memory import DAY, Condition
from oai_usage_pipeline.capture.backlog import PartitionBacklog, backlog
from oai_usage_pipeline.errors import ConfigurationError, PipelineError
from oai_usage_pipeline.orchestration.backfills import FAILED, MOST_LOOKED_AT, UNDER_WAY
from oai_usage_pipeline.orchestration.evaluations import Evaluation
from oai_usage_pipeline.orchestration.jobs import LIVE
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.reference.landing import is_reference_behind

WEEK = timedelta(days=7)
"""Between reminders of a warning, which somebody may have decided to live with."""

HOURLY_CHECK = "days_are_current"
OVERDUE = timedelta(hours=3)
"""Without an evaluation of this check, the hourly verification isn't asked for, or fails."""

ADVICE = {
    "azure_agrees": "oai-usage reconcile (docs/RECONCILIATION.md)",
    "chargeback_equals_rebuild": "oai-usage verify (docs/CHARGEBACK.md)",
    "clock_agrees": "set this machine's clock",
    "cost_equals_rebuild": "oai-usage verify (docs/PRICES.md)",
    "days_are_complete": "oai-usage gaps (docs/GAPS.md)",
    "days_are_current": "oai-usage backfill --stale (docs/SCHEMA.md)",
    "deployments_are_named": "deployments.csv (docs/REFERENCE.md)",
    "estimated_share": "oai-usage status (docs/EVENTS.md)",
    "every_partition_read": "oai-usage status",
    "fields_are_known": "docs/EVENTS.md",
    "files_are_whole": "oai-usage repair (docs/REPAIR.md)",
    "no_gap": "oai-usage gaps (docs/GAPS.md)",
    "no_key_in_clear": "oai-usage verify (SECURITY.md)",
    "nothing_doubled": "oai-usage repair (docs/REPAIR.md)",
    "nothing_lost": "oai-usage gaps, oai-usage repair (docs/REPAIR.md)",
    "payloads_within_retention": "oai-usage payloads (docs/PRIVACY.md)",
    "positions_match": "oai-usage repair (docs/REPAIR.md)",
    "rejected_share": "oai-usage replay (docs/REPAIR.md)",
    "unattributed_share": "oai-usage subscriptions check (docs/REFERENCE.md)",
    "unmetered_share": "oai-usage status (docs/EVENTS.md)",
    "unpriced_share": "oai-usage prices list (docs/PRICES.md)",
}
"""Where to go when a check fails, if not to `oai-usage verify`."""

ASKED_AGAIN = timedelta(minutes=15)
"""After a failure, a sensor asks again for what is still missing within five minutes."""

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

HUB_OR_LAKE = "hub and lake"
BACKFILL = "backfill fails"
LAG = "capture is behind"
REFERENCE_FILES = "reference files"
VERIFICATION = "verification is overdue"


def failed_checks(found: Iterable[Evaluation]) -> Iterator[Condition]:
    """Checks whose last evaluation failed."""
    return (_failed_check(each) for each in found if not each.said.passed)


def _failed_check(found: Evaluation) -> Condition:
    kind, asset = "warning" if found.is_warning else "check", found.said.asset_key.to_user_string()
    return Condition(
        f"{kind} {found.said.check_name} of {asset}",
        found.said.description or "The check failed",
        ADVICE.get(found.said.check_name, "oai-usage verify"),
        reminder=WEEK if found.is_warning else DAY,
    )


def overdue_verification(
    instance: dg.DagsterInstance, found: Iterable[Evaluation], now: datetime
) -> Iterator[Condition]:
    """Whether the hourly checks are evaluated no longer, or never were since the first live pass."""
    last = max((each.at for each in found if each.said.check_name == HOURLY_CHECK), default=None)
    if last is None:
        earlier = dg.RunsFilter(job_name=LIVE, created_before=now - OVERDUE)
        is_overdue, when = bool(instance.get_runs(earlier, limit=1)), "never evaluated"
    else:
        is_overdue, when = last < now - OVERDUE, f"last evaluated {last:%Y-%m-%d %H:%M} UTC"
    if is_overdue:
        yield Condition(
            VERIFICATION,
            f"The checks of the job verify were {when}; that is due hourly",
            "the schedule hourly_verify and the job verify in Dagster",
        )


def failing_jobs(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, now: datetime, *, is_answered: bool
) -> Iterator[Condition]:
    """Jobs that nobody watches, started by sensors and schedules, whose last run failed.

    They are tried again by themselves; one that succeeds, or is cancelled by somebody, isn't failing. Nor is
    one that its sensor doesn't ask for any more, though hub and lake answer (`is_answered`): what it should
    have done is no longer missing.
    """
    asked = {each.job_name for sensor in repository.sensor_defs for each in sensor.targets}
    for job in sorted(asked | {each.job_name for each in repository.schedule_defs}):
        records = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=ENDED), limit=1)
        if not records or records[0].dagster_run.status is not dg.DagsterRunStatus.FAILURE:
            continue
        run_id, at = records[0].dagster_run.run_id, records[0].update_timestamp
        is_asked = now - at < ASKED_AGAIN or _is_unfinished(instance, job)
        if job not in asked or is_asked or not is_answered:
            sentence = f"Its last run failed at {at:%Y-%m-%d %H:%M} UTC"
            yield Condition(f"job {job} fails", sentence, f"the run {run_id} in Dagster")


def _is_unfinished(instance: dg.DagsterInstance, job: str) -> bool:
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=NOT_FINISHED_STATUSES), limit=1))


def failed_backfill(instance: dg.DagsterInstance, now: datetime) -> Iterator[Condition]:
    """The last backfill that has ended, if it failed, for a day."""
    ended = (each for each in instance.get_backfills(limit=MOST_LOOKED_AT) if each.status not in UNDER_WAY)
    last = next(ended, None)
    if last is None or last.status not in FAILED:
        return
    at = datetime.fromtimestamp(last.backfill_end_timestamp or last.backfill_timestamp, UTC)
    if now - at < DAY:
        what = f"{last.backfill_id} ({last.title})" if last.title else last.backfill_id
        sentence = f"The backfill {what} failed at {at:%Y-%m-%d %H:%M} UTC"
        yield Condition(BACKFILL, sentence, "its failed runs in Dagster, then oai-usage backfill --stale")


def capture_lag(
    pipeline: Pipeline, before: Mapping[str, Mark], now: datetime, settling: timedelta
) -> tuple[list[Condition], dict[str, Mark]]:
    """Whether hub and lake answer and capture keeps up, and the marks that it has yet to reach.

    While they don't answer, marks stay: nothing is known to have been captured.
    """
    silent: list[Condition] = []
    found: list[PartitionBacklog] = []
    after = dict(before)
    try:
        with pipeline.source() as source:
            found = backlog(source, pipeline.lake())
        after = marks(before, found, now)
    except PipelineError as error:
        silent = [Condition(HUB_OR_LAKE, str(error), "oai-usage status")]
    return [*silent, *_behind(after, found, now, settling)], after


def _behind(
    left: Mapping[str, Mark], found: Sequence[PartitionBacklog], now: datetime, settling: timedelta
) -> list[Condition]:
    since = min((each.at for each in left.values()), default=now)
    if not left or now - since < settling:
        return []
    waiting = f"{sum(each.event_count for each in found):,} events" if found else "Events"
    minutes = (now - since).total_seconds() / 60
    sentence = (
        f"{waiting} wait in {len(left)} partitions of the hub, the first for {minutes:.0f} minutes or more"
    )
    return [Condition(LAG, sentence, "oai-usage status, and the job live in Dagster", since)]


def wrong_files(pipeline: Pipeline) -> list[Condition]:
    """Reference files that can't be landed, so that tables stay as they were, or a lake that fails."""
    try:
        is_reference_behind(pipeline.lake(), pipeline.reference_folder())
    except ConfigurationError as error:
        return [Condition(REFERENCE_FILES, str(error), "oai-usage subscriptions check (docs/REFERENCE.md)")]
    except PipelineError as error:
        return [Condition(HUB_OR_LAKE, str(error), "oai-usage status")]
    return []
