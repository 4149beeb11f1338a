"""A new price list beside the prices of before: they end, go on, or are named as wrong; none is lost."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.reference.price_conflicts import conflicts
from oai_usage_pipeline.reference.price_history import merge
from oai_usage_pipeline.reference.price_list import Price

MONTHS = [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 7)]
JANUARY, FEBRUARY, MARCH, APRIL, *_ = MONTHS


def price(amount: str, begins: datetime, region: str = "*", ends: datetime | None = None) -> Price:
    return Price(
        "gpt-4.1", "DataZoneStandard", region, None, "input", None, None,
        "1M tokens", Decimal(amount), "USD", begins, ends, "a meter",
    )  # fmt: skip


def amount_at(prices: list[Price], region: str, at: datetime) -> Decimal | None:
    """As charging looks it up: the region's own price before that of everywhere."""
    fitting = [
        each
        for each in prices
        if each.region in ("*", region)
        and (each.valid_from is None or each.valid_from <= at)
        and (each.valid_to is None or at < each.valid_to)
    ]
    own = [each for each in fitting if each.region == region] or fitting
    return own[0].price if own else None


def test_the_same_list_again_changes_nothing() -> None:
    listed = [price("2", JANUARY), replace(price("3", JANUARY), bucket="output")]
    merged = merge(listed, listed)
    assert sorted(merged.prices, key=str) == sorted(listed, key=str)
    assert (merged.added, merged.ended, merged.corrected, merged.unlisted) == ([], [], [], [])


def test_a_new_price_ends_the_old_one() -> None:
    merged = merge([price("2", JANUARY)], [price("3", MARCH)])
    assert merged.prices == [price("2", JANUARY, ends=MARCH), price("3", MARCH)]
    assert (merged.ended, merged.added) == ([price("2", JANUARY, ends=MARCH)], [price("3", MARCH)])


def test_the_same_amount_from_a_later_day_is_still_the_price_of_before() -> None:
    assert merge([price("2", JANUARY)], [price("2.0", MARCH)]).prices == [price("2", JANUARY)]


def test_a_price_that_is_no_longer_listed_goes_on_and_is_named() -> None:
    merged = merge([price("2", JANUARY)], [])
    assert merged.prices == merged.unlisted == [price("2", JANUARY)]


def test_what_was_never_right_is_named_as_corrected() -> None:
    merged = merge([price("2", FEBRUARY)], [price("3", JANUARY)])
    assert merged.prices == [price("3", JANUARY)]
    assert merged.corrected == [price("2", FEBRUARY)]


def test_a_region_that_becomes_dearer_leaves_the_past_and_the_others_alone() -> None:
    listed = [price("2", JANUARY, "eastus"), price("3", MARCH, "japaneast")]
    merged = merge([price("2", JANUARY)], listed)
    assert amount_at(merged.prices, "japaneast", FEBRUARY) == 2
    assert amount_at(merged.prices, "japaneast", MARCH) == 3
    assert amount_at(merged.prices, "eastus", APRIL) == 2
    assert amount_at(merged.prices, "elsewhere", FEBRUARY) == 2
    assert amount_at(merged.prices, "elsewhere", APRIL) is None
    assert merged.corrected == []
    assert sorted(merge(merged.prices, listed).prices, key=str) == sorted(merged.prices, key=str)


def test_regions_that_come_to_one_price_keep_their_past() -> None:
    earlier = [price("2", JANUARY, "eastus"), price("3", JANUARY, "japaneast")]
    merged = merge(earlier, [price("2.5", MARCH)])
    assert [amount_at(merged.prices, region, FEBRUARY) for region in ("eastus", "japaneast")] == [2, 3]
    assert amount_at(merged.prices, "japaneast", MARCH) == Decimal("2.5")


amounts = st.sampled_from(["1", "2"])
regions = st.sampled_from([("*",), ("eastus", "japaneast"), ("eastus",)])


@st.composite
def lists(draw: st.DrawFn) -> list[Price]:
    """A list as Azure has one: for each region the price since some month."""
    return [price(draw(amounts), draw(st.sampled_from(MONTHS)), region) for region in draw(regions)]


@given(st.lists(lists(), min_size=1, max_size=5))
def test_however_lists_follow_each_other_no_two_prices_are_equally_good(history: list[list[Price]]) -> None:
    prices: list[Price] = []
    for listed in history:
        prices = merge(prices, listed).prices
        assert list(conflicts(enumerate(prices))) == []
        for each in listed:
            assert amount_at(prices, each.region, MONTHS[-1]) == each.price
        assert sorted(merge(prices, listed).prices, key=str) == sorted(prices, key=str)


@given(st.lists(lists(), min_size=2, max_size=5))
def test_a_list_changes_nothing_before_its_own_first_day(history: list[list[Price]]) -> None:
    prices = history[0]
    for listed in history[1:]:
        before, prices = prices, merge(prices, listed).prices
        first = min(each.valid_from or JANUARY for each in listed)
        for at in (month for month in MONTHS if month < first):
            for region in ("eastus", "japaneast", "elsewhere"):
                assert amount_at(prices, region, at) == amount_at(before, region, at)
