"""Cost follows gold and dated prices: only the days that are concerned, and idle hours as they pass."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.cost import UsageCostHourly
from oai_usage_pipeline.tables import DEPLOYMENTS, PRICES, TOKEN_USAGE_HOURLY, USAGE_COST_HOURLY
from oai_usage_pipeline_tests.charge.frames import deployments, gold, prices
from oai_usage_pipeline_tests.charge.test_provisioned import PTU, RATE
from oai_usage_pipeline_tests.refresh.books import Books

USE = {"billed_input_tokens": 1_000_000}


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(Lake(str(tmp_path / "lake")))


def test_a_day_is_priced_once_and_then_left_alone(books: Books) -> None:
    books.use(10, USE)
    assert books.refresh_cost() == ["2026-03-10"]
    assert books.cost()["cost"].to_list() == [Decimal("2.5")]
    version = books.lake.table(USAGE_COST_HOURLY).version
    assert books.refresh_cost() == []
    assert books.lake.table(USAGE_COST_HOURLY).version == version


def test_only_days_that_gold_changed_are_priced_again(books: Books) -> None:
    for day in (10, 11):
        books.use(day, USE)
    books.refresh_cost()
    books.use(11, USE | {"user_id": "late"})
    assert books.refresh_cost() == ["2026-03-11"]
    assert books.cost()["cost"].sum() == Decimal("7.5")


def test_a_corrected_price_makes_only_its_own_days_stale(books: Books) -> None:
    for day in (10, 11, 12):
        books.use(day, USE)
    books.refresh_cost()
    noon = datetime(2026, 3, 11, 12, tzinfo=UTC)
    books.know(PRICES, prices({"valid_to": noon}, {"valid_from": noon, "price": Decimal(3)}))
    # The output price is gone too, which every day knew of.
    assert books.refresh_cost() == ["2026-03-10", "2026-03-11", "2026-03-12"]
    books.know(PRICES, prices({"valid_to": noon}, {"valid_from": noon, "price": Decimal(4)}))
    assert books.refresh_cost() == ["2026-03-11", "2026-03-12"]
    assert books.cost().sort("hour_at")["cost"].to_list() == [Decimal("2.5"), Decimal("2.5"), Decimal(4)]


def test_the_same_prices_landed_again_make_nothing_stale(books: Books) -> None:
    books.use(10, USE)
    books.refresh_cost()
    books.know(PRICES, books.rows(PRICES).reverse())
    assert books.refresh_cost() == []


def test_an_unpriced_day_is_priced_when_its_deployment_is_known(books: Books) -> None:
    books.know(DEPLOYMENTS, deployments({"deployment": "other"}))
    books.use(10, USE)
    books.refresh_cost()
    assert books.cost()["reason"].to_list() == ["deployment_type_unknown"]
    books.know(DEPLOYMENTS, deployments())
    assert books.refresh_cost() == ["2026-03-10"]
    assert books.cost()["cost"].to_list() == [Decimal("2.5")]


def test_a_day_without_quantities_costs_nothing_and_is_up_to_date(books: Books) -> None:
    books.use(10, {"failed_count": 1})
    assert books.refresh_cost() == ["2026-03-10"]
    assert books.cost().is_empty()
    assert books.refresh_cost() == []


def test_a_day_that_gold_lost_costs_nothing_any_more(books: Books) -> None:
    books.use(10, USE)
    books.use(11, USE)
    books.refresh_cost()
    books.lake.table(TOKEN_USAGE_HOURLY).replace_day("2026-03-10", gold(), {})
    assert books.refresh_cost() == ["2026-03-10"]
    assert books.cost()["usage_date"].cast(pl.String).to_list() == ["2026-03-11"]


def test_idle_provisioned_hours_cost_as_they_end_also_on_days_without_calls(books: Books) -> None:
    books.know(DEPLOYMENTS, deployments({}, PTU | {"valid_from": datetime(2026, 3, 10, 20, tzinfo=UTC)}))
    books.know(PRICES, prices({}, RATE))
    books.use(10, USE | {"deployment": "other"})
    books.now = datetime(2026, 3, 12, 2, 59, tzinfo=UTC)
    assert books.refresh_cost() == ["2026-03-10", "2026-03-11", "2026-03-12"]
    idle = books.cost().filter(pl.col("bucket") == "provisioned_idle")
    assert dict(idle.group_by("usage_date").len().sort("usage_date").iter_rows()) == {
        datetime(2026, 3, 10).date(): 4,
        datetime(2026, 3, 11).date(): 24,
        datetime(2026, 3, 12).date(): 2,
    }
    assert books.refresh_cost() == []
    books.now = datetime(2026, 3, 12, 3, tzinfo=UTC)
    assert books.refresh_cost() == ["2026-03-12"]
    assert len(books.cost().filter(pl.col("bucket") == "provisioned_idle")) == 31


def test_idle_hours_count_from_the_first_hour_of_the_units_with_or_without_gold(books: Books) -> None:
    since = datetime(2026, 3, 8, 12, tzinfo=UTC)
    books.know(DEPLOYMENTS, deployments(PTU | {"valid_from": since}))
    books.know(PRICES, prices(RATE))
    books.lake.table(TOKEN_USAGE_HOURLY)
    books.now = datetime(2026, 3, 9, 3, tzinfo=UTC)
    assert books.refresh_cost() == ["2026-03-08", "2026-03-09"]
    assert books.cost()["cost"].sum() == (12 + 3) * 50


def test_a_call_dated_years_ago_makes_no_years_of_idle_hours(books: Books) -> None:
    books.know(DEPLOYMENTS, deployments({}, PTU))
    books.know(PRICES, prices({}, RATE))
    wrong = gold(USE | {"hour_at": datetime(2023, 1, 1, 5, tzinfo=UTC)})
    books.lake.table(TOKEN_USAGE_HOURLY).replace_day("2023-01-01", wrong, {})
    books.now = datetime(2026, 3, 10, 2, tzinfo=UTC)
    assert books.refresh_cost() == ["2023-01-01", "2026-03-10"]
    assert books.cost()["bucket"].to_list().count("provisioned_idle") == 2


def test_an_idle_day_that_gets_its_first_calls_is_shared_out_among_them(books: Books) -> None:
    books.know(DEPLOYMENTS, deployments(PTU))
    books.know(PRICES, prices(RATE))
    books.use(10, USE)
    books.now = datetime(2026, 3, 11, 12, tzinfo=UTC)
    assert books.refresh_cost() == ["2026-03-10", "2026-03-11"]
    books.use(11, USE)
    assert books.refresh_cost() == ["2026-03-11"]
    shared = books.cost().filter(pl.col("bucket") == "provisioned")
    assert shared["cost"].to_list() == [Decimal(50), Decimal(50)]
    assert books.cost()["cost"].sum() == (24 + 12) * 50


def test_the_increments_equal_a_rebuild_from_nothing(books: Books, tmp_path: Path) -> None:
    books.know(DEPLOYMENTS, deployments({}, PTU | {"deployment": "ptu"}))
    books.know(PRICES, prices(RATE))
    books.now = datetime(2026, 3, 12, 7, tzinfo=UTC)
    for number, day in enumerate((10, 12, 10, 11)):
        books.use(day, USE | {"user_id": str(number)}, {"deployment": "ptu", "billed_output_tokens": number})
        books.refresh_cost()
    books.know(PRICES, prices({}, RATE))
    books.refresh_cost()
    again = Books(Lake(str(tmp_path / "again")), books.now)
    for contract in (DEPLOYMENTS, PRICES):
        again.know(contract, books.rows(contract))
    for day, rows in books.days.items():
        again.use(day, *rows)
    again.refresh_cost()
    assert again.cost().equals(books.cost())


def test_extending_prices_the_day_as_a_whole_since_a_share_depends_on_all_rows_of_an_hour(
    books: Books,
) -> None:
    books.use(10, USE)
    derivation = UsageCostHourly(lambda: books.now)
    source = books.lake.table(TOKEN_USAGE_HOURLY)
    for _ in range(2):
        reference = derivation.reference(books.lake, source)
        target = books.lake.table(USAGE_COST_HOURLY)
        derivation.extend(target, "2026-03-10", source, iter(()), {}, reference)
    assert books.cost()["cost"].to_list() == [Decimal("2.5")]
