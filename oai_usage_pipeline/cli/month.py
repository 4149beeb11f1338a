"""`oai-usage month`: show a month's chargeback, close it, state it anew.

Belongs here: options and messages. What closing means is for `refresh.closing`, how a statement looks
for `statement`.
"""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import click

from oai_usage_pipeline.charge.teams import by_team
from oai_usage_pipeline.cli.statement import show_statement
from oai_usage_pipeline.cli.terminal import plain

if TYPE_CHECKING:
    from oai_usage_pipeline.lake.lake import Lake

__all__ = ["command", "show_statement", "show_statements"]

MONTH = click.argument("month", metavar="YYYY-MM")
BY = click.option("--by", required=True, help="Who does it: kept in month_closings.")


@click.group("month")
def command() -> None:
    """Show, close or restate what teams are charged for a month."""


@command.command("show")
@MONTH
@click.option("--by-team", "teams_only", is_flag=True, help="A line for each team, its models added up.")
def show(month: str, teams_only: bool) -> None:
    """Show what each team is charged for a month, adjustments included."""
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.refresh.closing import month_of

    month_of(month)
    show_statements(Pipeline().lake(), month, teams_only=teams_only)


@command.command("close")
@MONTH
@BY
def close(month: str, by: str) -> None:
    """Close a month that is over: from then on it only gains dated adjustments."""
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.refresh.closing import close_month, month_of

    lake = Pipeline().lake()
    click.echo(close_month(lake, month_of(month), by, datetime.now(UTC)))
    show_gaps(lake, month_of(month))


@command.command("restate")
@MONTH
@BY
@click.option("--why", required=True, help="Why the statement changes: kept in month_closings.")
def restate(month: str, by: str, why: str) -> None:
    """Replace a closed month's statement by a new, numbered one; the old stays readable."""
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.refresh.closing import month_of, restate_month

    click.echo(restate_month(Pipeline().lake(), month_of(month), by, why, datetime.now(UTC)))


def show_statements(lake: "Lake", only: str | None = None, *, teams_only: bool = False) -> None:
    """Print the statement of each month of the lake, or of the one asked for, and whether it is closed.

    Below it stand the events that are missing from the month, with who acknowledged that.

    With `teams_only`, each team's models are added up. Raises NoTable where nothing is charged yet.
    """
    import polars as pl

    from oai_usage_pipeline.refresh.closing import month_of
    from oai_usage_pipeline.refresh.closings import closings_of
    from oai_usage_pipeline.tables import CHARGEBACK_MONTHLY

    rows = lake.existing(CHARGEBACK_MONTHLY).scan()
    months = rows.select(pl.col("usage_month").unique().sort().dt.strftime("%Y-%m")).collect()
    for month in [only] if only else months["usage_month"]:
        closings = closings_of(lake, month_of(month))
        state = "closed" if any(not each.is_begun for each in closings) else "open"
        statement = rows.filter(pl.col("usage_month") == month_of(month)).collect()
        show_statement(by_team(statement) if teams_only else statement, f"Chargeback of {month} ({state})")
        for closing in closings:
            click.echo(f"  {closing}")
        show_gaps(lake, month_of(month))


def show_gaps(lake: "Lake", month: date) -> None:
    """Print which events are missing from a month (its first day), a line for each gap."""
    from oai_usage_pipeline.audit.completeness import gaps_of_month

    for gap in gaps_of_month(lake, month):
        click.echo(plain(f"  Not in it: {gap}"))
