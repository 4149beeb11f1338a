"""Calls become hourly gold rows, and gold rows add up to gold rows.

Aggregation is associative: aggregating two halves and combining them equals aggregating the whole.
Which silver rows are one call is for `calls`; prices and costs are no matter of this module, nor is
which hours are incomplete: none is here.
"""

import polars as pl

from oai_usage_pipeline.tables import (
    COUNT_COLUMNS,
    ESTIMATE_COLUMNS,
    STATUSES,
    SUM_COLUMNS,
    TOKEN_USAGE_HOURLY,
    USAGE_DIMENSIONS,
)
from oai_usage_pipeline.usage.buckets import billed
from oai_usage_pipeline.usage.calls import DUPLICATES

SUM_CEILING = 2**63 - 1
"""The largest count that the table holds. A sum beyond it reads exactly this: a 64-bit sum would wrap
round to a small or negative number in silence, and one absurd event must not stop a day."""


def aggregate(calls: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """Gold rows of the calls given, ordered by `USAGE_DIMENSIONS`, nulls first.

    `calls` are silver rows, or those of `one_row_per_call`, whose further records are counted. A sum
    is null when no row of its group reports that count.
    """
    rows = calls.lazy().with_columns(billed()).with_columns(hour_at=pl.col("event_at").dt.truncate("1h"))
    rows = rows.with_columns(is_incomplete=pl.lit(value=False))
    has_estimate = pl.any_horizontal(pl.col(name).is_not_null() for name in ESTIMATE_COLUMNS)
    is_merged = DUPLICATES in rows.collect_schema()
    return _grouped(
        rows,
        request_count=pl.len().cast(pl.Int128),
        **{f"{status}_count": (pl.col("status") == status).sum().cast(pl.Int128) for status in STATUSES},
        duplicate_count=_sum(DUPLICATES) if is_merged else pl.lit(0, pl.Int128()),
        estimated_count=has_estimate.sum().cast(pl.Int128),
    )


def combine(*gold: pl.DataFrame) -> pl.DataFrame:
    """The gold rows of several frames added up, as if all their events were aggregated at once."""
    frames = (frame.select(*TOKEN_USAGE_HOURLY.schema) for frame in gold)
    rows = pl.concat([TOKEN_USAGE_HOURLY.empty(), *frames]).lazy()
    return _grouped(rows, **{name: _sum(name) for name in COUNT_COLUMNS})


def _grouped(rows: pl.LazyFrame, **counts: pl.Expr) -> pl.DataFrame:
    sums = {name: pl.when(pl.col(name).count() > 0).then(_sum(name)) for name in SUM_COLUMNS}
    grouped = rows.group_by(USAGE_DIMENSIONS).agg(pl.col("is_incomplete").any(), **counts, **sums)
    held = [_held(name) for name in (*counts, *sums)]
    return (
        grouped.with_columns(held)
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
