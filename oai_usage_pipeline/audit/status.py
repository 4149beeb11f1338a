"""What stands where: the position of every partition and the size of every table.

Belongs here: figures, read without changing anything. Whether they are right is for `invariants`.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from oai_usage_pipeline.audit.accounting import AccountingShare, accounting_shares
from oai_usage_pipeline.audit.assumptions import assumed_deployments
from oai_usage_pipeline.capture.backlog import backlog
from oai_usage_pipeline.capture.gaps import gaps_of
from oai_usage_pipeline.capture.source import Source
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import TABLES, TableContract


@dataclass(frozen=True)
class PartitionStatus:
    """One partition: committed `position` (None: none yet), `head` (the hub's last number), both
    sequence numbers; `lag` in events; `gap` says which events are missing, None when none are."""

    event_hub: str
    incarnation: str
    partition_id: str
    position: int | None
    head: int
    lag: int
    gap: str | None


@dataclass(frozen=True)
class TableStatus:
    """One table: number of rows, Delta version (None: not made yet), newest day that has rows (ISO date)."""

    table: str
    rows: int
    version: int | None
    latest_day: str | None


@dataclass(frozen=True)
class Status:
    """The whole picture; `as_dict` is what `oai-usage status --json` prints.

    `open_gaps` says which events are missing and that nobody has acknowledged it, a sentence each.
    """

    partitions: list[PartitionStatus]
    tables: list[TableStatus]
    accounting: list[AccountingShare]
    assumptions: list[str]
    open_gaps: list[str]

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON; money is text, since JSON's numbers are floats to most readers."""
        return asdict(self, dict_factory=_plain)


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in items}


def status(source: Source, lake: Lake, now: datetime) -> Status:
    """Ask the hub and the lake, as of `now`; raises SourceUnavailable or LakeUnavailable."""
    return Status(
        partitions=[
            PartitionStatus(
                event_hub=each.hub.event_hub,
                incarnation=each.hub.incarnation,
                partition_id=each.partition_id,
                position=each.position,
                head=each.bounds.last,
                lag=each.event_count,
                gap=str(each.gap) if each.gap else None,
            )
            for each in backlog(source, lake)
        ],
        tables=table_statuses(lake),
        accounting=accounting_shares(lake, now),
        assumptions=[each for each in (assumed_deployments(lake),) if each],
        open_gaps=[str(each) for each in gaps_of(lake) if each.is_open],
    )


def table_statuses(lake: Lake) -> list[TableStatus]:
    """Every table's size, from the Delta log alone."""
    return [table_status(lake, each) for each in TABLES]


def table_status(lake: Lake, contract: TableContract) -> TableStatus:
    """One table's size, from the Delta log alone."""
    try:
        table = lake.existing(contract)
    except NoTable:
        return TableStatus(contract.name, rows=0, version=None, latest_day=None)
    latest_day = max(table.days(), default=None) if contract.partition_by else None
    return TableStatus(contract.name, table.row_count(), table.version, latest_day)
