"""`oai-usage replay`: rejected events by reason, and deriving those of a reason anew after a fix.

Belongs here: options and what is printed. What a replay is, is for `refresh.replay`.
"""

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from oai_usage_pipeline.refresh.replay import ReplayedDay

DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.command("replay")
@click.option("--reason", help="Derive anew what is rejected for this; without it, the reasons are listed.")
@click.option(
    "--from", "first", type=DAY, metavar="DAY", help="Not before this day (of the hub's time, UTC)."
)
@click.option("--to", "last", type=DAY, metavar="DAY", help="Not after this day.")
@click.option("--dry-run", is_flag=True, help="Say what would become of them, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the position of every event.")
def command(
    reason: str | None, first: datetime | None, last: datetime | None, dry_run: bool, as_json: bool
) -> None:
    """List why events are rejected; with --reason, derive those events anew from what was captured.

    Gold, cost and chargeback of the days that change follow with the next pass.
    """
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.refresh.replay import replay

    if reason is None:
        if first or last or dry_run or as_json:
            raise click.UsageError("--from, --to, --dry-run and --json are for one --reason")
        list_rejections()
        return
    first_day, last_day = (each.date().isoformat() if each else None for each in (first, last))
    done = replay(
        Pipeline().lake(),
        reason,
        first_day,
        last_day,
        dry_run=dry_run,
        report=lambda day: None if as_json else click.echo(str(day)),
    )
    if as_json:
        click.echo(json.dumps([_as_dict(each) for each in done], indent=2))
        return
    events, accepted = sum(day.events for day in done), sum(day.accepted for day in done)
    if not done:
        click.echo(f"No event is rejected for {reason} in these days: `oai-usage replay` lists the reasons.")
        return
    would = "would no longer be" if dry_run else "are no longer"
    click.echo(f"{accepted:,} of {events:,} events {would} rejected for {reason}, in {len(done)} days.")
    if broken := sum(day.broken for day in done):
        click.echo(f"Events that weren't rejected, and {'would be' if dry_run else 'are'} now: {broken:,}.")


def _as_dict(day: "ReplayedDay") -> dict[str, object]:
    return asdict(day) | {"accepted": day.accepted, "broken": day.broken}


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
