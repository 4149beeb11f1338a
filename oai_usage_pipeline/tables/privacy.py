"""What was erased on somebody's request: that it was done, by whom and why, never of whom in clear."""

import polars as pl

from oai_usage_pipeline.tables.contract import INSTANT, TableContract
from oai_usage_pipeline.tables.history import Change

PAYLOAD_ERASURES = TableContract(
    name="payload_erasures",
    description="Texts erased on request: of how many events, by whom and why; the subject as a mark.",
    version=1,
    history=(Change(1, "The first.", "3a1efb3a"),),
    partition_by=None,
    statistics=(),
    unique=(),
    schema={
        "begun_at": INSTANT,
        "finished_at": INSTANT,
        "erased_by": pl.String(),
        "reason": pl.String(),
        "kind": pl.String(),
        "subject": pl.String(),
        "day_count": pl.Int64(),
        "erased_event_count": pl.Int64(),
    },
)
