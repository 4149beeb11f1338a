"""Frames of gold, prices, deployments and subscriptions for the tests of what they cost."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from oai_usage_pipeline.charge.day import cost_of_day
from oai_usage_pipeline.tables import (
    COUNT_COLUMNS,
    DEPLOYMENTS,
    PRICES,
    SUBSCRIPTIONS,
    TOKEN_USAGE_HOURLY,
)

Row = dict[str, Any]

HOUR = datetime(2026, 3, 10, 9, tzinfo=UTC)
DAY = HOUR.date()
MONTH = date(2026, 3, 1)
END_OF_DAY = datetime(2026, 3, 11, tzinfo=UTC)


def gold(*rows: Row) -> pl.DataFrame:
    """Gold rows: one call of gpt-4o at HOUR by subscription `s`, but for what is given."""
    usual: Row = dict.fromkeys(COUNT_COLUMNS, 0) | {
        "hour_at": HOUR,
        "subscription": "s",
        "operation": "chat.completions",
        "model": "gpt-4o",
        "deployment": "chat",
        "request_count": 1,
    }
    made = [usual | row for row in rows]
    return pl.DataFrame(
        [{"usage_date": row["hour_at"].date(), **row} for row in made], schema=TOKEN_USAGE_HOURLY.schema
    )


def prices(*rows: Row) -> pl.DataFrame:
    """Prices: 2.50 USD for 1M input tokens of gpt-4o, GlobalStandard, everywhere, but for what is given."""
    usual = {
        "model": "gpt-4o",
        "deployment_type": "GlobalStandard",
        "region": "*",
        "bucket": "input",
        "unit": "1M tokens",
        "price": Decimal("2.5"),
        "currency": "USD",
        "source": "test",
        "is_override": False,
    }
    numbered = [{"price_id": f"p{number}"} | usual | row for number, row in enumerate(rows)]
    return pl.DataFrame(numbered, schema=PRICES.schema)


def deployments(*rows: Row) -> pl.DataFrame:
    """Deployments; without any given, every one is GlobalStandard."""
    usual = {"deployment": "*", "deployment_type": "GlobalStandard"}
    return pl.DataFrame([usual | row for row in rows or ({},)], schema=DEPLOYMENTS.schema)


def subscriptions(*rows: Row) -> pl.DataFrame:
    """Owners; `s` is of team `search`, cost centre `100`, but for what is given."""
    usual = {"subscription": "s", "team": "search", "cost_centre": "100"}
    return pl.DataFrame([usual | row for row in rows], schema=SUBSCRIPTIONS.schema)


def costed(
    uses: pl.DataFrame, listed: pl.DataFrame, known: pl.DataFrame, until: datetime = END_OF_DAY
) -> pl.DataFrame:
    """What gold rows cost, as the pipeline prices a day; provisioned hours are those of DAY."""
    return cost_of_day(uses, listed, known, DAY, until)
