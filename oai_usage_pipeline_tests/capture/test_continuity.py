"""The rule of gaps: only acknowledged numbers are passed over, whoever looks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.capture.continuity import Ranges, gap, missing
from oai_usage_pipeline.capture.source import Hub

HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0",))


@pytest.mark.parametrize(
    ("last", "number", "acknowledged", "lost"),
    [
        (9, 10, (), ()),
        (-1, 0, (), ()),
        (9, 12, (), ((10, 11),)),
        (9, 15, ((10, 14),), ()),
        (9, 16, ((10, 14),), ((15, 15),)),
        (9, 15, ((11, 14),), ((10, 10),)),
        (9, 40, ((10, 14), (21, 30)), ((15, 20), (31, 39))),
        (11, 15, ((10, 14),), ()),
        (9, 12, ((10, 14),), ()),
        (9, 12, ((2, 5), (20, 30)), ((10, 11),)),
        (9, 21, ((10, 14), (12, 20)), ()),
        (9, 21, ((10, 20), (12, 14)), ()),
    ],
)
def test_what_is_missing_between_two_events(
    last: int, number: int, acknowledged: Ranges, lost: Ranges
) -> None:
    assert missing(last, number, acknowledged) == lost


_ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)), max_size=4).map(
    lambda found: tuple(sorted((first, first + length) for first, length in found))
)


@given(st.integers(-1, 45), st.integers(0, 45), _ranges)
def test_every_number_between_is_missing_or_acknowledged_and_none_both(
    last: int, number: int, acknowledged: Ranges
) -> None:
    found = missing(last, number, acknowledged)
    numbers = [each for first, end in found for each in range(first, end + 1)]
    may_be_passed = {each for first, end in acknowledged for each in range(first, end + 1)}
    assert numbers == [each for each in range(last + 1, number) if each not in may_be_passed]
    assert all(end + 1 < first for (_, end), (first, _) in pairwise(found))


@given(st.integers(-1, 45), st.integers(0, 45), _ranges)
def test_an_older_set_of_acknowledgements_only_makes_more_missing(
    last: int, number: int, acknowledged: Ranges
) -> None:
    if not missing(last, number, acknowledged[:-1]):
        assert not missing(last, number, acknowledged)


def test_a_gap_names_the_ranges_and_what_to_type() -> None:
    error = gap(HUB, "0", 9, 30, ((15, 20),))
    assert error is not None
    assert error.missing == ((10, 14), (21, 29))
    assert "partition 0: events 10 to 14 and 21 to 29 are missing" in str(error)
    for first, last in error.missing:
        numbers = f"--partition 0 --first {first} --last {last}"
        command = f"`oai-usage gaps acknowledge {numbers} --hub namespace/hub --by WHO --why WHY`"
        assert command in str(error)
