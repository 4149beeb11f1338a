"""What provisioned throughput costs by the hour, shared out by use; what nobody used is shown as idle.

Belongs here: deployments that are paid by PTU hour, used or not. What is paid by use is for `pricing`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from oai_usage_pipeline.charge.deployments import is_provisioned, plain_model
from oai_usage_pipeline.charge.matching import MATCH_COLUMNS, Match, PriceList, Use
from oai_usage_pipeline.charge.money import shares
from oai_usage_pipeline.charge.periods import Row
from oai_usage_pipeline.charge.pricing import as_cost_rows
from oai_usage_pipeline.tables import (
    ESTIMATE_COLUMNS,
    MONEY,
    PROVISIONED,
    TOKEN_BUCKETS,
    USAGE_COST_HOURLY,
    USAGE_DIMENSIONS,
)

BUCKET = "provisioned"
IDLE_BUCKET = "provisioned_idle"

HOUR = timedelta(hours=1)
_CEILING = 2**63 - 1

_SHARES = {"index": pl.UInt32(), **MATCH_COLUMNS, "cost": MONEY}
_IDLE = {
    name: dtype
    for name, dtype in USAGE_COST_HOURLY.schema.items()
    if name in ("hour_at", "usage_date", "model", "deployment", "region", "deployment_type", "bucket")
} | {"quantity": pl.Int64(), **MATCH_COLUMNS, "cost": MONEY}


@dataclass(frozen=True)
class _Hour:
    """One hour of a deployment: what it costs (None with the reason in `price`) and what it can take."""

    row: Row
    at: datetime
    price: Match
    cost: Decimal | None

    def split(self, weights: Sequence[int], idle: int) -> list[Decimal | None]:
        """The cost by the weights, with the idle part last."""
        if self.cost is None:
            return [None] * (len(weights) + 1)
        return list(shares(self.cost, [*weights, idle]))


def shared_rows(
    rows: pl.DataFrame, prices: pl.DataFrame, deployments: pl.DataFrame, day: date, until: datetime
) -> pl.DataFrame:
    """Rows of `USAGE_COST_HOURLY` for the provisioned deployments of one day.

    `rows` are that day's gold rows, `placed` with their deployments. An hour costs ptu_count x the price
    of bucket `provisioned`, and its rows add up to exactly that. Bucket `provisioned`: a gold row's share
    by its tokens, reported and estimated alike (`cost` is all of it; `estimated_cost` stays null, since
    the hour is paid for whatever was estimated). Bucket `provisioned_idle`, without caller: an hour
    without tokens, and, where `capacity_tokens_per_hour` is known, the unused part of others; `quantity`
    is the unused tokens, or the PTU hours where the capacity is unknown. An hour that hasn't ended at
    `until` has no idle row yet; what is dated after it has a null cost, reason `hour_not_begun`.
    """
    used = _weighed(rows.filter(is_provisioned()))
    weights: dict[tuple[int, datetime], list[tuple[int, int]]] = defaultdict(list)
    for number, at, index, weight in used.select("deployment_row", "hour_at", "index", "weight").iter_rows():
        weights[number, at].append((index, weight))
    rates = PriceList(prices.filter(pl.col("bucket") == BUCKET))
    known = deployments.rows(named=True)
    paid = set(_paid_hours(known, day, until))
    shared: list[tuple[Any, ...]] = []
    idle: list[dict[str, Any]] = []
    for number, at in sorted(paid | set(weights)):
        users = weights.get((number, at), [])
        hour = _priced_hour(known[number], at, rates, until)
        left = _idle_weight(hour, [weight for _, weight in users]) if (number, at) in paid else 0
        *costs, rest = hour.split([weight for _, weight in users], left)
        shared += [(index, *hour.price.values, cost) for (index, _), cost in zip(users, costs, strict=True)]
        idle += [_idle_row(hour, left, rest)] if left else []
    return as_cost_rows(_together(used, shared, idle))


def paid_hours(deployments: pl.DataFrame, day: date, until: datetime) -> int:
    """How many hours of provisioned deployments have ended on a day by `until`: it grows with the day."""
    return sum(
        (end - start) // HOUR for _, start, end in _spans(deployments.rows(named=True), until, _midnight(day))
    )


def paid_days(deployments: pl.DataFrame, until: datetime) -> set[str]:
    """ISO dates with such an hour, from each row's `valid_from` on, whether or not anything was called.

    A row without `valid_from` has none: since when it is paid for isn't known.
    """
    return {
        (start.date() + timedelta(days=number)).isoformat()
        for _, start, end in _spans(deployments.rows(named=True), until)
        for number in range(((end - HOUR).date() - start.date()).days + 1)
    }


def _weighed(rows: pl.DataFrame) -> pl.DataFrame:
    """Gold rows with any token, in a fixed order, with `quantity`, `estimated_quantity` and `weight`."""
    return (
        rows.with_columns(
            quantity=_total(TOKEN_BUCKETS.values()), estimated_quantity=_total(ESTIMATE_COLUMNS)
        )
        .with_columns(
            weight=pl.sum_horizontal(
                pl.col("quantity", "estimated_quantity").cast(pl.Int128), ignore_nulls=True
            ).cast(pl.Int128)
        )
        .filter(pl.col("weight") > 0)
        .sort(*USAGE_DIMENSIONS, "quantity", "estimated_quantity", nulls_last=False)
        .with_row_index()
    )


def _total(names: Iterable[str]) -> pl.Expr:
    columns = [pl.col(name).cast(pl.Int128) for name in names]
    total = pl.sum_horizontal(columns, ignore_nulls=True).clip(upper_bound=_CEILING).cast(pl.Int64)
    return pl.when(pl.any_horizontal(each.is_not_null() for each in columns)).then(total)


def _paid_hours(known: Sequence[Row], day: date, until: datetime) -> Iterator[tuple[int, datetime]]:
    """Deployment rows and the ended hours of the day at which they hold."""
    for number, start, end in _spans(known, until, _midnight(day)):
        yield from ((number, start + count * HOUR) for count in range((end - start) // HOUR))


def _spans(
    known: Sequence[Row], until: datetime, midnight: datetime | None = None
) -> Iterator[tuple[int, datetime, datetime]]:
    """Provisioned rows with the first and the end of their ended hours, of one day where it is given."""
    for number, row in enumerate(known):
        if row["valid_from"] is None or not str(row["deployment_type"]).endswith(PROVISIONED):
            continue
        start, end = row["valid_from"], min(until, row["valid_to"] or until)
        if midnight is not None:
            start, end = max(start, midnight), min(end, midnight + 24 * HOUR)
        end = end.replace(minute=0, second=0, microsecond=0)
        if start < end:
            yield number, start, end


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _priced_hour(row: Row, at: datetime, rates: PriceList, until: datetime) -> _Hour:
    use = Use(plain_model(row) or "", row["deployment_type"], row["region"], None, BUCKET, None, None, at)
    price = rates.match(use)
    if at > until:
        price = Match(None, "hour_not_begun")
    elif row["ptu_count"] is None:
        price = Match(None, "ptu_count_unknown")
    if price.price is None:
        return _Hour(row, at, price, None)
    return _Hour(row, at, price, row["ptu_count"] * price.price["price"])


def _idle_weight(hour: _Hour, weights: Sequence[int]) -> int:
    """What of an ended hour nobody used, beside the weights; 0 where an hour with use tells no capacity."""
    capacity, used = hour.row["capacity_tokens_per_hour"] or 0, sum(weights)
    return max(0, int(capacity) - used) if used else int(capacity or hour.row["ptu_count"] or 1)


def _idle_row(hour: _Hour, quantity: int, cost: Decimal | None) -> dict[str, Any]:
    row = hour.row
    return {
        "hour_at": hour.at,
        "usage_date": hour.at.date(),
        "model": plain_model(row),
        "deployment": row["deployment"],
        "region": row["region"],
        "deployment_type": row["deployment_type"],
        "bucket": IDLE_BUCKET,
        "quantity": quantity,
        **dict(zip(MATCH_COLUMNS, hour.price.values, strict=True)),
        "cost": cost,
    }


def _together(used: pl.DataFrame, shared: list[tuple[Any, ...]], idle: list[dict[str, Any]]) -> pl.DataFrame:
    costs = pl.DataFrame(shared, schema=_SHARES, orient="row")
    users = used.join(costs, on="index", maintain_order="left").with_columns(bucket=pl.lit(BUCKET))
    columns = [name for name in USAGE_COST_HOURLY.schema if name in users.columns]
    return pl.concat([users.select(columns), pl.DataFrame(idle, schema=_IDLE)], how="diagonal_relaxed")
