"""The shares that are not fully accounted for, on a lake whose truth is known."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from oai_usage_pipeline.audit.accounting import accounting_shares
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import (
    SUBSCRIPTIONS,
    TOKEN_USAGE_HOURLY,
    UNATTRIBUTED,
    USAGE_COST_HOURLY,
    TableContract,
)
from oai_usage_pipeline.usage.aggregate import aggregate
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT
from oai_usage_pipeline_tests.usage.silver_rows import silver


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    gold = aggregate(
        silver(
            {"subscription": "owned", "input_tokens": 60, "output_tokens": 15},
            {"subscription": "owned", "status": "unmetered", "estimated_input_tokens": 25},
            {"subscription": "foreign", "model": "unheard of", "input_tokens": 0},
            {"event_at": ENQUEUED_AT - timedelta(days=8), "input_tokens": 10**6},
        )
    )
    lake.table(TOKEN_USAGE_HOURLY).append(gold, {})
    return lake


def add(lake: Lake, contract: TableContract, *rows: dict[str, Any]) -> None:
    lake.table(contract).append(pl.DataFrame(rows, schema=contract.schema), {})


def shares(lake: Lake) -> dict[str, tuple[int, int]]:
    return {each.name: (each.count, each.total) for each in accounting_shares(lake)}


def test_the_last_seven_days_are_looked_at_and_older_ones_are_not(lake: Lake) -> None:
    found = shares(lake)
    assert found["unmetered"] == (1, 3)
    assert found["estimated"] == (25, 100)


def test_without_owners_everybody_is_unattributed(lake: Lake) -> None:
    assert shares(lake)[UNATTRIBUTED] == (3, 3)
    add(lake, SUBSCRIPTIONS, {"subscription": "owned", "team": "search"})
    assert shares(lake)[UNATTRIBUTED] == (1, 3)


def test_unpriced_is_whatever_has_no_price_and_not_what_is_paid_by_the_hour(lake: Lake) -> None:
    usual = {"hour_at": ENQUEUED_AT, "usage_date": ENQUEUED_AT.date()}
    add(
        lake,
        USAGE_COST_HOURLY,
        usual | {"bucket": "input", "quantity": 60, "price_id": "p", "cost": Decimal(1)},
        usual | {"bucket": "output", "quantity": 15, "reason": "no_price"},
        usual | {"bucket": "provisioned", "quantity": 25, "price_id": "ptu", "cost": Decimal(2)},
        usual | {"bucket": "provisioned_idle", "quantity": 7},
        usual | {"bucket": "image", "quantity": 3, "reason": "no_price"},
    )
    assert shares(lake)["unpriced"] == (18, 103)


def test_a_share_of_nothing_is_none_and_no_zero(tmp_path: Path) -> None:
    empty = Lake(str(tmp_path / "empty"))
    assert accounting_shares(empty) == []
    empty.table(TOKEN_USAGE_HOURLY)
    assert [each.share for each in accounting_shares(empty)] == [None] * 4
