"""The shares that are not fully accounted for, on a lake whose truth is known."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from oai_usage_pipeline.audit.accounting import accounting_shares
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.checks import accounting_result
from oai_usage_pipeline.tables import (
    SUBSCRIPTIONS,
    TOKEN_USAGE_HOURLY,
    UNATTRIBUTED,
    USAGE_COST_HOURLY,
    USAGE_EVENTS,
    TableContract,
)
from oai_usage_pipeline.usage.aggregate import aggregate
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT
from oai_usage_pipeline_tests.usage.silver_rows import silver

NOW = ENQUEUED_AT + timedelta(hours=2)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    rows = silver(
        {"subscription": "owned", "input_tokens": 60, "output_tokens": 15},
        {
            "subscription": "owned",
            "status": "unmetered",
            "reason": "no_usage",
            "estimated_input_tokens": 25,
        },
        {"subscription": "foreign", "model": "unheard of", "input_tokens": 0},
        {"event_at": ENQUEUED_AT - timedelta(days=8), "input_tokens": 10**6},
    )
    lake.table(USAGE_EVENTS).append(rows, {})
    lake.table(TOKEN_USAGE_HOURLY).append(aggregate(rows), {})
    return lake


def add(lake: Lake, contract: TableContract, *rows: dict[str, Any]) -> None:
    lake.table(contract).append(pl.DataFrame(rows, schema=contract.schema), {})


def cost(bucket: str, quantity: int, **row: Any) -> dict[str, Any]:
    return {
        "hour_at": ENQUEUED_AT,
        "usage_date": ENQUEUED_AT.date(),
        "subscription": "foreign",
        "bucket": bucket,
        "quantity": quantity,
    } | row


def shares(lake: Lake, now: datetime = NOW) -> dict[tuple[str, str], tuple[Any, Any]]:
    return {(each.name, each.unit): (each.count, each.total) for each in accounting_shares(lake, now)}


def test_the_last_seven_days_are_looked_at_and_older_ones_are_not(lake: Lake) -> None:
    assert shares(lake)["estimated", "tokens"] == (25, 100)


def test_a_day_in_the_future_does_not_hide_the_present(lake: Lake) -> None:
    before = shares(lake)
    ahead = silver({"event_at": ENQUEUED_AT + timedelta(days=400), "input_tokens": 5})
    lake.table(TOKEN_USAGE_HOURLY).append(aggregate(ahead), {})
    later = cost("input", 9, hour_at=ENQUEUED_AT, usage_date=NOW.date() + timedelta(days=400))
    add(lake, USAGE_COST_HOURLY, later)
    assert shares(lake) == before


def test_the_days_end_with_golds_newest_where_nothing_came_since(lake: Lake) -> None:
    assert shares(lake, NOW + timedelta(days=100)) == shares(lake)


def test_calls_without_usage_to_report_are_not_in_the_unmetered_share(lake: Lake) -> None:
    assert shares(lake)["unmetered", "events"] == (1, 4)
    moderation = {"status": "unmetered", "reason": "no_usage_expected"}
    lake.table(USAGE_EVENTS).append(silver(*[moderation] * 50, first_number=9), {})
    assert shares(lake)["unmetered", "events"] == (1, 4)


def test_without_owners_everybody_is_unattributed(lake: Lake) -> None:
    assert shares(lake)[UNATTRIBUTED, "requests"] == (3, 3)
    add(lake, SUBSCRIPTIONS, {"subscription": "owned", "team": "search"})
    assert shares(lake)[UNATTRIBUTED, "requests"] == (1, 3)


def test_unattributed_money_is_told_by_currency_beside_the_calls(lake: Lake) -> None:
    add(lake, SUBSCRIPTIONS, {"subscription": "owned", "team": "search"})
    add(
        lake,
        USAGE_COST_HOURLY,
        cost("input", 1, price_id="p", cost=Decimal(9), currency="USD"),
        cost("input", 1, price_id="p", cost=Decimal(1), currency="USD", subscription="owned"),
        cost("provisioned_idle", 1, price_id="p", cost=Decimal(100), currency="USD", subscription=None),
    )
    assert shares(lake)[UNATTRIBUTED, "USD"] == (Decimal(9), Decimal(10))


def test_unpriced_is_told_by_unit_and_provisioned_tokens_are_priced_by_their_hour(lake: Lake) -> None:
    add(
        lake,
        USAGE_COST_HOURLY,
        cost("input", 60, price_id="p", cost=Decimal(1)),
        cost("output", 15, reason="no_price"),
        cost("provisioned", 25, price_id="ptu", cost=Decimal(2)),
        cost("provisioned_idle", 7),
        cost("image", 3, reason="no_price"),
        cost("audio_duration", 60_000, price_id="p", cost=Decimal(1)),
    )
    found = {unit: counts for (name, unit), counts in shares(lake).items() if name == "unpriced"}
    assert found == {"tokens": (15, 100), "images": (3, 3), "ms of audio": (0, 60_000)}


def test_any_unit_without_a_price_raises_the_alarm_and_is_named(lake: Lake) -> None:
    add(lake, USAGE_COST_HOURLY, cost("input", 10**9, price_id="p", cost=Decimal(1)), cost("image", 3))
    found = [each for each in accounting_shares(lake, NOW) if each.name == "unpriced"]
    result = accounting_result(found, 0.0)
    assert not result.passed
    assert "3 of 3 images (100.0%)" in str(result.description)
    assert accounting_result(found[:1], 0.0).passed


def test_a_share_of_nothing_is_none_and_no_zero(tmp_path: Path) -> None:
    empty = Lake(str(tmp_path / "empty"))
    assert accounting_shares(empty, NOW) == []
    empty.table(TOKEN_USAGE_HOURLY)
    assert [each.share for each in accounting_shares(empty, NOW)] == [None] * 3
