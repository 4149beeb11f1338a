"""`oai-usage status`: where every partition and every table stands."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from oai_usage_pipeline.cli.terminal import plain

if TYPE_CHECKING:
    from decimal import Decimal

    from oai_usage_pipeline.audit.accounting import AccountingShare


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


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(as_json: bool) -> None:
    """Show where partitions and tables stand, and the shares that are not fully accounted for."""
    from oai_usage_pipeline.audit.status import status
    from oai_usage_pipeline.orchestration.resources import Pipeline

    pipeline = Pipeline()
    with pipeline.source() as source:
        found = status(source, pipeline.lake(), datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
        return
    from oai_usage_pipeline.cli.tables import show

    show("Partitions of the hub", found.partitions)
    show("Tables of the lake", found.tables)
    show("Not fully accounted for, last 7 days", [_Line.of_share(each) for each in found.accounting])
    for sentence in (*found.assumptions, *found.open_gaps):
        click.echo(plain(sentence))
