"""What is wrong now: failed checks, failing jobs, capture that is behind, a hub, a lake or files that fail.

Belongs here: reading it, and where a person goes with it. When that is news is for `alerts.memory`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from oai_usage_pipeline.alerts.lag import Mark, marks
from oai_usage_pipeline.alerts.memory import DAY, Condition
from oai_usage_pipeline.capture.backlog import PartitionBacklog, backlog
from oai_usage_pipeline.errors import PipelineError
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

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

HUB_OR_LAKE = "hub and lake"
LAG = "capture is behind"
REFERENCE_FILES = "reference files"
VERIFICATION = "verification is overdue"


def failed_checks(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, now: datetime
) -> Iterator[Condition]:
    """Checks whose last evaluation failed; one under way or cut short leaves the one before in force."""
    found = instance.event_log_storage.get_asset_check_summary_records(
        list(repository.asset_graph.asset_check_keys)
    ).values()
    records = [each.last_completed_check_execution_record for each in found]
    entries = [each.event for each in records if each is not None and each.event is not None]
    evaluated = [(each.asset_check_evaluation, each.timestamp) for each in entries]
    yield from (_failed_check(each) for each, _ in evaluated if each is not None and not each.passed)
    hourly = [at for each, at in evaluated if each is not None and each.check_name == HOURLY_CHECK]
    if hourly and (last := datetime.fromtimestamp(hourly[0], UTC)) < now - OVERDUE:
        yield Condition(
            VERIFICATION,
            f"The checks of the job verify were last evaluated {last:%Y-%m-%d %H:%M} UTC; that is due hourly",
            "the schedule hourly_verify and the job verify in Dagster",
        )


def _failed_check(found: dg.AssetCheckEvaluation) -> Condition:
    is_warning = found.severity is dg.AssetCheckSeverity.WARN
    kind, asset = "warning" if is_warning else "check", found.asset_key.to_user_string()
    return Condition(
        f"{kind} {found.check_name} of {asset}",
        found.description or "The check failed",
        ADVICE.get(found.check_name, "oai-usage verify"),
        reminder=WEEK if is_warning else DAY,
    )


def failing_jobs(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> Iterator[Condition]:
    """Jobs that nobody watches, started by sensors and schedules, whose last run failed.

    They are tried again by themselves; one that succeeds, or is cancelled by somebody, isn't failing.
    """
    sensors, schedules = repository.sensor_defs, repository.schedule_defs
    jobs = {each.job_name for sensor in sensors for each in sensor.targets}
    for job in sorted(jobs | {each.job_name for each in schedules}):
        records = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=ENDED), limit=1)
        if records and records[0].dagster_run.status is dg.DagsterRunStatus.FAILURE:
            run_id, at = records[0].dagster_run.run_id, records[0].update_timestamp
            sentence = f"Its last run failed at {at:%Y-%m-%d %H:%M} UTC"
            yield Condition(f"job {job} fails", sentence, f"the run {run_id} in Dagster")


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


def wrong_files(pipeline: Pipeline) -> Iterator[Condition]:
    """Reference files that can't be landed: the tables stay as they were."""
    try:
        is_reference_behind(pipeline.lake(), pipeline.reference_folder())
    except PipelineError as error:
        yield Condition(REFERENCE_FILES, str(error), "oai-usage subscriptions check (docs/REFERENCE.md)")
