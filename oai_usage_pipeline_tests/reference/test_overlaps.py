"""Overlapping validities: found exactly where a look at every hour finds them."""

from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.reference.overlaps import Holding, overlaps
from oai_usage_pipeline.reference.subscriptions import FILE, read_subscriptions
from oai_usage_pipeline_tests.reference.writing import refusal, write

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = range(-1, 8)
"""Every hour at which a row may begin or end, and one before and after all."""


def hour(number: int | None) -> datetime | None:
    return None if number is None else START + timedelta(hours=number)


@st.composite
def holdings(draw: st.DrawFn) -> list[Holding]:
    rows = []
    for line in range(draw(st.integers(0, 8))):
        begins = draw(st.none() | st.integers(0, 5))
        ends = draw(st.none() | st.integers((-1 if begins is None else begins) + 1, 6))
        rows.append(Holding((draw(st.sampled_from("ab")),), line, hour(begins), hour(ends)))
    return rows


def hours_of(row: Holding | tuple[object, object, datetime | None, datetime | None]) -> set[int]:
    """The hours that a row holds in, one by one."""
    begins, ends = row[2], row[3]
    return {
        number
        for number in HOURS
        if (begins is None or begins <= START + timedelta(hours=number))
        and (ends is None or START + timedelta(hours=number) < ends)
    }


@given(holdings())
def test_overlaps_are_those_that_a_look_at_every_hour_finds(rows: list[Holding]) -> None:
    both = {
        frozenset((one.line, other.line)): hours_of(one) & hours_of(other)
        for one, other in combinations(rows, 2)
        if one.key == other.key and hours_of(one) & hours_of(other)
    }
    found = list(overlaps(rows))
    assert bool(found) == bool(both)
    for each in found:
        assert hours_of(each) == both[frozenset((each.earlier.line, each.later.line))]
    # Ending or removing the rows that are named leaves nothing to find: no overlap hides behind another.
    named = {each.later.line for each in found}
    assert not any(not named & pair for pair in both)


def test_a_subscription_that_changes_hands_at_an_instant_does_not_overlap(tmp_path: Path) -> None:
    write(
        tmp_path,
        FILE,
        "subscription,team,valid_from,valid_to",
        "sub-1,a,,2026-04-01",
        "sub-1,b,2026-04-01,2026-05-01",
        "sub-1,a,2026-05-01,",
        "sub-2,a,,",
    )
    assert read_subscriptions(tmp_path).height == 4


@pytest.mark.parametrize(
    ("first", "second", "holds"),
    [
        (",2026-04-02", "2026-04-01,", "from 2026-04-01T00:00Z until 2026-04-02T00:00Z"),
        (",", "2026-04-01,", "from 2026-04-01T00:00Z without end"),
        (",", ",2026-04-01", "from the beginning until 2026-04-01T00:00Z"),
        (",", ",", "from the beginning without end"),
        ("2026-04-01,", "2026-01-01,2026-04-01T01:00Z", "from 2026-04-01T00:00Z until 2026-04-01T01:00Z"),
    ],
)
def test_an_overlap_names_both_lines_and_its_time(
    tmp_path: Path, first: str, second: str, holds: str
) -> None:
    write(tmp_path, FILE, "subscription,team,valid_from,valid_to", f"sub-1,a,{first}", f"sub-1,b,{second}")
    said = refusal(read_subscriptions, tmp_path)
    assert "subscription 'sub-1' stands in line" in said
    assert "line 2" in said
    assert "line 3" in said
    assert f"both hold {holds}" in said
