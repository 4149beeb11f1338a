"""`oai-usage maintain`: merge small files, delete old ones, shorten logs, and show before and after.

Belongs here: options and tables. What is due is for `maintenance`; Dagster's runs are pruned by the job.
"""

from datetime import UTC, datetime

import click

from oai_usage_pipeline.errors import PipelineError


class UpkeepFailed(PipelineError):
    """Some table could not be maintained; the others were."""


@click.command("maintain")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--table", "names", multiple=True, metavar="NAME", help="Only this table; may be repeated.")
def command(dry_run: bool, names: tuple[str, ...]) -> None:
    """Merge the small files of each table, delete files and log entries older than OAI_USAGE_HISTORY_DAYS.

    Safe beside everything that writes, and safe to stop.
    """
    from oai_usage_pipeline.cli.tables import show
    from oai_usage_pipeline.maintenance.upkeep import maintain, tables_named
    from oai_usage_pipeline.orchestration.resources import Pipeline

    pipeline, tables = Pipeline(), tables_named(names)
    days, today = pipeline.settings().history_days, datetime.now(UTC).date()
    done = maintain(pipeline.lake(), tables, today, days, dry_run=dry_run, report=click.echo)
    if done.compactions:
        show(
            "Small files that would be merged (about)" if dry_run else "Small files merged", done.compactions
        )
        show(f"Older than {days} days, {'would go' if dry_run else 'gone'}", done.cleanings)
    if dry_run:
        click.echo("Nothing was changed.")
    if done.failures:
        raise UpkeepFailed("\n".join(done.failures))
    if not done.compactions:
        click.echo("There is no table yet.")
