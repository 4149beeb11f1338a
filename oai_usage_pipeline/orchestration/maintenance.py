"""Upkeep in Dagster: the nightly job over tables and old runs.

Belongs here: what Dagster must know around `maintenance`, its configuration at the launchpad, and the figures
that it shows. What is due, and how it is done beside writers, is decided there.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from oai_usage_pipeline.maintenance.upkeep import maintain, tables_named
from oai_usage_pipeline.orchestration.assets import ASSETS
from oai_usage_pipeline.orchestration.checks import CHECKS
from oai_usage_pipeline.orchestration.liveness import is_at_work, signs_of_life
from oai_usage_pipeline.orchestration.pruning import prune
from oai_usage_pipeline.orchestration.queue import BACKGROUND, LAST
from oai_usage_pipeline.orchestration.resources import Pipeline

MAINTAIN = "maintain"


class UpkeepConfig(dg.Config):
    """Which tables, and whether to change anything."""

    tables: list[str] = Field(default_factory=list, description="Names of tables; empty: all")
    dry_run: bool = Field(default=False, description="Say what would be done, and change nothing")


class PruningConfig(dg.Config):
    """Whether to change anything."""

    dry_run: bool = Field(default=False, description="Say what would be deleted, and delete nothing")


@dg.op(tags={"kind": "deltalake"})
def maintain_tables(context: dg.OpExecutionContext, config: UpkeepConfig, pipeline: Pipeline) -> None:
    """Merge small files, delete what is older than OAI_USAGE_HISTORY_DAYS; failing tables stop no other."""
    days = pipeline.settings().history_days
    with signs_of_life(context):
        done = maintain(
            pipeline.lake(),
            tables_named(config.tables),
            datetime.now(UTC).date(),
            days,
            dry_run=config.dry_run,
            report=context.log.info,
        )
    context.add_output_metadata(
        {
            "files": sum(each.files for each in done.compactions),
            "files_after": sum(each.files_after for each in done.compactions),
            "old_files": sum(each.old_files for each in done.cleanings),
            "old_bytes": sum(each.old_bytes for each in done.cleanings),
            "log_files": sum(each.log_files for each in done.cleanings),
            "log_files_after": sum(each.log_files_after for each in done.cleanings),
            "compaction": _table(done.compactions),
            "cleaning": _table(done.cleanings),
            "dry_run": config.dry_run,
        }
    )
    if done.failures:
        raise dg.Failure("\n\n".join(done.failures))


@dg.op(tags={"kind": "dagster"})
def prune_runs(context: dg.OpExecutionContext, config: PruningConfig, pipeline: Pipeline) -> None:
    """Delete runs older than OAI_USAGE_RUN_DAYS, but none that holds a latest event of an asset or check."""
    keys = [
        each
        for made in (*ASSETS, *CHECKS)
        if isinstance(made, dg.AssetsDefinition)
        for each in made.check_keys
    ]
    days = pipeline.settings().run_days
    with signs_of_life(context):
        done = prune(
            context.instance, keys, datetime.now(UTC), days, dry_run=config.dry_run, report=context.log.info
        )
    context.log.info("%s", done)
    context.add_output_metadata({**asdict(done), "dry_run": config.dry_run})


@dg.job(
    name=MAINTAIN,
    description="Merge small files, delete old files, log entries and runs. Safe beside all that writes.",
    # One at a time; if not, the tables see to it themselves.
    tags={**LAST, **BACKGROUND, "oai_usage/upkeep": "tables"},
)
def maintain_job() -> None:
    """Two steps that don't wait for each other."""
    maintain_tables()
    prune_runs()


@dg.schedule(
    name="nightly_upkeep",
    job=maintain_job,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Merges small files and deletes old files, log entries and runs, after the day was closed.",
)
def nightly_upkeep(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One at a time."""
    if is_at_work(context.instance, MAINTAIN):
        return dg.SkipReason("The last upkeep is still at work.")
    return dg.RunRequest()


def _table(done: Sequence[Any]) -> dg.TableMetadataValue | str:
    records = [dg.TableRecord(asdict(each)) for each in done]
    return dg.MetadataValue.table(records) if records else "none"


MAINTENANCE_JOBS = [maintain_job]
MAINTENANCE_SCHEDULES = [nightly_upkeep]
