"""What changed since a month was closed, as rows to append; the rows that stand are never touched.

Belongs here: the difference between two statements. When a month is closed is for `refresh`.
"""

from datetime import date

import polars as pl

from oai_usage_pipeline.charge.chargeback import COUNTS, FIGURES, QUANTITIES
from oai_usage_pipeline.tables import CHARGEBACK_DIMENSIONS, CHARGEBACK_MONTHLY

LATE_EVENTS = "late events"
PRICE_OR_OWNER = "price or attribution changed"

_GROUP = ("usage_month", *CHARGEBACK_DIMENSIONS)
_USE = (*COUNTS, *QUANTITIES)


def adjustments(existing: pl.DataFrame, fresh: pl.DataFrame, entry_date: date) -> pl.DataFrame:
    """Rows, entry 'adjustment', that make the sums of a month's existing rows those of a fresh statement.

    One for each team, cost centre, model and currency of which any figure moved, with the differences;
    with them appended the sums are those of `fresh` exactly (null counts as nothing), so a second call
    gives no rows. The reason is `late events` where the model's calls or tokens moved in all, and
    `price or attribution changed` where they only moved between lines or only the money did.
    """
    sums = existing.group_by(_GROUP).agg(_sum(name) for name in FIGURES)
    moved = fresh.select(*_GROUP, *FIGURES).join(
        sums, on=_GROUP, how="full", coalesce=True, nulls_equal=True, suffix="_before"
    )
    rows = moved.select(*_GROUP, *(_difference(name) for name in FIGURES))
    is_late = pl.any_horizontal(pl.col(name).sum().over("usage_month", "model") != 0 for name in _USE)
    rows = rows.with_columns(is_late=is_late & _any_moved(_USE)).filter(_any_moved(FIGURES))
    return (
        rows.select(
            "usage_month",
            pl.lit("adjustment").alias("entry"),
            pl.lit(entry_date).alias("entry_date"),
            *CHARGEBACK_DIMENSIONS,
            *FIGURES,
            pl.lit(None, pl.Float64()).alias("estimated_share"),
            pl.when("is_late").then(pl.lit(LATE_EVENTS)).otherwise(pl.lit(PRICE_OR_OWNER)).alias("reason"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in CHARGEBACK_MONTHLY.schema.items())
        .sort(CHARGEBACK_DIMENSIONS, nulls_last=False)
    )


def _sum(name: str) -> pl.Expr:
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name)


def _difference(name: str) -> pl.Expr:
    """Fresh less existing; null only where neither is known."""
    now, before = pl.col(name), pl.col(f"{name}_before")
    zero = pl.lit(0).cast(CHARGEBACK_MONTHLY.schema[name])
    difference = now.fill_null(zero) - before.fill_null(zero)
    return pl.when(now.is_not_null() | before.is_not_null()).then(difference).alias(name)


def _any_moved(names: tuple[str, ...]) -> pl.Expr:
    return pl.any_horizontal((pl.col(name) != 0).fill_null(value=False) for name in names)
