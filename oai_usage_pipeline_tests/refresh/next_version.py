"""Silver's next version, for tests of what a changed contract does to a lake that has a history.

It has a new column, and a corrected rule for one kind of call: embeddings cost half their tokens.
"""

from collections.abc import Callable
from dataclasses import replace

import polars as pl

from oai_usage_pipeline.audit import invariants
from oai_usage_pipeline.refresh import silver
from oai_usage_pipeline.refresh.gold import TOKEN_USAGE_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import USAGE_EVENTS, TableContract
from oai_usage_pipeline.tables.history import Change
from oai_usage_pipeline.usage.derive import derive

CORRECTED = "embeddings"

NEXT = replace(
    USAGE_EVENTS,
    version=USAGE_EVENTS.version + 1,
    schema={**USAGE_EVENTS.schema, "is_large": pl.Boolean()},
    history=(
        *USAGE_EVENTS.history,
        Change(
            USAGE_EVENTS.version + 1, "Large calls are marked; embeddings cost half.", "", added=("is_large",)
        ),
    ),
)

LIGHT = replace(NEXT, history=(*USAGE_EVENTS.history, replace(NEXT.history[-1], rebuilds=False)))
"""The same column without need of a rebuild."""


def install(
    set_attribute: Callable[[object, str, object], None],
    contract: TableContract = NEXT,
    *,
    corrects: bool = True,
) -> None:
    """Make silver follow the next version, for as long as the attributes stay set."""

    def derive_next(bronze: pl.DataFrame) -> pl.DataFrame:
        rows = derive(bronze)
        if corrects:
            is_wrong = pl.col("operation") == CORRECTED
            rows = rows.with_columns(
                pl.when(is_wrong).then(pl.col(name) // 2).otherwise(name).alias(name)
                for name in ("input_tokens", "total_tokens")
            )
        return rows.with_columns(
            is_large=pl.col("total_tokens") > 1000,
            schema_version=pl.lit(contract.version, pl.Int32()),
        ).select(*contract.schema)

    for module in (silver, invariants):
        set_attribute(module, "derive", derive_next)
        set_attribute(module, "USAGE_EVENTS", contract)
    set_attribute(USAGE_EVENTS_DERIVATION, "target", contract)
    set_attribute(TOKEN_USAGE_HOURLY_DERIVATION, "source", contract)
