"""`oai-usage backfill`: brings days that are behind up to date, as a Dagster backfill.

Belongs here: options, the question, and what is printed. What a backfill is, is for
`orchestration.backfills`.
"""

import sys
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from oai_usage_pipeline.lake.lake import Lake
    from oai_usage_pipeline.orchestration.backfills import Instance, Plan
    from oai_usage_pipeline.refresh.stale import StaleTable

DAY = click.DateTime(formats=["%Y-%m-%d"])
POLL_SECONDS = 3.0


@dataclass(frozen=True)
class _Line:
    """A table that is behind, as people read it; `to_rebuild` counts days that have to be made anew."""

    table: str
    days: int
    to_rebuild: int
    source_rows: int
    first_day: str
    last_day: str

    @classmethod
    def of(cls, stale: "StaleTable") -> "_Line":
        return cls(
            stale.table, len(stale.days), stale.rebuilt, stale.source_rows, stale.days[0], stale.days[-1]
        )


@click.command("backfill")
@click.option("--stale", is_flag=True, help="Every day that is behind.")
@click.option(
    "--from", "first", type=DAY, metavar="DAY", help="Days that are behind, from this one on (UTC)."
)
@click.option("--to", "last", type=DAY, metavar="DAY", help="Not after this day.")
@click.option("--wait", is_flag=True, help="Stay until it has ended, and say how far it is.")
@click.option("--yes", is_flag=True, help="Don't ask: for scripts.")
def command(stale: bool, first: datetime | None, last: datetime | None, wait: bool, yes: bool) -> None:
    """Show what is behind after a contract or prices changed, ask, and have Dagster bring it up to date.

    Without a terminal and without --yes it only shows. The backfill is run by Dagster's daemon, behind live
    passes, and can be watched and cancelled in the UI. With --wait, exit 0 only when it succeeded.
    """
    if stale == bool(first or last) or bool(first) != bool(last):
        raise click.UsageError("Say either --stale, or both --from DAY and --to DAY")
    from oai_usage_pipeline.orchestration.backfills import (
        asset_graph,
        daemon_fault,
        launch,
        plan,
        refuse_wrong_dates,
    )
    from oai_usage_pipeline.orchestration.instance import dagster_instance
    from oai_usage_pipeline.orchestration.resources import Pipeline

    lake = Pipeline().lake()
    first_day, last_day = (each.date().isoformat() if each else None for each in (first, last))
    refuse_wrong_dates(first_day, last_day)
    with dagster_instance() as instance:
        planned = plan(lake, instance, first_day, last_day)
        if not planned.days:
            click.echo("Nothing is stale: every day of silver, gold and cost is up to date.")
            return
        show(planned)
        if not (yes or (sys.stdin.isatty() and click.confirm("Do this?"))):
            click.echo("Nothing was launched.")
            raise SystemExit(1)
        backfill_id = launch(instance, asset_graph(), planned, by="command")
        click.echo(f"Launched the backfill {backfill_id}: {planned.title}.")
        if fault := daemon_fault(instance):
            click.echo(f"{fault}.")
            if wait:
                raise SystemExit(1)
        elif wait:
            _wait(instance, lake, backfill_id, planned.days[0], planned.days[-1])


def show(planned: "Plan") -> None:
    """Print what is behind and about how long it will take."""
    from oai_usage_pipeline.cli.tables import show as show_table

    show_table("Days that are behind", [_Line.of(each) for each in planned.tables])
    click.echo(f"{planned.title}: {planned.takes}.")


def _wait(instance: "Instance", lake: "Lake", backfill_id: str, first: str, last: str) -> None:
    """Print what is left whenever that changes, until the backfill has ended; exit 1 if it didn't succeed."""
    from oai_usage_pipeline.orchestration.backfills import SUCCEEDED, is_under_way, status_of
    from oai_usage_pipeline.refresh.chain import DAILY
    from oai_usage_pipeline.refresh.stale import stale_tables

    said = ""
    while is_under_way(status := status_of(instance, backfill_id)):
        left = stale_tables(lake, first, last, DAILY)
        now = ", ".join(f"{len(each.days)} days of {each.table}" for each in left) or "nothing but its end"
        if now != said:
            click.echo(f"Left: {now}")
            said = now
        time.sleep(POLL_SECONDS)
    click.echo(f"The backfill {backfill_id} has ended: {status}.")
    if status not in SUCCEEDED:
        raise SystemExit(1)
