"""`oai-usage status`: how hub, lake and what runs by itself stand, and what to do about what is wrong."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from oai_usage_pipeline.cli.terminal import plain
from oai_usage_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from decimal import Decimal

    from oai_usage_pipeline.audit.accounting import AccountingShare
    from oai_usage_pipeline.orchestration.health import PipelineHealth


@dataclass(frozen=True)
class _Line:
    """A share as people read it."""

    what: str
    share: str
    count: int | str
    of: int | str
    unit: str

    @classmethod
    def of_share(cls, share: "AccountingShare") -> "_Line":
        text = "-" if share.share is None else f"{share.share:.1%}"
        return cls(share.name, text, _amount(share.count), _amount(share.total), share.unit)


def _amount(value: "int | Decimal") -> int | str:
    from oai_usage_pipeline.cli.statement import money

    return value if isinstance(value, int) else money(value)


class StatusIncomplete(PipelineError):
    """Something can't be read; the rest was shown."""


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(as_json: bool) -> None:
    """Show what waits, what is behind, what runs next and what is wrong; changes nothing.

    Exits with 1 when hub, a table or Dagster's storage can't be read.
    """
    from oai_usage_pipeline.audit.accounting import accounting_shares
    from oai_usage_pipeline.audit.assumptions import assumed_deployments
    from oai_usage_pipeline.definitions import build_definitions
    from oai_usage_pipeline.orchestration.health import pipeline_health
    from oai_usage_pipeline.orchestration.instance import dagster_instance
    from oai_usage_pipeline.orchestration.resources import Pipeline

    pipeline, now = Pipeline(), datetime.now(UTC)
    repository = build_definitions().get_repository_def()
    found = pipeline_health(pipeline, dagster_instance(), repository, now)
    faults, lake = found.faults, pipeline.lake()
    shares = [] if faults else accounting_shares(lake, now)
    assumption = None if faults else assumed_deployments(lake)
    if as_json:
        click.echo(json.dumps(_plain(found, shares, assumption), indent=2, default=_text))
    else:
        _show(found, shares, assumption)
    if faults:
        raise StatusIncomplete("\n".join(faults))


def _plain(
    found: "PipelineHealth", shares: list["AccountingShare"], assumption: str | None
) -> dict[str, object]:
    return {
        "as_of": found.as_of,
        **asdict(found.stored),
        "problems": found.problems,
        "faults": found.faults,
        "automation": [asdict(each) for each in found.automation],
        "accounting": [asdict(each) for each in shares],
        "assumptions": [assumption] if assumption else [],
    }


def _text(value: object) -> str:
    """Money as text, since JSON's numbers are floats to most readers; instants as ISO 8601."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _show(found: "PipelineHealth", shares: list["AccountingShare"], assumption: str | None) -> None:
    """What is wrong comes last, where a terminal shows it; faults come after it, as the command's error."""
    from oai_usage_pipeline.cli.tables import show
    from oai_usage_pipeline.orchestration.health_lines import lines, verdict

    for title, rows in lines(found).items():
        show(title.capitalize(), rows)
    show("Not fully accounted for, last 7 days", [_Line.of_share(each) for each in shares])
    if assumption:
        click.echo(plain(assumption))
    click.secho(verdict(found), bold=True, fg="red" if found.problems else "green")
    for problem in found.problems:
        if problem not in found.faults:
            click.echo(f"- {plain(problem)}")
