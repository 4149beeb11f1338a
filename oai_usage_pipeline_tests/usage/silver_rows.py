"""Silver rows that tests of gold are made of: a usual call, changed by what each row names."""

from typing import Any

import polars as pl

from oai_usage_pipeline.tables import USAGE_EVENTS
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT

USUAL: dict[str, Any] = {
    "event_hub": "hub",
    "incarnation": "2026-01-01T00:00:00Z",
    "partition_id": "0",
    "event_index": 0,
    "enqueued_at": ENQUEUED_AT,
    "enqueued_date": ENQUEUED_AT.date(),
    "event_at": ENQUEUED_AT,
    "event_shape": "reference",
    "operation": "chat.completions",
    "is_retrieval": False,
    "status": "metered",
}


def silver(*rows: dict[str, Any], first_number: int = 0) -> pl.DataFrame:
    """Rows in order, numbered from `first_number`; `usage_date` follows `event_at`."""
    made = [USUAL | {"sequence_number": first_number + at} | row for at, row in enumerate(rows)]
    for row in made:
        row.setdefault("usage_date", row["event_at"].date())
    return pl.DataFrame(made, schema=USAGE_EVENTS.schema)
