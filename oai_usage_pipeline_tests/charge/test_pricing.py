"""Prices by precedence and by event time, exact money, and reasons where there is no price."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.tables import (
    BUCKETS,
    ESTIMATE_COLUMNS,
    PRICE_BUCKETS,
    PRICE_UNITS,
    USAGE_COST_HOURLY,
)
from oai_usage_pipeline_tests.charge.frames import HOUR, Row, costed, deployments, gold, prices


def only(rows: pl.DataFrame) -> Row:
    [row] = rows.to_dicts()
    return row


def price_id(price_rows: list[Row], **use: Any) -> str | None:
    """Which of the prices is taken for 1,000 input tokens."""
    row = only(costed(gold({"billed_input_tokens": 1000} | use), prices(*price_rows), deployments()))
    assert (row["cost"] is None) == (row["price_id"] is None)
    found: str | None = row["price_id"]
    return found


def reason(price_rows: list[Row], known: list[Row] | None = None, **use: Any) -> str:
    """Why 1,000 input tokens have no price."""
    rows = costed(
        gold({"billed_input_tokens": 1000} | use),
        prices(*price_rows),
        deployments(*known) if known is not None else deployments(),
    )
    row = only(rows)
    priced = [row[name] for name in ("price_id", "price", "unit", "currency", "cost", "estimated_cost")]
    assert priced == [None] * 6
    found: str = row["reason"]
    return found


def test_a_bucket_costs_its_quantity_times_the_price() -> None:
    row = only(costed(gold({"billed_input_tokens": 1234567}), prices({}), deployments()))
    assert row["cost"] == Decimal("3.0864175")
    assert (row["price_id"], row["unit"], row["currency"], row["reason"]) == ("p0", "1M tokens", "USD", None)
    assert (row["bucket"], row["quantity"], row["estimated_quantity"]) == ("input", 1234567, None)
    assert (row["deployment_type"], row["usage_month"]) == ("GlobalStandard", HOUR.date().replace(day=1))


def test_the_frame_has_the_columns_of_its_table_also_without_rows() -> None:
    for rows in (gold(), gold({}), gold({"billed_input_tokens": 0})):
        found = costed(rows, prices(), deployments())
        assert found.equals(USAGE_COST_HOURLY.empty())
        assert found.schema == pl.Schema(USAGE_COST_HOURLY.schema)


def test_estimates_cost_in_a_column_of_their_own() -> None:
    use = {"estimated_input_tokens": 2000, "estimated_output_tokens": 1000}
    known = prices({}, {"bucket": "output", "price": Decimal(10)})
    first, second = costed(gold(use), known, deployments()).to_dicts()
    assert (first["bucket"], first["quantity"], first["cost"]) == ("input", None, None)
    assert (first["estimated_quantity"], first["estimated_cost"]) == (2000, Decimal("0.005"))
    assert (second["bucket"], second["estimated_cost"], second["price_id"]) == (
        "output",
        Decimal("0.01"),
        "p1",
    )


def test_an_embeddings_estimate_is_input_only() -> None:
    use = {"operation": "embeddings", "estimated_input_tokens": 7, "estimated_output_tokens": None}
    assert only(costed(gold(use), prices({}), deployments()))["bucket"] == "input"


@pytest.mark.parametrize(
    ("unit", "bucket", "quantity", "cost"),
    [
        ("1K tokens", "input", 1500, "1.5"),
        ("1M characters", "character", 2_000_000, "2"),
        ("1K characters", "character", 500, "0.5"),
        ("second", "audio_duration", 1500, "1.5"),
        ("minute", "audio_duration", 90_000, "1.5"),
        ("hour", "audio_duration", 1_800_000, "0.5"),
        ("image", "image", 3, "3"),
    ],
)
def test_each_unit_holds_so_many_of_its_bucket(unit: str, bucket: str, quantity: int, cost: str) -> None:
    known = prices({"bucket": bucket, "unit": unit, "price": Decimal(1)})
    assert only(costed(gold({BUCKETS[bucket]: quantity}), known, deployments()))["cost"] == Decimal(cost)


@pytest.mark.parametrize(
    ("quantity", "units"), [(500_000, 0), (500_001, 1), (1_500_000, 2), (2_500_000, 2), (2_499_999, 2)]
)
def test_what_12_places_cant_hold_is_rounded_half_to_even(quantity: int, units: int) -> None:
    known = prices({"price": Decimal("1e-12")})
    row = only(costed(gold({"billed_input_tokens": quantity}), known, deployments()))
    assert row["cost"] == units * Decimal("1e-12")


def test_every_unit_and_bucket_of_the_price_table_is_known_to_the_matching() -> None:
    from oai_usage_pipeline.charge.matching import UNIT_KINDS

    token_units = {unit for unit in PRICE_UNITS if unit.endswith("tokens")}
    assert {unit for units in UNIT_KINDS.values() for unit in units} | token_units == set(PRICE_UNITS)
    assert set(UNIT_KINDS) < set(PRICE_BUCKETS)


def test_a_price_holds_from_its_first_hour_to_before_its_last_instant() -> None:
    old, new = {"valid_to": HOUR}, {"valid_from": HOUR, "valid_to": HOUR + timedelta(hours=1)}
    assert price_id([old, new]) == "p1"
    assert price_id([old, new], hour_at=HOUR - timedelta(hours=1)) == "p0"
    assert price_id([old, new], hour_at=HOUR + timedelta(hours=1)) is None
    hours = [HOUR + timedelta(hours=number) for number in (-1, 0, 1)]
    rows = gold(*({"hour_at": hour, "billed_input_tokens": 1} for hour in hours))
    assert costed(rows, prices(old, new), deployments())["price_id"].to_list() == ["p0", "p1", None]


def test_a_users_own_price_wins_over_every_more_specific_one() -> None:
    assert price_id([{}, {"model": "*", "is_override": True}]) == "p1"


def test_a_region_wins_over_everywhere_and_a_name_over_a_pattern() -> None:
    use = {"region": "swedencentral"}
    assert price_id([{}, {"model": "gpt-*", "region": "swedencentral"}], **use) == "p1"
    assert price_id([{"model": "gpt-4*"}, {"model": "gpt-4o"}, {"model": "gpt-4o*"}]) == "p1"
    assert price_id([{"model": "gpt-*"}, {"model": "gpt-4*"}, {"model": "*"}]) == "p1"


def test_models_match_whatever_their_case_and_regions_whatever_their_spelling() -> None:
    assert price_id([{"model": "GPT-4O*"}], model="Gpt-4o-2024-08-06") == "p0"
    assert price_id([{"region": "westeurope"}], region="West Europe") == "p0"


def test_a_size_and_quality_win_over_none_and_others_dont_match() -> None:
    image = {"bucket": "image", "unit": "image"}
    known = prices(image, image | {"image_size": "1024x1024"}, image | {"image_size": "1792x1024"})
    for size, expected in (("1024x1024", "p1"), ("256x256", "p0"), (None, "p0")):
        use = {"billed_image_count": 1, "image_size": size}
        assert only(costed(gold(use), known, deployments()))["price_id"] == expected


def test_a_tier_has_its_own_prices_only() -> None:
    assert price_id([{}, {"service_tier": "priority"}], service_tier="priority") == "p1"
    assert price_id([{}, {"service_tier": "priority"}]) == "p0"
    assert reason([{}], service_tier="flex") == "no_price"


def test_what_has_no_price_is_null_with_a_reason_and_never_zero() -> None:
    assert reason([]) == "no_price"
    assert reason([{"model": "gpt-4"}]) == "no_price"
    assert reason([{}], model=None) == "model_unknown"
    assert reason([{}], known=[{"deployment": "other"}]) == "deployment_type_unknown"
    assert reason([{}, {}]) == "price_ambiguous"
    assert reason([{"region": "westeurope"}]) == "region_unknown"
    assert reason([{"region": "westeurope"}], region="northeurope") == "no_price"
    assert reason([{"unit": "second"}]) == "price_unit_wrong"
    assert reason([{"price": Decimal(10) ** 25}], billed_input_tokens=2**62) == "cost_too_large"


def test_a_total_without_its_parts_fits_no_price() -> None:
    row = only(costed(gold({"billed_unsplit_tokens": 5}), prices({"model": "*"}), deployments()))
    assert (row["reason"], row["cost"], row["quantity"]) == ("no_split", None, 5)


def test_the_deployments_row_gives_type_region_and_model() -> None:
    known = deployments(
        {"deployment": "chat", "deployment_type": "Standard", "region": "swedencentral", "model": "gpt-4o"},
        {},
    )
    listed = prices({"deployment_type": "Standard", "region": "swedencentral"})
    row = only(costed(gold({"billed_input_tokens": 1, "model": None}), listed, known))
    assert (row["price_id"], row["model"], row["region"]) == ("p0", "gpt-4o", "swedencentral")
    row = only(costed(gold({"billed_input_tokens": 1, "deployment": None}), listed, known))
    assert (row["deployment_type"], row["price_id"]) == ("GlobalStandard", None)


def test_a_deployments_row_of_a_model_holds_for_its_versions_and_no_other_model() -> None:
    known = deployments(
        {"deployment": "chat", "deployment_type": "Standard"},
        {"deployment": "chat", "deployment_type": "DataZoneStandard", "model": "gpt-4o"},
    )
    models = ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-mini"]
    rows = costed(gold(*({"billed_input_tokens": 1, "model": model} for model in models)), prices(), known)
    assert rows["deployment_type"].to_list() == ["DataZoneStandard", "DataZoneStandard", "Standard"]


def test_a_row_of_any_deployment_and_one_model_gives_no_other_call_its_model() -> None:
    known = deployments({}, {"deployment_type": "Standard", "model": "whisper"})
    rows = costed(
        gold(*({"billed_input_tokens": 1, "model": model} for model in (None, "whisper"))), prices(), known
    )
    assert rows.select("model", "deployment_type").rows() == [
        (None, "GlobalStandard"),
        ("whisper", "Standard"),
    ]


def test_a_deployment_changes_its_type_at_its_hour() -> None:
    known = deployments(
        {"deployment": "chat", "valid_to": HOUR},
        {"deployment": "chat", "deployment_type": "Standard", "valid_from": HOUR},
    )
    hours = [HOUR - timedelta(hours=1), HOUR]
    rows = costed(gold(*({"billed_input_tokens": 1, "hour_at": hour} for hour in hours)), prices(), known)
    assert rows["deployment_type"].to_list() == ["GlobalStandard", "Standard"]


def test_two_deployments_rows_that_fit_equally_are_no_choice() -> None:
    assert reason([{}], known=[{"deployment": "chat"}, {"deployment": "chat"}]) == "deployment_ambiguous"


def test_a_day_costs_the_same_in_whichever_order_its_rows_come() -> None:
    rows = gold(*({"user_id": str(number), "billed_input_tokens": number + 1} for number in range(50)))
    known = prices({}), deployments()
    assert costed(rows, *known).equals(costed(rows.sample(fraction=1, shuffle=True, seed=1), *known))


_quantity = st.none() | st.integers(0, 2**63 - 1) | st.integers(0, 5000)
_use = st.fixed_dictionaries(
    {
        "hour_at": st.sampled_from([HOUR, HOUR + timedelta(hours=5), datetime(2026, 3, 9, tzinfo=UTC)]),
        "model": st.sampled_from([None, "gpt-4o", "whisper"]),
        "user_id": st.sampled_from([None, "u", "v"]),
        **dict.fromkeys((*BUCKETS.values(), *ESTIMATE_COLUMNS), _quantity),
    }
)
_money = st.decimals(min_value=0, max_value=1000, places=12, allow_nan=False, allow_infinity=False)
_price = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["gpt-4o", "*"]),
        "bucket": st.sampled_from(PRICE_BUCKETS),
        "unit": st.sampled_from(sorted(PRICE_UNITS)),
        "price": _money,
        "currency": st.sampled_from(["USD", "EUR"]),
        "valid_from": st.sampled_from([None, HOUR]),
    }
)


@settings(max_examples=100, deadline=None)
@given(uses=st.lists(_use, max_size=6), listed=st.lists(_price, max_size=8))
def test_every_cost_is_what_pythons_decimals_make_of_it_and_no_quantity_is_lost(
    uses: list[Row], listed: list[Row]
) -> None:
    found = costed(gold(*uses), prices(*listed), deployments())
    for row in found.iter_rows(named=True):
        for quantity, cost in (("quantity", "cost"), ("estimated_quantity", "estimated_cost")):
            assert row[cost] == expected(row[quantity], row["price"], row["unit"])
        assert (row["price_id"] is None) == (row["reason"] is not None)
    for bucket, column in BUCKETS.items():
        assert of(found, bucket, "quantity") == sum(use[column] or 0 for use in uses)
    for bucket, column in zip(("input", "output"), ESTIMATE_COLUMNS, strict=True):
        assert of(found, bucket, "estimated_quantity") == sum(use[column] or 0 for use in uses)


def expected(quantity: int | None, price: Decimal | None, unit: str | None) -> Decimal | None:
    if quantity is None or price is None or unit is None:
        return None
    with localcontext() as context:
        context.prec = 100
        return (quantity * price / PRICE_UNITS[unit]).quantize(Decimal("1e-12"), ROUND_HALF_EVEN)


def of(costs: pl.DataFrame, bucket: str, column: str) -> int:
    return sum(costs.filter(pl.col("bucket") == bucket)[column].drop_nulls().to_list())
