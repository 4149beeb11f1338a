"""How much of the last days' usage is not fully accounted for: unmetered, estimated, unpriced, unattributed.

Belongs here: figures from gold, cost and subscriptions. Which share is too much is for the caller;
statuses and their reasons event by event are for `shares`.
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from oai_usage_pipeline.charge.attribution import attributed
from oai_usage_pipeline.charge.provisioned import IDLE_BUCKET
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import (
    ESTIMATE_COLUMNS,
    SUBSCRIPTIONS,
    TOKEN_BUCKETS,
    TOKEN_USAGE_HOURLY,
    UNATTRIBUTED,
    USAGE_COST_HOURLY,
    TableContract,
)

WINDOW_DAYS = 7


@dataclass(frozen=True)
class AccountingShare:
    """`count` of `total` requests, tokens or units of the last seven days are what `name` says."""

    name: str
    unit: str
    count: int
    total: int

    @property
    def share(self) -> float | None:
        """From 0.0 to 1.0; None when there is nothing to have a share in."""
        return self.count / self.total if self.total else None


def accounting_shares(lake: Lake) -> list[AccountingShare]:
    """The four shares, over the last seven days that gold has; none before there is gold."""
    try:
        gold = _last_days(lake, TOKEN_USAGE_HOURLY)
    except NoTable:
        return []
    requests = _sum(gold, "request_count")
    estimated = sum(_sum(gold, column) for column in ESTIMATE_COLUMNS)
    reported = sum(_sum(gold, column) for column in TOKEN_BUCKETS.values())
    return [
        AccountingShare("unmetered", "requests", _sum(gold, "unmetered_count"), requests),
        AccountingShare("estimated", "tokens", estimated, estimated + reported),
        _unpriced(lake),
        AccountingShare("unattributed", "requests", _unattributed(lake, gold), requests),
    ]


def _unpriced(lake: Lake) -> AccountingShare:
    """Reported tokens, milliseconds, images and characters that no price fits, as statements count them."""
    try:
        cost = _last_days(lake, USAGE_COST_HOURLY)
    except NoTable:
        cost = USAGE_COST_HOURLY.empty()
    used = cost.filter(pl.col("bucket") != IDLE_BUCKET)
    unpriced = used.filter(pl.col("price_id").is_null())
    return AccountingShare("unpriced", "units", _sum(unpriced, "quantity"), _sum(used, "quantity"))


def _unattributed(lake: Lake, gold: pl.DataFrame) -> int:
    try:
        subscriptions = lake.existing(SUBSCRIPTIONS).scan().collect()
    except NoTable:
        subscriptions = SUBSCRIPTIONS.empty()
    owned = attributed(gold, subscriptions)
    return _sum(owned.filter(pl.col("team") == UNATTRIBUTED), "request_count")


def _last_days(lake: Lake, contract: TableContract) -> pl.DataFrame:
    table = lake.existing(contract)
    latest = pl.lit(max(table.days(), default="1970-01-01")).str.to_date()
    return table.scan().filter(pl.col("usage_date") > latest - timedelta(days=WINDOW_DAYS)).collect()


def _sum(rows: pl.DataFrame, column: str) -> int:
    return int(rows[column].cast(pl.Int128).sum())
