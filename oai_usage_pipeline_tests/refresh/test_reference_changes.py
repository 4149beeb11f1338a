"""Reference data that change while days are being done, and that change back: nothing stays wrong."""

from decimal import Decimal
from pathlib import Path

import pytest

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.chargeback import ChargebackMonthly
from oai_usage_pipeline.refresh.cost import CostReference, UsageCostHourly
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.statement import MonthSources
from oai_usage_pipeline.tables import PRICES, SUBSCRIPTIONS
from oai_usage_pipeline_tests.charge.frames import prices, subscriptions
from oai_usage_pipeline_tests.refresh.books import Books

USE = {"billed_input_tokens": 1_000_000}


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(Lake(str(tmp_path / "lake")))


def test_a_price_that_is_taken_back_half_way_leaves_no_day_wrong(books: Books) -> None:
    for day in (10, 11):
        books.use(day, USE)
    books.refresh_cost()
    before = books.rows(PRICES)
    books.know(PRICES, prices({"price": 100}))
    refresh_days(books.lake, UsageCostHourly(lambda: books.now), ["2026-03-10"])
    assert sorted(books.cost()["cost"]) == [Decimal("2.5"), Decimal(100)]
    books.know(PRICES, before)
    assert books.refresh_cost() == ["2026-03-10"]
    assert books.cost()["cost"].to_list() == [Decimal("2.5"), Decimal("2.5")]
    assert books.refresh_cost() == []


def test_an_owner_who_is_taken_back_half_way_leaves_no_month_wrong(books: Books) -> None:
    books.use(10, USE)
    books.refresh_cost()
    books.refresh_chargeback()
    books.know(SUBSCRIPTIONS, subscriptions({"team": "wrong"}))
    refresh_days(books.lake, ChargebackMonthly(lambda: books.now), ["2026-03-01"])
    books.know(SUBSCRIPTIONS, subscriptions({}))
    assert books.refresh_chargeback() == ["2026-03-01"]
    assert books.refresh_chargeback() == []


def test_gold_that_moves_while_a_day_is_priced_is_priced_next_time(books: Books) -> None:
    books.use(10, USE)
    books.refresh_cost()

    class Overtaken(UsageCostHourly):
        def reference(self, lake: Lake, source: LakeTable) -> CostReference:
            books.use(11, USE)
            return super().reference(lake, source)

    refresh_days(books.lake, Overtaken(lambda: books.now), ["2026-03-10", "2026-03-11"])
    assert books.refresh_cost() == ["2026-03-11"]
    assert books.cost()["cost"].sum() == Decimal(5)


def test_cost_that_moves_while_a_month_is_stated_is_stated_next_time(books: Books) -> None:
    books.use(10, USE)
    books.refresh_cost()

    class Overtaken(ChargebackMonthly):
        def reference(self, lake: Lake, source: LakeTable) -> MonthSources:
            books.use(11, USE)
            books.refresh_cost()
            return super().reference(lake, source)

    refresh_days(books.lake, Overtaken(lambda: books.now), ["2026-03-01"])
    assert books.refresh_chargeback() == ["2026-03-01"]
    assert books.chargeback()["cost"].sum() == Decimal(5)
    assert stale_days(books.lake, ChargebackMonthly(lambda: books.now)) == []
