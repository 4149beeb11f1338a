"""What capture keeps beside the events: the gaps, which say what bronze will never hold."""

import polars as pl

from oai_usage_pipeline.tables.contract import INSTANT, TableContract
from oai_usage_pipeline.tables.history import Change

CAPTURE_GAPS = TableContract(
    name="capture_gaps",
    description="Events that were missing when capture came to them: which, from when, acknowledged by whom.",
    version=1,
    history=(Change(1, "The first.", "dbe9c2bb"),),
    partition_by=None,
    statistics=(),
    unique=(),
    schema={
        "event_hub": pl.String(),
        "incarnation": pl.String(),
        "partition_id": pl.String(),
        "first_sequence_number": pl.Int64(),
        "last_sequence_number": pl.Int64(),
        "event_count": pl.Int64(),
        "after_at": INSTANT,
        "before_at": INSTANT,
        "found_at": INSTANT,
        "acknowledged_at": INSTANT,
        "acknowledged_by": pl.String(),
        "reason": pl.String(),
    },
)
