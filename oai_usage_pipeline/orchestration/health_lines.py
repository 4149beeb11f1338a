"""Health as lines of tables, for a terminal and for a page: numbers as they are, the rest as people read it.

Belongs here: which figures are shown beside each other, and in which words. Where they come from is for
`health`; Dagster's own form is for `metadata`.
"""

from dataclasses import dataclass
from datetime import datetime

from rich.filesize import decimal

from oai_usage_pipeline.audit.partition_health import PartitionHealth
from oai_usage_pipeline.audit.spans import counted, span
from oai_usage_pipeline.audit.table_health import TableHealth
from oai_usage_pipeline.orchestration.automation import Automation
from oai_usage_pipeline.orchestration.health import PipelineHealth


@dataclass(frozen=True)
class PartitionLine:
    """What waits in a partition; `oldest_waits` is a bound, since the event itself isn't received."""

    partition: str
    position: int | None
    head: int
    lag: int
    oldest_waits: str
    gap: str

    @classmethod
    def of(cls, found: PartitionHealth) -> "PartitionLine":
        """A partition's."""
        waits = "unknown" if found.lag_seconds is None else f"at most {span(found.lag_seconds)}"
        return cls(
            found.partition_id,
            found.position,
            found.head,
            found.lag,
            waits if found.lag else "-",
            "yes" if found.gap else "no",
        )


@dataclass(frozen=True)
class TableLine:
    """What a table holds, and how many days of it are behind."""

    table: str
    version: int | None
    rows: int
    newest_day: str | None
    files: int
    size: str
    stale_days: str | None

    @classmethod
    def of(cls, found: TableHealth) -> "TableLine":
        """A table's."""
        stale = None if found.stale_days is None else str(found.stale_days)
        if found.oldest_stale_day:
            stale = f"{stale}, from {found.oldest_stale_day} on"
        return cls(
            found.table, found.version, found.rows, found.latest_day, found.files, decimal(found.size), stale
        )


@dataclass(frozen=True)
class UpkeepLine:
    """What upkeep will delete of a table, and its newest checkpoint."""

    table: str
    old_files: int
    size: str
    oldest: str | None
    checkpoint: int | None
    written: str | None

    @classmethod
    def of(cls, found: TableHealth, now: datetime) -> "UpkeepLine":
        """A table's, as of `now`."""
        return cls(
            found.table,
            found.old_files,
            decimal(found.old_size),
            ago(found.oldest_old_file_at, now) or ("unknown" if found.old_files else None),
            found.checkpoint_version,
            ago(found.checkpoint_at, now),
        )


@dataclass(frozen=True)
class AutomationLine:
    """When a schedule or sensor is due, and what it said when it looked last."""

    name: str
    next: str | None
    looked: str | None
    said: str | None

    @classmethod
    def of(cls, found: Automation, now: datetime) -> "AutomationLine":
        """A schedule's or sensor's, as of `now`."""
        due = found.runs
        if found.next_at:
            due = f"{found.next_at:%a %H:%M}, in {span((found.next_at - now).total_seconds())}"
        said = found.last.split("\n")[0] if found.last else None
        return cls(found.name, due if found.is_on else "switched off", ago(found.last_at, now), said)


def ago(then: datetime | None, now: datetime) -> str | None:
    """How long ago something was."""
    return None if then is None else f"{span(max(0.0, (now - then).total_seconds()))} ago"


Line = PartitionLine | TableLine | UpkeepLine | AutomationLine


def verdict(found: PipelineHealth) -> str:
    """Healthy or not, and when that was seen."""
    what = counted(len(found.problems), "problem") if found.problems else "Healthy"
    return f"{what} as of {found.as_of:%Y-%m-%d %H:%M:%S} UTC"


def lines(found: PipelineHealth) -> dict[str, list[Line]]:
    """Every table that is shown, by what it tells; tables that aren't made yet have no upkeep."""
    now, stored = found.as_of, found.stored
    return {
        "partitions": [PartitionLine.of(each) for each in stored.partitions],
        "tables": [TableLine.of(each) for each in stored.tables],
        "upkeep": [UpkeepLine.of(each, now) for each in stored.tables if each.version is not None],
        "next runs": [AutomationLine.of(each, now) for each in found.automation],
    }
