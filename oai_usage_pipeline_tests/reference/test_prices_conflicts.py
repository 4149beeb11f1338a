"""What is refused as equally good prices is what charging would call ambiguous, and nothing else."""

from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.charge.matching import Use, matches
from oai_usage_pipeline.reference.price_conflicts import can_both_match, conflicts
from oai_usage_pipeline.reference.price_list import Price
from oai_usage_pipeline.tables import PRICES

DAYS = [datetime(2026, 4, day, tzinfo=UTC) for day in (1, 2, 3)]
PATTERNS = st.text(alphabet="ab*?", min_size=1, max_size=4)
NAMES = [a + b + c for a in "ab" for b in ["", *"ab"] for c in ["", *"ab"]]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("gpt-5-20??-??-??", "gpt-5-2025-08-07", True),
        ("gpt-5-20??-??-??", "gpt-5-mini-20??-??-??", False),
        ("gpt-4*", "gpt-?*", True),
        ("gpt-4*", "gpt-5*", False),
        ("*-mini", "gpt-*", True),
        ("a[bc]d", "a[cd]d", True),
        ("a[bc]d", "a[!a-z]d", False),
        ("a[b", "a[b", True),
    ],
)
def test_two_patterns_meet_if_a_name_matches_both(one: str, other: str, expected: bool) -> None:
    assert can_both_match(one, other) is can_both_match(other, one) is expected


@given(PATTERNS, PATTERNS)
def test_patterns_that_a_name_matches_are_said_to_meet(one: str, other: str) -> None:
    if any(fnmatchcase(name, one) and fnmatchcase(name, other) for name in NAMES):
        assert can_both_match(one, other)


prices = st.builds(
    Price,
    model=st.sampled_from(["ab", "a*", "?b", "*"]),
    deployment_type=st.just("GlobalStandard"),
    region=st.sampled_from(["*", "eastus"]),
    service_tier=st.none(),
    bucket=st.just("image"),
    image_size=st.sampled_from([None, "1x1"]),
    image_quality=st.sampled_from([None, "hd"]),
    unit=st.just("image"),
    price=st.just(Decimal(1)),
    currency=st.just("USD"),
    valid_from=st.sampled_from([None, DAYS[0], DAYS[1]]),
    valid_to=st.sampled_from([None, DAYS[2]]),
    source=st.none(),
)


@given(st.lists(prices, min_size=2, max_size=2))
def test_charging_finds_no_two_prices_equally_good_unless_they_were_refused(pair: list[Price]) -> None:
    refused = list(conflicts(enumerate(pair, 2)))
    uses = [
        Use("ab", "GlobalStandard", "eastus", None, "image", size, quality, at)
        for size in (None, "1x1")
        for quality in (None, "hd")
        for at in DAYS
    ]
    rows = [{**vars(price), "price_id": str(at), "is_override": False} for at, price in enumerate(pair)]
    reasons = matches(uses, pl.DataFrame(rows, schema=PRICES.schema))["reason"]
    assert ("price_ambiguous" in reasons) == bool(refused)
    assert len(refused) <= 1
