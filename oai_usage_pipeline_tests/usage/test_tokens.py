"""Counts that contradict each other, at the very edge: by one token, in each part."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.usage import tokens as tokens_module
from oai_usage_pipeline.usage.tokens import IMPLAUSIBLE_COUNT, Tokens, Usage, contradictions, is_doubled

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


def test_predictions_may_together_be_all_of_the_output_and_not_one_token_more() -> None:
    call = Tokens(10, 10, 20, accepted_prediction_tokens=6)
    assert contradictions(call._replace(rejected_prediction_tokens=4)) is None
    assert contradictions(call._replace(rejected_prediction_tokens=5)) == (
        "accepted and rejected prediction tokens 6 + 5 > output_tokens 10"
    )


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
        (tokens.input_tokens, INPUT_PARTS, (KINDS[0],)),
        (tokens.output_tokens, OUTPUT_PARTS, (KINDS[1], OUTPUT_PARTS[4:])),
    ):
        if any((counts[part] or 0) > (whole or 0) for part in parts):
            return True
        if any(sum(counts[part] or 0 for part in exclusive) > (whole or 0) for exclusive in kinds):
            return True
    return False


FULL = Tokens(10, 5, 15, 10, 4, 3, 3, 5, 2, 2, 1, 2, 3)
"""Each part as large as its whole allows."""


@pytest.mark.parametrize(
    "tokens",
    [FULL, Tokens(0, 0, 0), Tokens(10, None, 10), Tokens(10, 5, 15, 3, 2, 1, 1, 2, 1, 1, 1, 1, 1)],
)
def test_counts_that_agree_need_one_look(tokens: Tokens) -> None:
    assert tokens_module._agree(*tokens)
    assert contradictions(tokens) is None


@pytest.mark.parametrize("name", INPUT_PARTS + OUTPUT_PARTS)
def test_one_look_is_not_enough_where_a_part_is_one_too_many(name: str) -> None:
    tokens = FULL._replace(**{name: getattr(FULL, name) + 1})
    assert not tokens_module._agree(*tokens)
    assert contradictions(tokens)


def test_a_count_beyond_what_is_plausible_is_flagged_however_far_beyond() -> None:
    for count in (IMPLAUSIBLE_COUNT, IMPLAUSIBLE_COUNT + 5):
        assert contradictions(Tokens(count, 0, count)) == "tokens_implausible"


def test_a_right_total_is_not_told_beside_a_wrong_part() -> None:
    assert contradictions(Tokens(0, 5, 5, reasoning_output_tokens=6)) == (
        "reasoning_output_tokens 6 > output_tokens 5"
    )


@pytest.mark.parametrize(
    ("text", "usage"),
    [
        ('{"max_tokens": 5}', None),
        ('{"usage": {"prompt_tokens": 1, "total_tokens": 1}}', {"prompt_tokens": 1, "total_tokens": 1}),
        (
            '{"usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}, "seconds": 2.5}}',
            {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}, "seconds": 2.5},
        ),
    ],
)
def test_a_usual_body_is_not_parsed_again_to_find_doubled_fields(
    text: str, usage: Usage | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tokens_module, "_is_doubled_somewhere")
    assert not is_doubled(text, usage)


@pytest.mark.parametrize(
    "text",
    [
        '{"usage": {"prompt_tokens": 1}, "usage": {"prompt_tokens": 1}}',
        '{"usage": {"prompt_tokens": 9, "prompt_tokens": 1}}',
    ],
)
def test_whatever_is_named_twice_is_found(text: str) -> None:
    assert is_doubled(text, {"prompt_tokens": 1})
