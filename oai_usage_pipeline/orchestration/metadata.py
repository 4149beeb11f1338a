"""What assets tell people in the UI: tables, counts and columns in Dagster's own metadata types.

Belongs here: turning results of plain functions into metadata. No results are made here.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import dagster as dg
import polars as pl

from oai_usage_pipeline.audit.findings import Finding
from oai_usage_pipeline.audit.status import TableStatus
from oai_usage_pipeline.capture.backlog import PartitionBacklog
from oai_usage_pipeline.capture.gaps import Gap
from oai_usage_pipeline.capture.run import Captured
from oai_usage_pipeline.charge.teams import by_team
from oai_usage_pipeline.orchestration.days import ranges
from oai_usage_pipeline.orchestration.health import PipelineHealth
from oai_usage_pipeline.orchestration.health_lines import Line, lines, verdict
from oai_usage_pipeline.orchestration.pace import REBUILD_SECONDS, REBUILT_ROWS, Estimate
from oai_usage_pipeline.reconcile.reconciliation import Reconciliation
from oai_usage_pipeline.reference.landing import Landed
from oai_usage_pipeline.refresh.day import RefreshedDay
from oai_usage_pipeline.refresh.stale import StaleTable
from oai_usage_pipeline.tables import ESTIMATE_COLUMNS, TOKEN_BUCKETS, UNPRICED_BUCKETS, TableContract

Metadata = dict[str, Any]

MOST_COMPARISONS = 200
"""Lines of a reconciliation that are kept with a run; the command shows all."""


def table_definition(contract: TableContract) -> Metadata:
    """The columns of a table, for the asset's definition."""
    columns = [
        dg.TableColumn(name, _type_name(kind), contract.column_description(name))
        for name, kind in contract.schema.items()
    ]
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/table_name": contract.name,
        "partitioned_by": contract.partition_by or "nothing",
        "contract_version": contract.version,
        "contract_history": _table(
            {"version": each.version, "what": each.what, "old_days_rebuilt": each.rebuilds}
            for each in contract.history
        ),
    }


def hub_state(found: Sequence[PartitionBacklog]) -> Metadata:
    """Heads, positions and lag by hub partition."""
    hub = found[0].hub
    return {
        "event_hub": hub.event_hub,
        "incarnation": hub.incarnation,
        "lag_events": sum(each.event_count for each in found),
        "partitions": _table(
            {
                "partition": each.partition_id,
                "first": each.bounds.first,
                "head": each.bounds.last,
                "position": _number(each.position),
                "lag": each.event_count,
                "gap": "yes" if each.gap else "no",
            }
            for each in found
        ),
    }


def captured_state(captured: Captured, table: TableStatus) -> Metadata:
    """What a capture run added, by hub partition."""
    partitions = captured.partitions.values()
    return {
        "dagster/row_count": table.rows,
        "event_hub": captured.event_hub,
        "incarnation": captured.incarnation,
        "delta_version": _number(table.version),
        "captured_events": captured.event_count,
        "commits": captured.commit_count,
        "unreadable_events": sum(each.unreadable_count for each in partitions),
        "duplicates_dropped": sum(each.duplicate_count for each in partitions),
        "sequence_ranges": _table(
            {
                "partition": each.partition_id,
                "first": _number(each.first),
                "last": _number(each.last),
                "events": each.event_count,
                "unreadable": each.unreadable_count,
                "stopped_by": type(each.error).__name__ if each.error else "",
            }
            for each in partitions
        ),
        **({"former_life": captured.former_life} if captured.former_life else {}),
        **gaps_state(captured.gaps),
    }


def gaps_state(gaps: Sequence[Gap]) -> Metadata:
    """Events that were never captured: how many, and each gap with who acknowledged it."""
    return {
        "missing_events": sum(each.event_count for each in gaps),
        "open_gaps": sum(each.is_open for each in gaps),
        "gaps": _table(
            {name: _cell(value) for name, value in asdict(each).items()} | {"event_count": each.event_count}
            for each in gaps
        ),
    }


def refreshed_state(refreshed: Sequence[RefreshedDay], table: TableStatus) -> Metadata:
    """What was done to each day of a derived table."""
    return {
        "dagster/row_count": table.rows,
        "delta_version": _number(table.version),
        "new_source_rows": sum(each.new_rows for each in refreshed),
        **_rebuilding([each for each in refreshed if each.mode == "rebuilt" and each.new_rows]),
        "days": _table(
            {
                "day": each.day,
                "done": each.mode,
                "new_source_rows": each.new_rows,
                "seconds": round(each.seconds, 2),
            }
            for each in refreshed
        ),
    }


