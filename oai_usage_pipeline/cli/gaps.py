"""`oai-usage gaps`: events that were never captured, and going on without them.

Belongs here: options and how the record looks. What may be acknowledged is for `capture.acknowledgement`.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from oai_usage_pipeline.cli.terminal import plain

if TYPE_CHECKING:
    from oai_usage_pipeline.capture.gaps import Gap


@dataclass(frozen=True)
class _Line:
    """A gap as people read it; times are UTC."""

    partition: str
    first: int
    last: int
    events: int
    after: str
    before: str
    found: str
    acknowledged: str
    reason: str

    @classmethod
    def of(cls, gap: "Gap") -> "_Line":
        first, last = gap.range
        by = f"{gap.acknowledged_by}, {_minute(gap.acknowledged_at)}" if not gap.is_open else "no, open"
        return cls(
            gap.partition_id,
            first,
            last,
            gap.event_count,
            _minute(gap.after_at),
            _minute(gap.before_at),
            _minute(gap.found_at),
            plain(by),
            plain(gap.reason),
        )


@click.group("gaps", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List events that were missing when capture came to them, or acknowledge such a gap."""
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@command.command("acknowledge")
@click.option("--partition", required=True, help="Partition of the hub.")
@click.option("--first", type=int, required=True, help="Number of the first missing event.")
@click.option("--last", type=int, required=True, help="Number of the last missing event.")
@click.option("--hub", help="Hub of the gap as namespace/hub; without it, the configured one.")
@click.option("--by", required=True, help="Who goes on without these events: kept in capture_gaps.")
@click.option("--why", required=True, help="Why they are given up: kept in capture_gaps.")
def acknowledge(partition: str, first: int, last: int, hub: str | None, by: str, why: str) -> None:
    """Let capture go on past events that the hub no longer has; the days concerned stay marked."""
    from oai_usage_pipeline.orchestration import gaps
    from oai_usage_pipeline.orchestration.instance import dagster_instance
    from oai_usage_pipeline.orchestration.resources import Pipeline

    # First: when Dagster's storage can't be opened, nothing is acknowledged that it doesn't show.
    with dagster_instance() as instance:
        done, event = gaps.acknowledge(Pipeline(), hub, partition, first, last, by, why)
        instance.report_runless_asset_event(event)
    click.echo(plain(str(done)))
    click.echo("The next pass goes on after them; `oai-usage run --until-idle` makes one.")


def _list(*, as_json: bool) -> None:
    from itertools import groupby

    from oai_usage_pipeline.capture.gaps import gaps_of
    from oai_usage_pipeline.cli.tables import show
    from oai_usage_pipeline.orchestration.resources import Pipeline

    found = gaps_of(Pipeline().lake())
    if as_json:
        rows = [asdict(each) | {"event_count": each.event_count} for each in found]
        click.echo(json.dumps(rows, indent=2, default=datetime.isoformat))
        return
    if not found:
        click.echo("No event is known to be missing.")
    for (hub, life), gaps in groupby(found, lambda each: (each.event_hub, each.incarnation)):
        show(f"Events missing from {hub} (created {life})", [_Line.of(each) for each in gaps])
    for each in (each for each in found if each.is_open):
        click.echo(plain(str(each)))


def _minute(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"
