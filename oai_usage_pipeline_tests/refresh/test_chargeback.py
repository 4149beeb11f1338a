"""Chargeback follows cost: open months move, closed ones only gain dated adjustments."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.errors import LakeUnavailable, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chargeback import ChargebackMonthly
from oai_usage_pipeline.refresh.closing import close_month, restate_month
from oai_usage_pipeline.refresh.statement import MonthSources
from oai_usage_pipeline.tables import (
    CHARGEBACK_MONTHLY,
    PRICES,
    SUBSCRIPTIONS,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
)
from oai_usage_pipeline_tests.charge.frames import gold, prices, subscriptions
from oai_usage_pipeline_tests.refresh.books import APRIL_9, MARCH, Books

USE = {"billed_input_tokens": 1_000_000}


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(Lake(str(tmp_path / "lake")))


@pytest.fixture
def closed(books: Books) -> Books:
    """March, closed with one call of 2.50 USD."""
    books.use(10, USE)
    books.refresh()
    close_month(books.lake, MARCH, "Ada", APRIL_9)
    return books


def test_an_open_month_is_stated_anew(books: Books) -> None:
    books.use(10, USE)
    assert books.refresh() == ["2026-03-10", "2026-03-01"]
    books.use(11, USE)
    assert books.refresh() == ["2026-03-11", "2026-03-01"]
    [row] = books.chargeback().to_dicts()
    assert (row["entry"], row["team"], row["cost"], row["request_count"]) == ("usage", "search", 5, 2)
    version = books.lake.table(CHARGEBACK_MONTHLY).version
    assert books.refresh() == []
    assert books.lake.table(CHARGEBACK_MONTHLY).version == version


def test_calls_that_cost_nothing_are_counted_all_the_same(books: Books) -> None:
    books.use(10, {"failed_count": 1})
    assert books.refresh_cost() == ["2026-03-10"]
    assert books.refresh_chargeback() == ["2026-03-01"]
    books.use(10, {"failed_count": 1, "user_id": "late"})
    books.refresh_cost()
    assert books.refresh_chargeback() == ["2026-03-01"]
    assert books.chargeback().select("request_count", "cost").rows() == [(2, None)]


def test_another_owner_makes_only_his_months_stale(books: Books) -> None:
    february = gold(USE | {"hour_at": datetime(2026, 2, 3, 4, tzinfo=UTC)})
    books.lake.table(TOKEN_USAGE_HOURLY).replace_day("2026-02-03", february, {})
    books.use(10, USE)
    assert books.refresh()[-2:] == ["2026-02-01", "2026-03-01"]
    handover = datetime(2026, 3, 1, tzinfo=UTC)
    books.know(SUBSCRIPTIONS, subscriptions({"valid_to": handover}, {"team": "ads", "valid_from": handover}))
    books.refresh()
    books.know(SUBSCRIPTIONS, subscriptions({"valid_to": handover}, {"team": "art", "valid_from": handover}))
    assert books.refresh() == ["2026-03-01"]
    assert books.chargeback().select("usage_month", "team").rows() == [
        (datetime(2026, 2, 1).date(), "search"),
        (MARCH, "art"),
    ]


def test_a_late_event_of_a_closed_month_becomes_an_adjustment(closed: Books) -> None:
    before = closed.chargeback()
    closed.use(11, USE)
    closed.refresh()
    added = closed.chargeback().join(before, on="entry", how="anti").to_dicts()
    assert [(row["entry"], row["entry_date"], row["cost"], row["request_count"]) for row in added] == [
        ("adjustment", APRIL_9.date(), Decimal("2.5"), 1)
    ]
    assert added[0]["reason"] == "late events"
    assert closed.chargeback().filter(pl.col("entry") == "usage").equals(before)


def test_a_corrected_price_of_a_closed_month_becomes_an_adjustment(closed: Books) -> None:
    closed.know(PRICES, prices({"price": Decimal(2)}))
    closed.refresh()
    assert closed.chargeback()["cost"].sort().to_list() == [Decimal("-0.5"), Decimal("2.5")]


def test_a_late_event_and_a_changed_price_in_one_refresh_are_two_adjustments(closed: Books) -> None:
    closed.know(PRICES, prices({"price": Decimal(5)}))
    closed.use(12, USE)
    closed.refresh()
    found = closed.chargeback().filter(entry="adjustment").sort("reason")
    assert found.select("reason", "request_count", "cost").rows() == [
        ("late events", 1, Decimal(5)),
        ("price or attribution changed", None, Decimal("2.5")),
    ]


def test_a_closed_month_that_adds_up_gains_nothing_and_is_up_to_date(closed: Books) -> None:
    closed.use(11, USE)
    closed.refresh()
    stands = closed.chargeback()
    closed.know(SUBSCRIPTIONS, subscriptions({"owner": "someone else"}))
    assert closed.refresh() == ["2026-03-01"]
    assert closed.refresh() == []
    assert closed.chargeback().equals(stands)


def test_open_months_move_beside_closed_ones(closed: Books) -> None:
    april = gold(USE | {"hour_at": datetime(2026, 4, 2, 4, tzinfo=UTC)})
    for rows in (april, pl.concat([april, april])):
        closed.lake.table(TOKEN_USAGE_HOURLY).replace_day("2026-04-02", rows, {})
        assert closed.refresh()[-1] == "2026-04-01"
    assert closed.chargeback().select("usage_month", "entry", "cost").rows() == [
        (MARCH, "usage", Decimal("2.5")),
        (datetime(2026, 4, 1).date(), "usage", Decimal(5)),
    ]


class ClosedMeanwhile(MonthSources):
    """Sources of a month that a person closes while its statement is being made."""

    def statement(self, month: date) -> pl.DataFrame:
        made = super().statement(month)
        close_month(self.lake, month, "Ada", APRIL_9)
        return made


def test_a_refresh_during_which_the_month_is_closed_is_refused_by_delta(books: Books) -> None:
    books.use(10, USE)
    books.refresh()
    target = books.lake.table(CHARGEBACK_MONTHLY)
    cost, sources = books.lake.table(USAGE_COST_HOURLY), ClosedMeanwhile.read(books.lake)
    with pytest.raises(PositionConflict, match="another writer committed first"):
        ChargebackMonthly().rebuild(target, "2026-03-01", cost, {}, sources)
    with pytest.raises(PositionConflict, match="closed meanwhile"):
        ChargebackMonthly().rebuild(target, "2026-03-01", cost, {}, MonthSources.read(books.lake))
    assert books.chargeback()["entry"].to_list() == ["usage"]


def test_a_chargeback_table_made_anew_doesnt_open_a_closed_month(closed: Books) -> None:
    (Path(closed.lake.location) / CHARGEBACK_MONTHLY.name).rename(Path(closed.lake.location) / "lost")
    with pytest.raises(LakeUnavailable, match=r"closed by Ada .* doesn't know of it"):
        closed.refresh()
    assert closed.chargeback().is_empty()
    restate_month(closed.lake, MARCH, "Ada", "the table was lost", APRIL_9)
    closed.refresh()
    assert closed.chargeback()["cost"].to_list() == [Decimal("2.5")]
