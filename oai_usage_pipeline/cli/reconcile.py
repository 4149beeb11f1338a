"""`oai-usage reconcile`: our totals against Azure's own metrics and charges."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from oai_usage_pipeline.reconcile.reconciliation import Reconciliation
    from oai_usage_pipeline.reconcile.variance import VarianceLine


def _percent(_context: click.Context, _option: click.Parameter, value: str) -> Decimal:
    try:
        percent = Decimal(value)
    except InvalidOperation:
        raise click.BadParameter(f"{value!r} is no number such as 0.5") from None
    if not percent.is_finite() or not 0 <= percent < 100:
        raise click.BadParameter(f"{value!r} is not between 0 and 100")
    return percent


@dataclass(frozen=True)
class _ShownLine:
    day: str
    subject: str
    measure: str
    ours: str
    theirs: str
    difference: str
    percent: str
    cause: str


_FILES = click.Path(exists=True, dir_okay=False, path_type=Path)
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command("reconcile")
@click.option(
    "--metrics", multiple=True, type=_FILES, help="Answer of Azure Monitor's metrics (JSON); may repeat."
)
@click.option("--cost-export", multiple=True, type=_FILES, help="Cost export (CSV); may repeat.")
@click.option("--from", "first", type=_DAY, help="First day (UTC); default: the files' first.")
@click.option("--to", "last", type=_DAY, help="Last day (UTC); default: the files' last.")
@click.option(
    "--incomplete",
    multiple=True,
    type=_DAY,
    help="A day that is known to be incomplete on our side; may repeat.",
)
@click.option(
    "--tolerance", callback=_percent, default="0.5", show_default=True, help="Percent that may differ."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(
    metrics: tuple[Path, ...],
    cost_export: tuple[Path, ...],
    first: datetime | None,
    last: datetime | None,
    incomplete: tuple[datetime, ...],
    tolerance: Decimal,
    as_json: bool,
) -> None:
    """Compare tokens and cost with Azure's metrics and cost exports; exit 1 if something is beyond tolerance.

    Without files, those in the reference folder's `reconciliation` are taken: metrics*.json, cost*.csv.
    """
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.reconcile.reconciliation import Period, reconcile_files, reconcile_folder

    pipeline = Pipeline()
    days = Period(
        first.date() if first else None,
        last.date() if last else None,
        frozenset(each.date() for each in incomplete),
    )
    if metrics or cost_export:
        found = reconcile_files(pipeline.lake(), metrics, cost_export, period=days, tolerance=tolerance)
    else:
        folder = pipeline.settings().reference_location
        found = reconcile_folder(pipeline.lake(), folder, period=days, tolerance=tolerance)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _show(found)
    if not found.holds:
        raise SystemExit(1)


def _show(found: "Reconciliation") -> None:
    from oai_usage_pipeline.cli.tables import show

    if found.lines:
        show("Our totals and theirs", [_shown(line) for line in found.lines], group_by="day")
    for sentence in found.findings:
        click.echo(sentence)
    click.echo(found.sentence)


def _shown(line: "VarianceLine") -> _ShownLine:
    from oai_usage_pipeline.reconcile.causes import shown

    ours, theirs, difference = (
        "-" if each is None else shown(each) for each in (line.ours, line.theirs, line.difference)
    )
    percent = "-" if line.percent is None else f"{line.percent:+} %"
    return _ShownLine(
        str(line.usage_date), line.subject, line.measure, ours, theirs, difference, percent, line.cause
    )
