"""A month's statement: what each team is charged for each model, from gold and its cost.

Belongs here: sums by team. They are made in two steps, so that a month can be read day by day:
`contributions` of any part of it, then the `statement_of` them all. What happens to a statement
after its month is closed is for `adjustments`.
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

from oai_usage_pipeline.charge.attribution import OWNER, attributed
from oai_usage_pipeline.tables import (
    BUCKETS,
    CHARGEBACK_DIMENSIONS,
    CHARGEBACK_MONTHLY,
    ESTIMATE_COLUMNS,
    MONEY,
    TOKEN_BUCKETS,
    UNPRICED_BUCKETS,
    USAGE_DIMENSIONS,
)

COUNTS = ("request_count", "unmetered_count", "estimated_count")
QUANTITIES = (*BUCKETS.values(), *ESTIMATE_COLUMNS)
MONEYS = ("cost", "estimated_cost")
UNPRICED = tuple(UNPRICED_BUCKETS)
FIGURES = (*COUNTS, *QUANTITIES, *UNPRICED, *MONEYS)
"""All that a statement adds up."""

CONTRIBUTIONS: dict[str, pl.DataType] = {
    **{name: pl.String() for name in CHARGEBACK_DIMENSIONS},
    **{name: pl.Int128() for name in (*COUNTS, *QUANTITIES, *UNPRICED)},
    **dict.fromkeys(MONEYS, MONEY),
    "reasons": pl.List(pl.String()),
}
_GROUP = (*OWNER, "model")
_CEILING = 2**63 - 1
"""Gold holds a count that is larger as this; a 64-bit sum would wrap round."""


def statement(
    gold: pl.DataFrame, cost: pl.DataFrame, subscriptions: pl.DataFrame, month: date
) -> pl.DataFrame:
    """Rows of `CHARGEBACK_MONTHLY`, entry 'usage', of all gold rows of a month and all their cost rows.

    `gold` has its models `filled` as the cost rows have. Sums over all rows are those of gold, to the
    token. `cost` adds up what is priced, null where nothing is; the columns `UNPRICED` are what it
    lacks, each in its own unit, and `reason` why. Currencies are never added up.
    """
    return statement_of([contributions(gold, cost, subscriptions)], month)


def contributions(gold: pl.DataFrame, cost: pl.DataFrame, subscriptions: pl.DataFrame) -> pl.DataFrame:
    """What some gold rows and all their cost rows add to a statement; columns `CONTRIBUTIONS`.

    A gold row's calls and tokens count once: in the currency that it was priced in (the first by name
    where its buckets have several), null where nothing of it is priced.
    """
    priced = pl.col("currency").is_not_null()
    currencies = cost.filter(priced).group_by(USAGE_DIMENSIONS).agg(main_currency=pl.col("currency").min())
    uses = _joined(gold, currencies).select(
        *USAGE_DIMENSIONS, pl.col("main_currency").alias("currency"), *COUNTS, *QUANTITIES
    )
    costs = _joined(cost, currencies).select(
        *USAGE_DIMENSIONS,
        "bucket",
        pl.coalesce("currency", "main_currency").alias("currency"),
        *MONEYS,
        "reason",
        *(_unpriced(column) for column in UNPRICED),
    )
    parts = [_reduced(attributed(each, subscriptions)) for each in (uses, costs)]
    return _added_up(parts)


def statement_of(parts: Sequence[pl.DataFrame], month: date) -> pl.DataFrame:
    """The statement of all contributions of a month; in which parts they come makes no difference."""
    sums = _added_up([_in_their_currency(_added_up(parts))])
    tokens = pl.sum_horizontal(*TOKEN_BUCKETS.values(), ignore_nulls=True)
    estimated = pl.sum_horizontal(*ESTIMATE_COLUMNS, ignore_nulls=True)
    held = [_held(name) for name in (*QUANTITIES, *UNPRICED)]
    return (
        sums.with_columns(
            usage_month=pl.lit(month),
            entry=pl.lit("usage"),
            entry_date=pl.lit(None, pl.Date()),
            estimated_share=pl.when(tokens + estimated > 0).then(
                estimated.cast(pl.Float64) / (tokens + estimated).cast(pl.Float64)
            ),
            reason=pl.when(pl.col("reasons").list.len() > 0).then(pl.col("reasons").list.join(", ")),
        )
        .with_columns(*(_held(name).fill_null(0) for name in COUNTS), *held)
        .select(pl.col(name).cast(dtype) for name, dtype in CHARGEBACK_MONTHLY.schema.items())
    )


def _joined(rows: pl.DataFrame, currencies: pl.DataFrame) -> pl.DataFrame:
    return rows.join(currencies, on=USAGE_DIMENSIONS, how="left", nulls_equal=True)


def _unpriced(column: str) -> pl.Expr:
    is_it = pl.col("bucket").is_in(UNPRICED_BUCKETS[column]) & pl.col("price_id").is_null()
    return pl.when(is_it).then("quantity").alias(column)


def _reduced(rows: pl.DataFrame) -> pl.DataFrame:
    """Sums by owner, model and currency; a sum is null where nothing is reported."""
    reasons = pl.col("reason") if "reason" in rows.columns else pl.lit(None, pl.String())
    sums = [_sum(name) for name in FIGURES if name in rows.columns]
    reduced = rows.group_by(CHARGEBACK_DIMENSIONS).agg(*sums, reasons=reasons.drop_nulls().unique())
    absent = [name for name in CONTRIBUTIONS if name not in reduced.columns]
    return reduced.with_columns(pl.lit(None, CONTRIBUTIONS[name]).alias(name) for name in absent).select(
        pl.col(name).cast(dtype) for name, dtype in CONTRIBUTIONS.items()
    )


def _added_up(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    rows = pl.concat([pl.DataFrame(schema=CONTRIBUTIONS), *parts])
    reasons = pl.col("reasons").explode(empty_as_null=True).drop_nulls().unique().sort()
    sums = rows.group_by(CHARGEBACK_DIMENSIONS).agg(*(_sum(name) for name in FIGURES), reasons=reasons)
    return sums.sort(CHARGEBACK_DIMENSIONS, nulls_last=False)


def _sum(name: str) -> pl.Expr:
    column = pl.col(name)
    return (
        pl.when(column.count() > 0)
        .then(column.sum() if name in MONEYS else column.cast(pl.Int128).sum())
        .alias(name)
    )


def _in_their_currency(sums: pl.DataFrame) -> pl.DataFrame:
    """What has no price joins its group's currency where it has one only, else the statement's only one.

    So that a team's calls of a model stand in one line. A line with several currencies beside it keeps
    none: it belongs to neither.
    """
    only = sums["currency"].drop_nulls().unique()
    only_one = pl.lit(only[0] if len(only) == 1 else None, pl.String())
    own = pl.col("currency").drop_nulls()
    count, first = own.n_unique().over(_GROUP), pl.col("currency").min().over(_GROUP)
    joined = pl.when(count == 1).then(first).when(count == 0).then(only_one)
    return sums.with_columns(currency=pl.coalesce("currency", joined))


def _held(name: str) -> pl.Expr:
    ceiling = pl.lit(_CEILING, pl.Int128())
    return pl.when(pl.col(name) > ceiling).then(ceiling).otherwise(pl.col(name)).alias(name)
