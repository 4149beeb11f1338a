"""A month's statement: whose, how much, what it lacks; it adds up to gold, in whatever parts it is made."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.charge.attribution import attributed
from oai_usage_pipeline.charge.chargeback import COUNTS, QUANTITIES, contributions, statement, statement_of
from oai_usage_pipeline.charge.deployments import filled
from oai_usage_pipeline.tables import (
    BUCKETS,
    CHARGEBACK_MONTHLY,
    IDLE_CAPACITY,
    UNATTRIBUTED,
    UNPRICED_BUCKETS,
)
from oai_usage_pipeline_tests.charge.frames import (
    END_OF_DAY,
    HOUR,
    MONTH,
    Row,
    costed,
    deployments,
    gold,
    prices,
    subscriptions,
)
from oai_usage_pipeline_tests.charge.test_provisioned import ONE_HOUR, PTU, RATE

LISTED: list[Row] = [{}, {"bucket": "output", "price": Decimal(10)}]


def stated(
    *uses: Row,
    owners: list[Row] | None = None,
    listed: list[Row] | None = None,
) -> list[Row]:
    rows, costs = priced(*uses, listed=LISTED if listed is None else listed)
    known = subscriptions({}) if owners is None else subscriptions(*owners)
    return statement(rows, costs, known, MONTH).to_dicts()


def priced(*uses: Row, listed: list[Row]) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = filled(gold(*uses), deployments())
    return rows, costed(rows, prices(*listed), deployments())


def test_a_statement_tells_calls_tokens_and_money_of_a_team_and_model() -> None:
    [row] = stated(
        {"billed_input_tokens": 1000, "billed_output_tokens": 100, "request_count": 3},
        {"hour_at": HOUR + timedelta(days=1), "billed_input_tokens": 1000, "request_count": 2},
        {"request_count": 4, "unmetered_count": 1, "estimated_count": 1, "estimated_input_tokens": 700},
    )
    assert (row["team"], row["cost_centre"], row["model"], row["currency"]) == (
        "search",
        "100",
        "gpt-4o",
        "USD",
    )
    assert (row["request_count"], row["unmetered_count"], row["estimated_count"]) == (9, 1, 1)
    assert (row["billed_input_tokens"], row["billed_output_tokens"]) == (2000, 100)
    assert (row["billed_cached_input_tokens"], row["unpriced_tokens"]) == (None, None)
    assert (row["cost"], row["estimated_cost"]) == (Decimal("0.006"), Decimal("0.00175"))
    assert row["estimated_share"] == pytest.approx(700 / 2800)
    assert (row["usage_month"], row["entry"], row["entry_date"]) == (MONTH, "usage", None)
    assert row["reason"] is None


def test_a_subscription_changes_hands_at_its_instant() -> None:
    owners: list[Row] = [{"valid_to": HOUR}, {"team": "ads", "valid_from": HOUR}]
    uses = [{"hour_at": HOUR + timedelta(hours=number)} for number in (-1, 0, 5)]
    found = {row["team"]: row["request_count"] for row in stated(*uses, owners=owners)}
    assert found == {"search": 1, "ads": 2}


def test_callers_without_an_owner_are_unattributed_and_never_dropped() -> None:
    nobodys: list[Row] = [
        {"subscription": None},
        {"subscription": "unknown"},
        {"hour_at": HOUR - timedelta(days=9)},
    ]
    [row] = stated(*nobodys, owners=[{"valid_from": HOUR}])
    assert (row["team"], row["cost_centre"], row["request_count"]) == (UNATTRIBUTED, None, 3)


def test_two_owners_at_once_are_no_choice() -> None:
    [row] = stated({}, owners=[{}, {"team": "ads"}])
    assert (row["team"], row["request_count"]) == (UNATTRIBUTED, 1)


def test_attribution_keeps_rows_and_their_order() -> None:
    rows = gold(*({"subscription": name} for name in ("b", "s", None, "s")))
    found = attributed(rows, subscriptions({}))
    assert found["subscription"].to_list() == ["b", "s", None, "s"]
    assert found["team"].to_list() == [UNATTRIBUTED, "search", UNATTRIBUTED, "search"]


def test_what_has_no_price_stands_beside_the_cost_of_the_rest() -> None:
    [row] = stated({"billed_input_tokens": 1000, "billed_audio_input_tokens": 77})
    assert (row["cost"], row["unpriced_tokens"], row["reason"]) == (Decimal("0.0025"), 77, "no_price")
    [row] = stated({"billed_input_tokens": 1000, "model": None}, listed=[])
    assert (row["cost"], row["unpriced_tokens"], row["reason"]) == (None, 1000, "model_unknown")
    assert row["currency"] is None


def test_quantities_of_different_units_are_never_added_up() -> None:
    quantities = {
        "billed_input_tokens": 1,
        "billed_output_tokens": 2,
        "billed_audio_ms": 40_000,
        "billed_image_count": 5,
        "billed_character_count": 600,
    }
    [row] = stated(quantities, listed=[])
    assert {name: row[name] for name in UNPRICED_BUCKETS} == {
        "unpriced_tokens": 3,
        "unpriced_audio_ms": 40_000,
        "unpriced_image_count": 5,
        "unpriced_character_count": 600,
    }


def test_idle_units_without_a_price_are_no_unpriced_quantity_and_used_ones_are() -> None:
    rows, known = gold({"billed_input_tokens": 10}), deployments(PTU | ONE_HOUR | {"valid_to": END_OF_DAY})
    found = statement(filled(rows, known), costed(rows, prices(), known), subscriptions({}), MONTH)
    idle, used = found.to_dicts()
    assert (idle["team"], idle["reason"]) == (IDLE_CAPACITY, "no_price")
    assert [idle[name] for name in UNPRICED_BUCKETS] == [None] * 4
    assert [used[name] for name in UNPRICED_BUCKETS] == [10, None, None, None]


def test_what_has_no_price_is_in_the_statements_only_currency() -> None:
    uses: list[Row] = [{"billed_input_tokens": 1}, {"model": "whisper", "billed_audio_ms": 5}]
    assert [row["currency"] for row in stated(*uses)] == ["USD", "USD"]
    euros: list[Row] = [*LISTED, {"model": "e", "currency": "EUR"}]
    found = stated(*uses, {"model": "e", "billed_input_tokens": 1}, listed=euros)
    assert {row["model"]: row["currency"] for row in found} == {"e": "EUR", "gpt-4o": "USD", "whisper": None}


def test_currencies_are_never_added_up_and_calls_are_counted_once() -> None:
    listed: list[Row] = [{"region": "westeurope", "currency": "EUR"}, {"region": "eastus"}]
    use = {"billed_input_tokens": 1000, "request_count": 5}
    found = stated(use | {"region": "westeurope"}, use | {"region": "eastus"}, use, listed=listed)
    assert [(row["currency"], row["cost"], row["request_count"]) for row in found] == [
        (None, None, 5),
        ("EUR", Decimal("0.0025"), 5),
        ("USD", Decimal("0.0025"), 5),
    ]
    unpriced = use | {"region": "eastus", "billed_audio_input_tokens": 7}
    found = stated(use | {"region": "westeurope"}, unpriced, listed=listed)
    assert [(row["currency"], row["unpriced_tokens"]) for row in found] == [("EUR", None), ("USD", 7)]
    mixed: list[Row] = [{"currency": "EUR"}, {"bucket": "output"}]
    found = stated(use | {"billed_output_tokens": 1}, listed=mixed)
    assert [(row["currency"], row["request_count"], row["billed_input_tokens"]) for row in found] == [
        ("EUR", 5, 1000),
        ("USD", 0, None),
    ]
    assert all(row["cost"] is not None for row in found)


def test_idle_capacity_is_a_line_of_its_own() -> None:
    rows, known = (
        gold({"billed_input_tokens": 10}),
        deployments(PTU | ONE_HOUR | {"capacity_tokens_per_hour": 40}),
    )
    costs = costed(rows, prices(RATE), known)
    idle, used = statement(filled(rows, known), costs, subscriptions({}), MONTH).to_dicts()
    assert (idle["team"], idle["cost"], idle["request_count"]) == (IDLE_CAPACITY, Decimal("37.5"), 0)
    assert (used["team"], used["cost"], used["request_count"]) == ("search", Decimal("12.5"), 1)
    assert (used["billed_input_tokens"], used["unpriced_tokens"]) == (10, None)


def test_a_month_without_calls_has_no_lines() -> None:
    found = statement(gold(), costed(gold(), prices(), deployments()), subscriptions({}), MONTH)
    assert found.equals(CHARGEBACK_MONTHLY.empty())
    assert found.schema == pl.Schema(CHARGEBACK_MONTHLY.schema)


def test_a_count_beyond_64_bits_reads_the_ceiling_and_never_wraps() -> None:
    [row] = stated(*({"user_id": user, "billed_input_tokens": 2**63 - 1} for user in "ab"), listed=[])
    assert (row["billed_input_tokens"], row["unpriced_tokens"]) == (2**63 - 1, 2**63 - 1)


_count = st.none() | st.integers(0, 10**6)
uses = st.lists(
    st.fixed_dictionaries(
        {
            "hour_at": st.sampled_from([HOUR, HOUR + timedelta(hours=1), datetime(2026, 3, 1, tzinfo=UTC)]),
            "subscription": st.sampled_from(["s", "t", None]),
            "model": st.sampled_from([None, "gpt-4o", "whisper"]),
            "region": st.sampled_from([None, "westeurope"]),
            "request_count": st.integers(1, 9),
            **dict.fromkeys(QUANTITIES, _count),
        }
    ),
    max_size=8,
    # Gold has one row for each of these.
    unique_by=lambda use: tuple(use[name] for name in ("hour_at", "subscription", "model", "region")),
)
MIXED: list[Row] = [
    *LISTED,
    {"bucket": "audio_duration", "unit": "minute", "model": "*", "price": Decimal("0.007")},
    {"region": "westeurope", "currency": "EUR", "bucket": "input"},
]
OWNERS: list[Row] = [{"valid_to": HOUR}, {"team": "ads", "cost_centre": None, "valid_from": HOUR}]


@settings(max_examples=40, deadline=None)
@given(uses=uses, cut=st.integers(0, 8))
def test_a_statement_adds_up_to_gold_and_cost_in_whatever_parts_it_is_made(uses: list[Row], cut: int) -> None:
    rows, costs = priced(*uses, listed=MIXED)
    whole = statement(rows, costs, subscriptions(*OWNERS), MONTH)
    for name in (*COUNTS, *QUANTITIES):
        assert whole[name].sum() == rows[name].sum(), name
    for name in ("cost", "estimated_cost"):
        by_currency = [frame.group_by("currency").agg(pl.col(name).sum()) for frame in (whole, costs)]
        sums = [dict(each.drop_nulls().iter_rows()) for each in by_currency]
        nonzero = [{key: value for key, value in each.items() if value} for each in sums]
        assert nonzero[0] == nonzero[1], name
    unpriced = costs.filter(pl.col("price_id").is_null())
    for column, buckets in UNPRICED_BUCKETS.items():
        assert whole[column].sum() == unpriced.filter(pl.col("bucket").is_in(buckets))["quantity"].sum()
    parts = [priced(*part, listed=MIXED) for part in (uses[cut:], uses[:cut])]
    known = subscriptions(*OWNERS)
    assert whole.equals(statement_of([contributions(*part, known) for part in parts], MONTH))


def test_all_buckets_of_gold_are_in_a_statement() -> None:
    [row] = stated(dict.fromkeys(BUCKETS.values(), 2))
    assert [row[column] for column in BUCKETS.values()] == [2] * len(BUCKETS)
