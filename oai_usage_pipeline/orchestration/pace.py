"""How fast days of the derived tables are made, as recent runs measured it, and so about how long work takes.

Belongs here: reading what `metadata.refreshed_state` left with materialisations. What there is to do is for
`refresh.stale`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from oai_usage_pipeline.audit.spans import span
from oai_usage_pipeline.refresh.stale import Work
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY, USAGE_COST_HOURLY, USAGE_EVENTS

REBUILT_ROWS = "rebuilt_rows"
REBUILD_SECONDS = "rebuild_seconds"

MEASURED = {
    USAGE_EVENTS.name: 8_000.0,
    TOKEN_USAGE_HOURLY.name: 100_000.0,
    USAGE_COST_HOURLY.name: 10_000.0,
}
"""Source rows a second on two cores of a laptop, until runs of one's own have measured LEAST_ROWS.

Daily tables only: no backfill states months.
"""

LEAST_ROWS = 2_000
RECENT = 200
SECONDS_PER_COMMIT = 0.1
"""What a day of a table costs beside MEASURED, whatever its size; a pace of one's own includes it."""
SECONDS_PER_RUN = 6.0


@dataclass(frozen=True)
class Estimate:
    """About how long stale work takes, in seconds, and what that is based on, in words."""

    seconds: float
    basis: str

    def __str__(self) -> str:
        """For people."""
        return f"about {span(self.seconds)}, {self.basis}"


def estimate(instance: dg.DagsterInstance, work: Iterable[Work], runs: int) -> Estimate:
    """What this work on daily tables will take in so many runs, one after another."""
    seconds, measured = runs * SECONDS_PER_RUN, []
    for each in work:
        if pace := recent_pace(instance, each.table):
            measured.append(each.table)
            seconds += each.source_rows / pace
        else:
            seconds += each.source_rows / MEASURED[each.table] + each.days * SECONDS_PER_COMMIT
    whose = f"by recent runs of {', '.join(measured)}" if measured else "by what two cores of a laptop do"
    return Estimate(seconds, whose)


def recent_pace(instance: dg.DagsterInstance, table: str) -> float | None:
    """Source rows a second of the recent runs that rebuilt days of a table; None where too few were."""
    found = instance.fetch_materializations(dg.AssetKey(table), limit=RECENT).records
    # The days of a run share its metadata.
    runs = {record.run_id: record.asset_materialization for record in found}
    rows, seconds = 0.0, 0.0
    for materialization in runs.values():
        metadata = materialization.metadata if materialization else {}
        if REBUILT_ROWS in metadata:
            rows += float(metadata[REBUILT_ROWS].value)  # type: ignore[arg-type]  # a number of our own
            seconds += float(metadata[REBUILD_SECONDS].value)  # type: ignore[arg-type]  # as above
    return rows / seconds if rows >= LEAST_ROWS and seconds > 0 else None