def _rebuilding(days: Sequence[RefreshedDay]) -> Metadata:
    """What `pace` tells from how long a backfill takes."""
    if not days:
        return {}
    return {
        REBUILT_ROWS: sum(each.new_rows for each in days),
        REBUILD_SECONDS: round(sum(each.seconds for each in days), 3),
    }


def stale_state(behind: Sequence[StaleTable], takes: Estimate) -> Metadata:
    """What is behind, table by table, and about how long all of it takes."""
    return {
        "takes": str(takes),
        "behind": _table(
            {
                "table": each.table,
                "stale_days": len(each.days),
                "which": ", ".join(_span(*span) for span in ranges(each.days)),
                "made_anew": each.rebuilt,
                "source_rows": each.source_rows,
            }
            for each in behind
        ),
    }


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def charged_state(statement: pl.DataFrame) -> Metadata:
    """What each team is charged, by month; money as text, since a table's cells are floats otherwise."""
    rows = by_team(statement).sort("usage_month", "team", "cost_centre", "currency")
    estimated, tokens = pl.sum_horizontal(ESTIMATE_COLUMNS), pl.sum_horizontal(TOKEN_BUCKETS.values())
    shown = rows.with_columns(tokens=tokens, estimated_tokens=estimated).select(
        "usage_month",
        "team",
        "cost_centre",
        "currency",
        "cost",
        "request_count",
        "tokens",
        "estimated_tokens",
        "estimated_cost",
        *UNPRICED_BUCKETS,
    )
    return {
        "by_team": _table({name: _cell(value) for name, value in row.items()} for row in shown.to_dicts())
    }


def landed_state(landed: Landed) -> Metadata:
    """What became of one table of reference data."""
    return {
        "dagster/row_count": landed.row_count,
        "delta_version": landed.version,
        "changed": landed.is_changed,
    }


def reconciled_state(found: Reconciliation) -> Metadata:
    """Each comparison with both numbers, what differs and why."""
    return {
        "files": "\n".join(found.files) or "none",
        "beyond_tolerance": len(found.beyond),
        "tolerance_percent": str(found.tolerance),
        "comparisons": _table(
            {name: _cell(value) for name, value in asdict(line).items()}
            for line in found.lines[:MOST_COMPARISONS]
        ),
    }


def health_state(found: PipelineHealth) -> Metadata:
    """What is wrong on top, the tables of `oai-usage status`, and figures whose course Dagster draws."""
    stored = found.stored
    lags = [each.lag_seconds for each in stored.partitions if each.lag_seconds is not None]
    old = [each.oldest_old_file_at for each in stored.tables if each.oldest_old_file_at]
    return {
        "health": verdict(found),
        "what_to_do": _table({"problem": each} for each in found.problems),
        **{title.replace(" ", "_"): _lines(rows) for title, rows in lines(found).items()},
        "problem_count": len(found.problems),
        "lag_events": sum(each.lag for each in stored.partitions),
        "lag_seconds": max(lags, default=0.0),
        "stale_days": sum(each.stale_days or 0 for each in stored.tables),
        "file_count": sum(each.files for each in stored.tables),
        "bytes": sum(each.size for each in stored.tables),
        "old_file_days": round((found.as_of - min(old, default=found.as_of)) / timedelta(days=1), 2),
    }


def _lines(rows: Sequence[Line]) -> dg.TableMetadataValue | str:
    return _table({name: _cell(value) for name, value in asdict(row).items()} for row in rows)


def check_result(
    finding: Finding,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    more: Metadata | None = None,
) -> dg.AssetCheckResult:
    """A finding as an asset check: its sentence, its figures, and what else is to be shown."""
    return dg.AssetCheckResult(
        check_name=finding.invariant,
        passed=finding.holds,
        severity=severity,
        # Shown as Markdown, where an empty line begins a paragraph.
        description=finding.sentence.replace("\n", "\n\n"),
        metadata={**finding.figures, **(more or {})},
    )


def _type_name(kind: pl.DataType) -> str:
    return "timestamp" if isinstance(kind, pl.Datetime) else str(kind).lower()


def _table(rows: Any) -> dg.TableMetadataValue | str:  # noqa: ANN401 - an iterable of plain dicts
    records = [dg.TableRecord(row) for row in rows]
    return dg.MetadataValue.table(records) if records else "none"


def _cell(value: object) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else "" if value is None else str(value)


def _number(value: int | None) -> int | str:
    # A table's cell can't be null; an empty text says "none" where 0 would be a position.
    return "" if value is None else value
