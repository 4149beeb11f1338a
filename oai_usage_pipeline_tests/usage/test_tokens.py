"""Counts that contradict each other, at the very edge: by one token, in each part."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.usage.tokens import IMPLAUSIBLE_COUNT, Tokens, contradictions

INPUT_PARTS = ("cached_input_tokens", "text_input_tokens", "audio_input_tokens", "image_input_tokens")
OUTPUT_PARTS = (
    "reasoning_output_tokens",
    "text_output_tokens",
    "audio_output_tokens",
    "image_output_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
)
KINDS = (INPUT_PARTS[1:], OUTPUT_PARTS[1:4])


@pytest.mark.parametrize("part", INPUT_PARTS + OUTPUT_PARTS)
def test_a_part_may_be_all_of_its_whole_and_not_one_token_more(part: str) -> None:
    whole = "input_tokens" if part in INPUT_PARTS else "output_tokens"
    call = Tokens(10, 10, 20)
    assert contradictions(call._replace(**{part: 10})) is None
    assert contradictions(call._replace(**{part: 11})) == f"{part} 11 > {whole} 10"


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("kinds", KINDS, ids=["input", "output"])
def test_kinds_may_together_be_all_of_their_whole_and_not_one_token_more(
    kinds: tuple[str, ...], first: int, second: int
) -> None:
    call = Tokens(10, 10, 20)
    assert contradictions(call._replace(**{kinds[first]: 6, kinds[second]: 4})) is None
    found = contradictions(call._replace(**{kinds[first]: 6, kinds[second]: 5}))
    assert found is not None
    assert found.startswith("text, audio and image tokens 6 + 5 > ")


def test_a_total_may_not_differ_by_one_token() -> None:
    assert contradictions(Tokens(10, 5, 15)) is None
    for total in (14, 16):
        assert contradictions(Tokens(10, 5, total)) == f"total_tokens {total} != 10 + 5"
    assert contradictions(Tokens(None, 5, 4)) == "total_tokens 4 != null + 5"
    assert contradictions(Tokens(None, 5, 6)) is None


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_a_count_is_implausible_from_its_bound_on(name: str) -> None:
    for count, expected in ((IMPLAUSIBLE_COUNT - 1, None), (IMPLAUSIBLE_COUNT, "tokens_implausible")):
        assert contradictions(Tokens()._replace(**{name: count, "total_tokens": count})) == expected
    assert IMPLAUSIBLE_COUNT == 10_000_000_000


_counts = st.none() | st.integers(0, 4)


@settings(max_examples=500)
@given(st.builds(Tokens, *[_counts] * len(Tokens._fields)))
def test_counts_agree_exactly_when_nothing_can_be_said_against_them(tokens: Tokens) -> None:
    assert (contradictions(tokens) is None) == (not _is_total_wrong(tokens) and not _are_parts_wrong(tokens))


def _is_total_wrong(tokens: Tokens) -> bool:
    read, written, total = tokens[:3]
    told = (read or 0) + (written or 0)
    if total is None or total == told:
        return False
    # Without an input, what the total has more is of a kind that nobody told.
    return read is not None or total < told


def _are_parts_wrong(tokens: Tokens) -> bool:
    counts = tokens._asdict()
    for whole, parts, kinds in (
        (tokens.input_tokens, INPUT_PARTS, KINDS[0]),
        (tokens.output_tokens, OUTPUT_PARTS, KINDS[1]),
    ):
        if any((counts[part] or 0) > (whole or 0) for part in parts):
            return True
        if sum(counts[kind] or 0 for kind in kinds) > (whole or 0):
            return True
    return False
