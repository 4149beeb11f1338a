"""Silver rows become hourly gold rows, and gold rows add up to gold rows.

Aggregation is associative: aggregating two halves and combining them equals aggregating the whole.
Prices and costs are no matter of this module.
"""

import polars as pl

from oai_usage_pipeline.tables import STATUSES, TOKEN_COLUMNS, TOKEN_USAGE_HOURLY, USAGE_DIMENSIONS

SUM_CEILING = 2**63 - 1
"""The largest count that the table holds. A sum beyond it reads exactly this: a 64-bit sum would wrap
round to a small or negative number in silence, and one absurd event must not stop a day."""

_COUNTS = ("request_count", *(f"{status}_count" for status in STATUSES))


def aggregate(silver: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """Gold rows of the silver rows given, ordered by `USAGE_DIMENSIONS`, nulls first.

    A token sum is null when no row of its group reports that count.
    """
    rows = silver.lazy().with_columns(hour_at=pl.col("event_at").dt.truncate("1h"))
    return _grouped(
        rows,
        request_count=pl.len().cast(pl.Int128),
        **{f"{status}_count": (pl.col("status") == status).sum().cast(pl.Int128) for status in STATUSES},
    )


def combine(*gold: pl.DataFrame) -> pl.DataFrame:
    """The gold rows of several frames added up, as if all their events were aggregated at once."""
    rows = pl.concat([TOKEN_USAGE_HOURLY.empty(), *gold]).lazy()
    return _grouped(rows, **{name: _sum(name) for name in _COUNTS})


def _grouped(rows: pl.LazyFrame, **counts: pl.Expr) -> pl.DataFrame:
    tokens = {name: pl.when(pl.col(name).count() > 0).then(_sum(name)) for name in TOKEN_COLUMNS}
    sums = rows.group_by(USAGE_DIMENSIONS).agg(**counts, **tokens)
    held = [_held(name) for name in (*counts, *tokens)]
    return (
        sums.with_columns(held)
        .select(pl.col(name).cast(dtype) for name, dtype in TOKEN_USAGE_HOURLY.schema.items())
        .sort(USAGE_DIMENSIONS, nulls_last=False)
        .collect()
    )


def _sum(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Int128).sum()


def _held(name: str) -> pl.Expr:
    # Not `min_horizontal`: it passes over nulls, and a count that nobody reported would read the ceiling.
    return (
        pl.when(pl.col(name) > SUM_CEILING)
        .then(pl.lit(SUM_CEILING, pl.Int128()))
        .otherwise(pl.col(name))
        .alias(name)
    )
