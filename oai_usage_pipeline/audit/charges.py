"""The promises about money as checks on the lake as it stands: cost follows gold, chargeback adds up to it.

Belongs here: each promise as one function from the lake to a finding, like those in `invariants`.
"""

from datetime import date

import polars as pl

from oai_usage_pipeline.audit.findings import Finding, difference, finding, stale_days_of
from oai_usage_pipeline.charge.day import cost_of_day
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.cost import USAGE_COST_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.derivation import day_of
from oai_usage_pipeline.tables import (
    BUCKETS,
    CHARGEBACK_MONTHLY,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
    USAGE_DIMENSIONS,
)

_FIGURES = ("request_count", *BUCKETS.values())


def cost_equals_rebuild(lake: Lake) -> Finding:
    """Pricing a day of gold again gives the cost that is there, to the last digit; not of days behind."""
    gold, cost = lake.existing(TOKEN_USAGE_HOURLY), lake.existing(USAGE_COST_HOURLY)
    reference = USAGE_COST_HOURLY_DERIVATION.reference(lake, gold)
    days = (gold.days() | cost.days()) - stale_days_of(lake, USAGE_COST_HOURLY)
    wrong = []
    for day in sorted(days):
        rows = day_of(gold, day).select(*TOKEN_USAGE_HOURLY.schema).collect()
        found = day_of(cost, day).select(*USAGE_COST_HOURLY.schema).collect()
        expected = cost_of_day(
            rows, reference.prices, reference.deployments, date.fromisoformat(day), reference.now
        )
        keys = [*USAGE_DIMENSIONS, "bucket"]
        wrong += difference(found, expected, keys, f"cost of {day} differs from pricing its gold again")
    return finding(
        "cost_equals_rebuild",
        wrong,
        f"Pricing {len(days)} days of gold again changes nothing",
        {"days": len(days), "different": len(wrong)},
    )


def chargeback_equals_gold(lake: Lake) -> Finding:
    """A month's entries, adjustments included, add up to the calls and tokens of its gold."""
    table = lake.existing(CHARGEBACK_MONTHLY)
    months = table.days() - stale_days_of(lake, CHARGEBACK_MONTHLY)
    charged = _sums(table.scan(), pl.col("usage_month"))
    used = _sums(lake.existing(TOKEN_USAGE_HOURLY).scan(), pl.col("usage_date").dt.month_start())
    wrong = [
        f"{month[:7]}: {name} is {found} in chargeback and {expected} in gold"
        for month in sorted(months)
        for name, found, expected in zip(
            _FIGURES, charged.get(month, _NONE), used.get(month, _NONE), strict=True
        )
        if found != expected
    ]
    return finding(
        "chargeback_equals_gold",
        wrong,
        f"{len(months)} months of chargeback add up to the calls and tokens of gold",
        {"months": len(months), "wrong": len(wrong)},
    )


_NONE = (0,) * len(_FIGURES)


def _sums(rows: pl.LazyFrame, month: pl.Expr) -> dict[str, tuple[int, ...]]:
    sums = rows.group_by(month.cast(pl.String).alias("month")).agg(
        pl.col(name).cast(pl.Int128).sum() for name in _FIGURES
    )
    return {row[0]: row[1:] for row in sums.collect().iter_rows()}
