"""Adjustments bring a closed month to what a fresh statement says, once, and say why."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.charge.adjustments import adjustments
from oai_usage_pipeline.charge.chargeback import FIGURES, statement
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
    assert {gone["reason"], new["reason"]} == {"price or attribution changed"}


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
        rows = pl.concat([rows, adjustments(rows, fresh, LATER)])
        assert sums(rows) == sums(fresh)
        assert adjustments(rows, fresh, LATER).is_empty()
