"""Adjustments bring a closed month to what a fresh statement says, once, and say why."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.charge.adjustments import (
    BOTH,
    LATE_EVENTS,
    OTHER_CURRENCY,
    PERHAPS_BOTH,
    PRICE_OR_OWNER,
    adjustments,
)
from oai_usage_pipeline.charge.chargeback import FIGURES, statement
from oai_usage_pipeline.charge.rates import Rates, rates_of, rates_of_day
from oai_usage_pipeline.tables import CHARGEBACK_DIMENSIONS, CHARGEBACK_MONTHLY
from oai_usage_pipeline_tests.charge.frames import MONTH, Row, subscriptions
from oai_usage_pipeline_tests.charge.test_chargeback import LISTED, OWNERS, priced, uses

LATER = date(2026, 4, 9)

USE = {"billed_input_tokens": 1000, "request_count": 2}


def stated(
    *made: Row,
    listed: list[Row] | None = None,
    owners: list[Row] | None = None,
) -> pl.DataFrame:
    known = subscriptions(*(owners or [{}]))
    return statement(*priced(*made, listed=LISTED if listed is None else listed), known, MONTH)


def sums(rows: pl.DataFrame) -> dict[tuple[Any, ...], Row]:
    """The figures of each line that has any, null counted as nothing."""
    added = rows.group_by(CHARGEBACK_DIMENSIONS).agg(pl.col(FIGURES).sum())
    lines = {
        tuple(row[name] for name in CHARGEBACK_DIMENSIONS): {name: row[name] for name in FIGURES if row[name]}
        for row in added.iter_rows(named=True)
    }
    return {key: figures for key, figures in lines.items() if figures}


def test_nothing_is_adjusted_where_nothing_moved() -> None:
    found = adjustments(stated(USE), stated(USE), LATER)
    assert found.is_empty()
    assert found.schema == pl.Schema(CHARGEBACK_MONTHLY.schema)


def test_late_events_are_added_in_a_dated_row() -> None:
    late = {"user_id": "late", "billed_input_tokens": 400}
    [row] = adjustments(stated(USE), stated(USE, late), LATER).to_dicts()
    assert (row["entry"], row["entry_date"], row["reason"]) == ("adjustment", LATER, "late events")
    assert (row["request_count"], row["billed_input_tokens"]) == (1, 400)
    assert (row["cost"], row["estimated_share"], row["billed_image_count"]) == (Decimal("0.001"), None, None)


def test_a_corrected_price_moves_only_the_money() -> None:
    [row] = adjustments(stated(USE), stated(USE, listed=[{"price": Decimal(2)}]), LATER).to_dicts()
    assert (row["cost"], row["request_count"], row["billed_input_tokens"]) == (Decimal("-0.0005"), 0, 0)
    assert row["reason"] == "price or attribution changed"


def test_a_price_that_was_missing_fills_in_what_was_unpriced() -> None:
    before, after = stated(USE, listed=[]), stated(USE)
    gone, new = adjustments(before, after, LATER).to_dicts()
    assert (gone["currency"], gone["request_count"], gone["unpriced_tokens"]) == (None, -2, -1000)
    assert (new["currency"], new["request_count"], new["cost"]) == ("USD", 2, Decimal("0.0025"))
    assert {gone["reason"], new["reason"]} == {OTHER_CURRENCY}


def rates(*made: Row, listed: list[Row]) -> Rates:
    return rates_of([rates_of_day(priced(*made, listed=listed)[1], subscriptions({}))])


CHEAPER: list[Row] = [{"price": Decimal(2)}, {"bucket": "output", "price": Decimal(10)}]
LATE = {"user_id": "late", "billed_input_tokens": 400, "billed_output_tokens": 100}


def test_late_events_and_a_corrected_price_at_once_are_a_row_each() -> None:
    fresh, now = stated(USE, LATE, listed=CHEAPER), rates(USE, LATE, listed=CHEAPER)
    late, price = adjustments(stated(USE), fresh, LATER, now).to_dicts()
    assert (late["reason"], late["request_count"], late["billed_input_tokens"]) == (LATE_EVENTS, 1, 400)
    assert late["cost"] == Decimal("0.0008") + Decimal("0.001")
    assert (price["reason"], price["cost"]) == (PRICE_OR_OWNER, Decimal("-0.0005"))
    assert (price["request_count"], price["billed_input_tokens"]) == (None, None)
    whole = pl.concat([stated(USE), adjustments(stated(USE), fresh, LATER, now)])
    assert sums(whole) == sums(fresh)
    assert adjustments(whole, fresh, LATER, now).is_empty()


def test_late_events_and_a_price_that_was_missing_at_once_are_a_row_each() -> None:
    use = USE | {"billed_output_tokens": 50}
    fresh, now = stated(use, LATE), rates(use, LATE, listed=LISTED)
    late, price = adjustments(stated(use, listed=LISTED[:1]), fresh, LATER, now).to_dicts()
    assert (late["reason"], late["unpriced_tokens"], late["cost"]) == (LATE_EVENTS, None, Decimal("0.002"))
    assert (price["unpriced_tokens"], price["cost"]) == (-50, Decimal("0.0005"))


def test_late_events_at_unchanged_prices_are_late_events_alone() -> None:
    [row] = adjustments(stated(USE), stated(USE, LATE), LATER, rates(USE, LATE, listed=LISTED)).to_dicts()
    assert row["reason"] == LATE_EVENTS


def test_a_line_of_several_prices_does_not_say_that_none_of_them_changed() -> None:
    listed: list[Row] = [{"region": "westeurope"}, {"region": "eastus", "price": Decimal(3)}]
    uses = [USE | {"region": "westeurope"}, USE | {"region": "eastus"}]
    fresh, now = stated(*uses, listed=listed), rates(*uses, listed=listed)
    [row] = adjustments(stated(uses[0], listed=listed), fresh, LATER, now).to_dicts()
    assert row["reason"] == PERHAPS_BOTH


def test_late_events_of_a_model_whose_lines_moved_to_another_team_say_both() -> None:
    owners: list[Row] = [{"team": "ads"}]
    rows = adjustments(stated(USE), stated(USE, LATE, owners=owners), LATER, rates(USE, LATE, listed=LISTED))
    assert set(rows["reason"]) == {BOTH}


def test_calls_whose_price_disappeared_say_that_they_are_in_another_line() -> None:
    rows = adjustments(stated(USE), stated(USE, listed=[]), LATER)
    assert rows.select("currency", "request_count").rows() == [(None, 2), ("USD", -2)]
    assert set(rows["reason"]) == {OTHER_CURRENCY}


def test_a_subscription_given_to_another_team_moves_its_lines() -> None:
    new_owner = [{"team": "ads"}]
    rows = adjustments(stated(USE), stated(USE, owners=new_owner), LATER)
    assert rows.select("team", "request_count", "cost").rows() == [
        ("ads", 2, Decimal("0.0025")),
        ("search", -2, Decimal("-0.0025")),
    ]
    assert set(rows["reason"]) == {"price or attribution changed"}


_owners = st.sampled_from([[{}], OWNERS, [{"subscription": "t"}], [{"team": "ads"}]])
_listed = st.sampled_from([[], LISTED, [{"price": Decimal("0.1")}], [{"currency": "EUR"}]])


@settings(max_examples=40, deadline=None)
@given(states=st.lists(st.tuples(uses, _listed, _owners), min_size=2, max_size=4))
def test_with_adjustments_a_month_adds_up_to_each_fresh_statement_and_a_second_call_gives_none(
    states: list[tuple[list[Row], list[Row], list[Row]]],
) -> None:
    made, listed, owners = states[0]
    rows = stated(*made, listed=listed, owners=owners)
    for made, listed, owners in states[1:]:
        fresh = stated(*made, listed=listed, owners=owners)
        now = rates_of([rates_of_day(priced(*made, listed=listed)[1], subscriptions(*owners))])
        rows = pl.concat([rows, adjustments(rows, fresh, LATER, now)])
        assert sums(rows) == sums(fresh)
        assert adjustments(rows, fresh, LATER, now).is_empty()
