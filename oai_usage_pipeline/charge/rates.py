"""By which prices a month's lines are made today: what tells a corrected price from late events.

Belongs here: one rate for each bucket of a line, where there is one, and what quantities cost at them. A
statement adds up all buckets, so without rates a month's cost can't be taken apart again.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl

from oai_usage_pipeline.charge.attribution import OWNER, attributed
from oai_usage_pipeline.charge.money import as_money, as_units
from oai_usage_pipeline.tables import BUCKETS, MONEY, PRICE_UNITS

LINE = (*OWNER, "model")
RATES: dict[str, pl.DataType] = {
    **{name: pl.String() for name in (*LINE, "currency", "bucket", "unit")},
    "price": MONEY,
}

Rates = Mapping[tuple[Any, ...], Mapping[str, Fraction]]
"""Line with its currency -> what one of each bucket's units costs, in units of 10^-12."""


def rates_of_day(cost: pl.DataFrame, subscriptions: pl.DataFrame) -> pl.DataFrame:
    """The distinct prices of some cost rows, by line, currency and bucket; null where there is no price."""
    used = cost.filter(pl.col("quantity") > 0)
    return attributed(used, subscriptions).select(pl.col(n).cast(t) for n, t in RATES.items()).unique()


def rates_of(parts: Sequence[pl.DataFrame]) -> Rates:
    """The rates of the lines of which every bucket has one price, or none, in the whole month.

    Lines with several prices for a bucket (other regions, tiers or days), with more than one currency, or
    with provisioned hours are left out: what part of a sum each price made can't be told.
    """
    rows = pl.concat([pl.DataFrame(schema=RATES), *parts]).unique().sort(pl.all())
    found: dict[tuple[Any, ...], dict[str, Fraction]] = {}
    for key, line in rows.group_by(LINE):
        currencies = line["currency"].drop_nulls().unique()
        if (
            line["bucket"].is_duplicated().any()
            or len(currencies) != 1
            or not set(line["bucket"]) <= set(BUCKETS)
        ):
            continue
        priced = line.filter(pl.col("price").is_not_null()).select("bucket", "price", "unit")
        found[*key, currencies[0]] = {
            bucket: Fraction(as_units(price), PRICE_UNITS[unit]) for bucket, price, unit in priced.iter_rows()
        }
    return found


def cost_at(rates: Mapping[str, Fraction], quantities: Mapping[str, int | None]) -> Decimal:
    """What quantities (by gold's columns) cost at a line's rates; a bucket without a rate adds nothing."""
    total = sum((rate * (quantities[BUCKETS[bucket]] or 0) for bucket, rate in rates.items()), Fraction(0))
    return as_money(round(total))
