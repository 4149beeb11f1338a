"""`oai-usage replay`: rejected events by reason, and deriving those of a reason anew after a fix.

Belongs here: options and what is printed. What a replay is, is for `refresh.replay`.
"""

from datetime import datetime

import click

DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.command("replay")
@click.option("--reason", help="Derive anew what is rejected for this; without it, the reasons are listed.")
@click.option(
    "--from", "first", type=DAY, metavar="DAY", help="Not before this day (of the hub's time, UTC)."
)
@click.option("--to", "last", type=DAY, metavar="DAY", help="Not after this day.")
@click.option("--dry-run", is_flag=True, help="Say what would become of them, and write nothing.")
def command(reason: str | None, first: datetime | None, last: datetime | None, dry_run: bool) -> None:
    """List why events are rejected; with --reason, derive those events anew from what was captured.

    Gold, cost and chargeback of the days that change follow with the next pass.
    """
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.refresh.replay import replay

    if reason is None:
        if first or last or dry_run:
            raise click.UsageError("--from, --to and --dry-run are for one --reason")
        list_rejections()
        return
    first_day, last_day = (each.date().isoformat() if each else None for each in (first, last))
    done = replay(
        Pipeline().lake(),
        reason,
        first_day,
        last_day,
        dry_run=dry_run,
        report=lambda day: click.echo(str(day)),
    )
    events, accepted = sum(day.events for day in done), sum(day.accepted for day in done)
    if not done:
        click.echo(f"No event is rejected for {reason} in these days: `oai-usage replay` lists the reasons.")
        return
    would = "would no longer be" if dry_run else "are no longer"
    click.echo(f"{accepted:,} of {events:,} events {would} rejected for {reason}, in {len(done)} days.")


def list_rejections() -> None:
    """Print each reason with how many events, and when."""
    from oai_usage_pipeline.cli.tables import show
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.refresh.replay import rejections

    found = rejections(Pipeline().lake())
    if not found:
        click.echo("No event is rejected.")
        return
    show("Rejected events", found)
    click.echo("After a fix: `oai-usage replay --reason REASON`, at first with --dry-run.")
