"""What each bucket of each gold row cost, by the price that held at its hour.

Belongs here: gold rows of deployments that are paid by use. Those that are paid by the hour are for
`provisioned`; which price holds is for `matching`.
"""

import polars as pl

from oai_usage_pipeline.charge.deployments import is_provisioned
from oai_usage_pipeline.charge.matching import Use, matches
from oai_usage_pipeline.charge.money import fits, times
from oai_usage_pipeline.charge.periods import with_period
from oai_usage_pipeline.tables import (
    BUCKETS,
    PRICE_UNITS,
    TOKEN_BUCKETS,
    UNIT_BUCKETS,
    USAGE_COST_HOURLY,
    USAGE_DIMENSIONS,
)

ESTIMATES = {"input": "estimated_input_tokens", "output": "estimated_output_tokens"}
"""Bucket -> gold's column of estimates that it would be billed as."""

_USE = (
    "model",
    "deployment_type",
    "region",
    "service_tier",
    "bucket",
    "image_size",
    "image_quality",
    "period",
)


def used_rows(rows: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """Rows of `USAGE_COST_HOURLY`: one for each gold row and bucket with a quantity or an estimate.

    `rows` are gold rows `placed` with their deployments. cost = quantity x price / units in `unit`, exact
    where 12 decimal places hold it, else rounded half to even at the 12th. Without a price, `cost` and
    `price_id` are null, never 0, and `reason` says why. `cost` is null too where only an estimate exists.
    Tokens of provisioned deployments have no price of their own and are left to `provisioned`; what they
    billed by other units stays here.
    """
    rows = rows.sort(USAGE_DIMENSIONS, nulls_last=False)
    by_token = rows.filter(~is_provisioned())
    parts = [_quantities(by_token, bucket) for bucket in TOKEN_BUCKETS]
    parts += [_quantities(rows, bucket) for bucket in UNIT_BUCKETS]
    return as_cost_rows(_priced(pl.concat(parts), prices))


def as_cost_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, in their order, with the columns of `USAGE_COST_HOURLY`; absent ones are null."""
    absent = {name: dtype for name, dtype in USAGE_COST_HOURLY.schema.items() if name not in rows.columns}
    return (
        rows.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in absent.items())
        .with_columns(usage_month=pl.col("usage_date").dt.truncate("1mo"))
        .select(pl.col(name).cast(dtype) for name, dtype in USAGE_COST_HOURLY.schema.items())
    )


def _quantities(rows: pl.DataFrame, bucket: str) -> pl.DataFrame:
    estimate = pl.col(ESTIMATES[bucket]) if bucket in ESTIMATES else pl.lit(None, pl.Int64())
    return rows.select(
        *USAGE_DIMENSIONS,
        "deployment_type",
        "deployment_reason",
        bucket=pl.lit(bucket),
        quantity=pl.col(BUCKETS[bucket]),
        estimated_quantity=estimate,
    ).filter((pl.col("quantity") > 0) | (pl.col("estimated_quantity") > 0))


def _priced(rows: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """Quantities with their price and cost; each distinct use is matched once."""
    rows = with_period(rows, prices)
    keys = rows.select(*_USE, "deployment_reason").unique()
    found = matches([Use(*key) for key in keys.select(_USE).iter_rows()], prices)
    known = keys.hstack(_with_the_deployments_reason(keys.hstack(found)).select(found.columns))
    use = [*_USE, "deployment_reason"]
    rows = rows.join(known, on=use, how="left", nulls_equal=True, maintain_order="left")
    return _costed(rows.drop("period", "deployment_reason"))


def _with_the_deployments_reason(found: pl.DataFrame) -> pl.DataFrame:
    is_why = (pl.col("reason") == "deployment_type_unknown") & pl.col("deployment_reason").is_not_null()
    return found.with_columns(reason=pl.when(is_why).then("deployment_reason").otherwise("reason"))


def _costed(rows: pl.DataFrame) -> pl.DataFrame:
    units = pl.col("unit").replace_strict(PRICE_UNITS, default=None, return_dtype=pl.Int64())
    rows = rows.with_columns(_per=units)
    does_fit = pl.all_horizontal(
        fits(name, "price").fill_null(value=True) for name in ("quantity", "estimated_quantity")
    )
    rows = rows.with_columns(
        reason=pl.when(does_fit).then("reason").otherwise(pl.lit("cost_too_large")),
        price_id=pl.when(does_fit).then("price_id"),
    )
    is_priced = pl.col("price_id").is_not_null()
    rows = rows.with_columns(
        pl.when(is_priced).then(name).alias(name) for name in ("price", "unit", "currency", "_per")
    )
    return rows.with_columns(
        cost=times("quantity", "price", "_per"), estimated_cost=times("estimated_quantity", "price", "_per")
    ).drop("_per")
