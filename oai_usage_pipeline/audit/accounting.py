"""How much of the last days' usage is not fully accounted for: unmetered, estimated, unpriced, unattributed.

Belongs here: figures from gold, cost and subscriptions. Which share is too much is for the caller;
statuses and their reasons event by event are for `shares`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl

from oai_usage_pipeline.audit.shares import status_share
from oai_usage_pipeline.charge.attribution import attributed
from oai_usage_pipeline.charge.provisioned import IDLE_BUCKET
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.subscribers import known_subscriptions
from oai_usage_pipeline.tables import (
    ESTIMATE_COLUMNS,
    TOKEN_BUCKETS,
    TOKEN_USAGE_HOURLY,
    UNATTRIBUTED,
    UNPRICED_BUCKETS,
    UNPRICED_UNITS,
    USAGE_COST_HOURLY,
    TableContract,
)

WINDOW_DAYS = 7


@dataclass(frozen=True)
class AccountingShare:
    """`count` of `total` of the last seven days are what `name` says; `unit` is what they are.

    Events, requests, tokens and other units are whole numbers, money is decimal and its unit a currency.
    A name may have several shares: units are never added up.
    """

    name: str
    unit: str
    count: int | Decimal
    total: int | Decimal

    @property
    def share(self) -> float | None:
        """From 0.0 to 1.0; None when there is nothing to have a share in."""
        return float(self.count / self.total) if self.total else None


def accounting_shares(lake: Lake, now: datetime) -> list[AccountingShare]:
    """The shares of the last seven days; none before there is gold.

    The days end with gold's newest, or with that of `now` if gold has a later one: a call that is dated
    in the future must not hide the present.
    """
    try:
        gold = _last_days(lake, TOKEN_USAGE_HOURLY, now)
    except NoTable:
        return []
    cost = _used(lake, now)
    estimated = sum(_sum(gold, column) for column in ESTIMATE_COLUMNS)
    reported = sum(_sum(gold, column) for column in TOKEN_BUCKETS.values())
    return [
        *_unmetered(lake),
        AccountingShare("estimated", "tokens", estimated, estimated + reported),
        *_unpriced(cost),
        *_unattributed(lake, gold, cost),
    ]


def _unmetered(lake: Lake) -> Iterator[AccountingShare]:
    """Of silver's events: gold doesn't tell those that have no usage to report."""
    try:
        found = status_share(lake, "unmetered")
    except NoTable:
        return
    yield AccountingShare("unmetered", "events", found.count, found.total)


def _unpriced(cost: pl.DataFrame) -> Iterator[AccountingShare]:
    """What no price fits, as statements count it: tokens, and each other unit that there is any of.

    Tokens of provisioned deployments are priced by their hour; without its price they are unpriced.
    """
    for column, buckets in UNPRICED_BUCKETS.items():
        of_unit = cost.filter(pl.col("bucket").is_in(buckets))
        count = _sum(of_unit.filter(pl.col("price_id").is_null()), "quantity")
        total = _sum(of_unit, "quantity")
        if total or column == "unpriced_tokens":
            yield AccountingShare("unpriced", UNPRICED_UNITS[column], count, total)


def _unattributed(lake: Lake, gold: pl.DataFrame, cost: pl.DataFrame) -> Iterator[AccountingShare]:
    """Calls of nobody, and what they cost in each currency: few calls can be much money."""
    subscriptions = known_subscriptions(lake)
    is_nobodys = pl.col("team") == UNATTRIBUTED
    calls, costs = attributed(gold, subscriptions), attributed(cost, subscriptions)
    nobodys = _sum(calls.filter(is_nobodys), "request_count")
    yield AccountingShare(UNATTRIBUTED, "requests", nobodys, _sum(calls, "request_count"))
    for currency in costs["currency"].drop_nulls().unique().sort():
        of_currency = costs.filter(pl.col("currency") == currency)
        nobodys_cost, total = _money(of_currency.filter(is_nobodys)), _money(of_currency)
        yield AccountingShare(UNATTRIBUTED, currency, nobodys_cost, total)


def _used(lake: Lake, now: datetime) -> pl.DataFrame:
    """Cost of what was used: idle hours are the platform's, and have a line of their own."""
    try:
        cost = _last_days(lake, USAGE_COST_HOURLY, now)
    except NoTable:
        cost = USAGE_COST_HOURLY.empty()
    return cost.filter(pl.col("bucket") != IDLE_BUCKET)


def _last_days(lake: Lake, contract: TableContract, now: datetime) -> pl.DataFrame:
    table = lake.existing(contract)
    last = pl.lit(min(_newest_day(lake), now.astimezone(UTC).date().isoformat())).str.to_date()
    day = pl.col("usage_date")
    return table.scan().filter((day > last - timedelta(days=WINDOW_DAYS)) & (day <= last)).collect()


def _newest_day(lake: Lake) -> str:
    """Gold's newest day (ISO date); the tables made of it have days of idle hours too."""
    return max(lake.existing(TOKEN_USAGE_HOURLY).days(), default="1970-01-01")


def _sum(rows: pl.DataFrame, column: str) -> int:
    return int(rows[column].cast(pl.Int128).sum())


def _money(rows: pl.DataFrame) -> Decimal:
    return Decimal(rows["cost"].sum() or 0)
