"""Provisioned hours: paid whole, shared by use to the last unit, the rest shown as idle."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.charge.money import shares
from oai_usage_pipeline.charge.provisioned import paid_days, paid_hours
from oai_usage_pipeline.tables import USAGE_COST_HOURLY
from oai_usage_pipeline_tests.charge.frames import (
    DAY,
    END_OF_DAY,
    HOUR,
    Row,
    costed,
    deployments,
    gold,
    prices,
)

PTU: Row = {
    "deployment": "chat",
    "deployment_type": "GlobalProvisionedManaged",
    "model": "gpt-4o",
    "ptu_count": 50,
    "valid_from": datetime(2026, 3, 10, tzinfo=UTC),
}
RATE: Row = {
    "model": "*",
    "bucket": "provisioned",
    "unit": "PTU hour",
    "deployment_type": "GlobalProvisionedManaged",
    "price": Decimal(1),
}
ONE_HOUR: Row = {"valid_from": HOUR, "valid_to": HOUR + timedelta(hours=1)}


def rows(*uses: Row, until: datetime = END_OF_DAY, **deployment: Any) -> list[Row]:
    known = deployments(PTU | deployment, {})
    return costed(gold(*uses), prices(RATE), known, until).to_dicts()


def test_an_hour_is_shared_by_tokens_reported_and_estimated() -> None:
    first, second = rows(
        {"user_id": "a", "billed_input_tokens": 20, "billed_output_tokens": 10},
        {"user_id": "b", "estimated_input_tokens": 5, "estimated_output_tokens": 5},
        **ONE_HOUR,
    )
    assert (first["user_id"], first["cost"], first["bucket"]) == ("a", Decimal("37.5"), "provisioned")
    assert (first["quantity"], first["unit"], first["price_id"]) == (30, "PTU hour", "p0")
    assert (second["quantity"], second["estimated_quantity"]) == (None, 10)
    assert (second["cost"], second["estimated_cost"]) == (Decimal("12.5"), None)


def test_hours_without_use_are_idle_and_add_up_to_the_day() -> None:
    found = rows({"billed_input_tokens": 1})
    idle = [row for row in found if row["bucket"] == "provisioned_idle"]
    assert len(idle) == 23
    assert {row["subscription"] for row in idle} == {None}
    assert {(row["deployment"], row["cost"], row["quantity"]) for row in idle} == {("chat", Decimal(50), 50)}
    assert sum(row["cost"] for row in found) == 24 * 50


def test_the_unused_part_of_an_hour_is_idle_where_the_capacity_is_known() -> None:
    used, idle = rows({"billed_output_tokens": 250}, capacity_tokens_per_hour=1000, **ONE_HOUR)
    assert (used["cost"], idle["cost"], idle["quantity"]) == (Decimal("12.5"), Decimal("37.5"), 750)
    [used] = rows({"billed_output_tokens": 2500}, capacity_tokens_per_hour=1000, **ONE_HOUR)
    assert used["cost"] == 50
    [idle] = rows(capacity_tokens_per_hour=1000, **ONE_HOUR)
    assert (idle["cost"], idle["quantity"], idle["bucket"]) == (Decimal(50), 1000, "provisioned_idle")


def test_future_hours_are_not_charged_and_the_running_one_only_to_its_users() -> None:
    until = HOUR + timedelta(minutes=30)
    uses = [{"billed_input_tokens": 1, "hour_at": HOUR + timedelta(hours=number)} for number in (0, 1)]
    found = rows(*uses, until=until)
    assert sum(row["bucket"] == "provisioned_idle" for row in found) == HOUR.hour
    running, future = (row for row in found if row["bucket"] == "provisioned")
    assert running["cost"] == 50
    assert (future["cost"], future["reason"], future["quantity"]) == (None, "hour_not_begun", 1)


def test_an_hour_without_a_price_is_unpriced_used_or_idle() -> None:
    known = deployments(PTU)
    found = costed(gold({"billed_input_tokens": 1}), prices(), known)
    assert len(found) == 24
    assert found["cost"].null_count() == 24
    assert set(found["reason"]) == {"no_price"}
    assert (found["quantity"] > 0).all()


def test_calls_without_any_token_leave_the_hour_idle() -> None:
    [idle] = rows({"unmetered_count": 1}, **ONE_HOUR)
    assert (idle["bucket"], idle["cost"]) == ("provisioned_idle", Decimal(50))


def test_units_come_into_force_and_end_at_their_hours() -> None:
    night = datetime.combine(DAY, time(), UTC)
    early: Row = {"valid_from": night, "valid_to": night + timedelta(hours=6)}
    known = deployments(PTU | early, PTU | {"valid_from": HOUR})
    assert paid_hours(known, DAY, END_OF_DAY) == 6 + 15
    assert paid_hours(known, DAY, HOUR + timedelta(minutes=59)) == 6
    assert paid_hours(deployments(), DAY, END_OF_DAY) == 0
    assert paid_days(known, END_OF_DAY) == {"2026-03-10"}
    assert paid_days(known, HOUR) == {"2026-03-10"}
    assert paid_days(known, night) == set()
    found = costed(gold(), prices(RATE), known)
    assert found["cost"].sum() == 21 * 50


def test_units_without_a_first_hour_are_idle_from_nothing_on_but_their_used_hours_cost() -> None:
    [used] = rows({"billed_input_tokens": 1}, capacity_tokens_per_hour=10, valid_from=None)
    assert (used["bucket"], used["cost"]) == ("provisioned", Decimal(50))
    known = deployments(PTU | {"valid_from": None})
    assert (paid_hours(known, DAY, END_OF_DAY), paid_days(known, END_OF_DAY)) == (0, set())


def test_the_days_of_units_are_those_that_any_of_their_ended_hours_is_on() -> None:
    last = datetime(2026, 3, 12, 0, tzinfo=UTC)
    known = deployments(
        PTU | {"valid_from": HOUR, "valid_to": last}, PTU | {"valid_from": last.replace(day=20)}
    )
    assert paid_days(known, last.replace(day=15)) == {"2026-03-10", "2026-03-11"}
    for day in range(9, 23):
        until = last.replace(day=21, hour=1)
        of_day = last.replace(day=day).date()
        assert (paid_hours(known, of_day, until) > 0) == (of_day.isoformat() in paid_days(known, until))


def test_provisioned_tokens_have_no_price_by_token_and_are_not_unpriced_either() -> None:
    uses = gold(
        {"billed_input_tokens": 5, "billed_image_count": 1}, {"deployment": "x", "billed_input_tokens": 7}
    )
    costs = costed(uses, prices(RATE, {}), deployments(PTU, {}))
    assert costs.schema == pl.Schema(USAGE_COST_HOURLY.schema)
    used = costs.filter(pl.col("bucket") != "provisioned_idle")
    assert dict(used.select("bucket", "quantity").iter_rows()) == {"provisioned": 5, "input": 7, "image": 1}
    assert used.filter(pl.col("price_id").is_null())["bucket"].to_list() == ["image"]


def test_a_share_goes_by_rows_not_by_the_order_they_come_in() -> None:
    uses = gold(*({"user_id": str(number), "billed_input_tokens": 1} for number in range(7)))
    known = prices(RATE), deployments(PTU | ONE_HOUR)
    shuffled = uses.sample(fraction=1, shuffle=True, seed=3)
    found = costed(uses, *known)
    assert found.equals(costed(shuffled, *known))
    assert found["cost"].sum() == 50
    assert found["cost"].n_unique() == 2


@settings(max_examples=300, deadline=None)
@given(
    amount=st.decimals(min_value=0, max_value=10**9, places=12, allow_nan=False, allow_infinity=False),
    weights=st.lists(st.integers(0, 2**63), min_size=1, max_size=20).filter(any),
)
def test_shares_add_up_exactly_and_are_off_by_less_than_one_unit(amount: Decimal, weights: list[int]) -> None:
    parts = shares(amount, weights)
    units = [int(part * 10**12) for part in parts]
    assert sum(units) == int(amount * 10**12)
    for part, weight in zip(units, weights, strict=True):
        assert abs(part * sum(weights) - int(amount * 10**12) * weight) < sum(weights)
