"""What usage cost, and what each team is charged for a month."""

import polars as pl

from oai_usage_pipeline.tables.contract import INSTANT, MONEY, TableContract
from oai_usage_pipeline.tables.gold import BUCKETS, DIMENSIONS, TOKEN_BUCKETS
from oai_usage_pipeline.tables.history import Change
from oai_usage_pipeline.tables.silver import ESTIMATE_COLUMNS

USAGE_COST_HOURLY = TableContract(
    name="usage_cost_hourly",
    description="What each bucket of each gold row cost, with the price's id; unpriced is null, never 0.",
    version=1,
    history=(Change(1, "The first.", "c96cbb41"),),
    partition_by="usage_date",
    statistics=("hour_at", "usage_month"),
    unique=(),
    schema={
        **DIMENSIONS,
        "usage_month": pl.Date(),
        "deployment_type": pl.String(),
        "bucket": pl.String(),
        "quantity": pl.Int64(),
        "estimated_quantity": pl.Int64(),
        "price_id": pl.String(),
        "price": MONEY,
        "unit": pl.String(),
        "currency": pl.String(),
        "cost": MONEY,
        "estimated_cost": MONEY,
        "reason": pl.String(),
    },
)

UNATTRIBUTED = "unattributed"
"""The team of callers that no row of `subscriptions` names: never dropped."""

IDLE_CAPACITY = "idle capacity"
"""The team of provisioned hours that nobody used."""

UNPRICED_BUCKETS: dict[str, tuple[str, ...]] = {
    "unpriced_tokens": (*TOKEN_BUCKETS, "provisioned"),
    "unpriced_audio_ms": ("audio_duration",),
    "unpriced_image_count": ("image",),
    "unpriced_character_count": ("character",),
}
"""Column of what has no price -> the buckets of cost that it adds up, one unit in each. Idle hours are in
none: nobody used them, and their cost lacks a price, not a quantity."""

UNPRICED_UNITS = dict(zip(UNPRICED_BUCKETS, ("tokens", "ms of audio", "images", "characters"), strict=True))
"""The same columns' units, in words."""

CHARGEBACK_DIMENSIONS = ("team", "cost_centre", "model", "currency")

CHARGEBACK_MONTHLY = TableContract(
    name="chargeback_monthly",
    description="What each team is charged for a month; a closed month only gains adjustment rows.",
    version=1,
    history=(Change(1, "The first.", "f1add717"),),
    partition_by="usage_month",
    statistics=(),
    unique=(),
    schema={
        "usage_month": pl.Date(),
        "entry": pl.String(),
        "entry_date": pl.Date(),
        **{column: pl.String() for column in CHARGEBACK_DIMENSIONS},
        "request_count": pl.Int64(),
        "unmetered_count": pl.Int64(),
        "estimated_count": pl.Int64(),
        **{column: pl.Int64() for column in BUCKETS.values()},
        **{column: pl.Int64() for column in ESTIMATE_COLUMNS},
        **{column: pl.Int64() for column in UNPRICED_BUCKETS},
        "estimated_share": pl.Float64(),
        "cost": MONEY,
        "estimated_cost": MONEY,
        "reason": pl.String(),
    },
)

MONTH_CLOSINGS = TableContract(
    name="month_closings",
    description="Which months were closed or stated anew, by whom, and what their totals were.",
    version=1,
    history=(Change(1, "The first.", "94a8f460"),),
    partition_by=None,
    statistics=(),
    unique=(),
    schema={
        "usage_month": pl.Date(),
        "number": pl.Int64(),
        "action": pl.String(),
        "closed_at": INSTANT,
        "closed_by": pl.String(),
        "reason": pl.String(),
        "chargeback_version": pl.Int64(),
        "request_count": pl.Int64(),
        "cost": MONEY,
        "currency": pl.String(),
    },
)
