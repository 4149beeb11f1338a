"""A statement by team: what people look at first, before its models.

Belongs here: adding up a statement's rows. What they say is for `chargeback`, how they look for whoever
shows them.
"""

import polars as pl

from oai_usage_pipeline.charge.chargeback import FIGURES
from oai_usage_pipeline.tables import ESTIMATE_COLUMNS, TOKEN_BUCKETS

GROUP = ("usage_month", "team", "cost_centre", "currency")


def by_team(statement: pl.DataFrame) -> pl.DataFrame:
    """The statement with a row for each team, its models and adjustments added up; same columns."""
    added = statement.group_by(GROUP, maintain_order=True).agg(
        pl.col("model").n_unique().alias("models"),
        *(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in FIGURES),
    )
    estimated = pl.sum_horizontal(ESTIMATE_COLUMNS)
    tokens = estimated + pl.sum_horizontal(TOKEN_BUCKETS.values())
    return added.select(
        *GROUP,
        *FIGURES,
        entry=pl.lit("usage"),
        entry_date=pl.lit(None, pl.Date()),
        model=pl.when(pl.col("models") == 1)
        .then(pl.lit("1 model"))
        .otherwise(pl.format("{} models", "models")),
        estimated_share=pl.when(tokens > 0).then(estimated / tokens),
        reason=pl.lit(None, pl.String()),
    )
