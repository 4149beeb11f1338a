"""The money fields: what a `usage` object may hold, and the five counts that it comes down to.

Every shape of `usage` is brought to one here. Where a usage object is found belongs in `bodies`
and `streams`. A count that is not reported stays None: missing is never zero.
"""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

IMPLAUSIBLE_COUNT = 10**10
"""Tokens. No model reads or writes this many in one call: such a count is kept, and flagged."""

Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
"""A whole number that a 64-bit column holds; never coerced from text, a fraction or a boolean."""

STRICT = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)
"""How every contract of a body reads: no coercion, unknown fields skipped, no body in an error."""


class InputDetails(TypedDict, total=False):
    """Parts of the input count; of several names, those that recorded bodies have."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    cached_tokens: Count | None


class OutputDetails(TypedDict, total=False):
    """Parts of the output count."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # as above

    reasoning_tokens: Count | None


class Usage(TypedDict, total=False):
    """A `usage` object of any kind of call; chat names its counts differently from Responses."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # as above

    prompt_tokens: Count | None
    completion_tokens: Count | None
    input_tokens: Count | None
    output_tokens: Count | None
    total_tokens: Count | None
    prompt_tokens_details: InputDetails | None  # chat
    input_tokens_details: InputDetails | None  # Responses, images
    input_token_details: InputDetails | None  # audio
    prompt_token_details: InputDetails | None  # assistants
    completion_tokens_details: OutputDetails | None
    output_tokens_details: OutputDetails | None
    seconds: Any


class Tokens(NamedTuple):
    """The counts of one call, as reported; None where nothing is."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    text_input_tokens: int | None = None
    audio_input_tokens: int | None = None
    image_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    text_output_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_output_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


NO_TOKENS = Tokens()

_MONEY_KEYS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
)
_QUOTED_MONEY_KEYS = tuple(f'"{key}"' for key in _MONEY_KEYS)
_ONCE = frozenset((*_MONEY_KEYS, "usage"))
_REASONS = {
    "greater_than_equal": "tokens_negative",
    "less_than": "tokens_too_large",
    "int_parsing_size": "tokens_too_large",
    "dict_type": "usage_not_object",
}


def tokens_of(usage: Usage) -> Tokens:
    """The counts of a usage object, whichever API's names it uses."""
    get: Callable[[str], Any] = usage.get
    counted_in, counted_out = get("prompt_tokens"), get("completion_tokens")
    read = get("prompt_tokens_details")
    written = get("completion_tokens_details")
    if counted_in is None:
        counted_in = get("input_tokens")
    if counted_out is None:
        counted_out = get("output_tokens")
    if read is None:
        read = get("input_tokens_details") or get("input_token_details") or get("prompt_token_details")
    if written is None:
        written = get("output_tokens_details")
    return Tokens(
        counted_in,
        counted_out,
        get("total_tokens"),
        read.get("cached_tokens") if read else None,
        reasoning_output_tokens=written.get("reasoning_tokens") if written else None,
    )


def contradictions(tokens: Tokens) -> str | None:
    """What can't be true of these counts, with both numbers; None when they agree."""
    read, written, total, cached = tokens[:4]
    reasoning = tokens.reasoning_output_tokens
    found = []
    if total is not None and read is not None and total != read + (written or 0):
        found.append(f"total_tokens {total} != {read} + {'null' if written is None else written}")
    if cached and read is not None and cached > read:
        found.append(f"cached_input_tokens {cached} > input_tokens {read}")
    if reasoning and written is not None and reasoning > written:
        found.append(f"reasoning_output_tokens {reasoning} > output_tokens {written}")
    if any(count is not None and count >= IMPLAUSIBLE_COUNT for count in tokens):
        found.append("tokens_implausible")
    return "; ".join(found) if found else None


def why_refused(error: ErrorDetails) -> str:
    """The reason code of a validation error inside a usage object."""
    return _REASONS.get(error["type"], "tokens_not_integer")


def is_doubled(text: str) -> bool:
    """Whether an object in this JSON text names a money field twice, so that it says two things.

    JSON parsers silently take the last. The cheap look first: a key that occurs once can't be doubled.
    """
    start = text.find('"usage"')
    if start < 0:
        return False
    if text.find('"usage"', start + 7) < 0 and not _occurs_twice(text, start):
        return False
    return _is_doubled_somewhere(text)


def _occurs_twice(text: str, start: int) -> bool:
    count = text.count
    for key in _QUOTED_MONEY_KEYS:  # noqa: SIM110  # a generator takes twice as long, on every event
        if count(key, start) > 1:
            return True
    return False


def _is_doubled_somewhere(text: str) -> bool:
    doubled = False

    def watch(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
        nonlocal doubled
        names = [name for name, _ in pairs if name in _ONCE]
        doubled = doubled or len(names) != len(set(names))
        return {}

    json.loads(text, object_pairs_hook=watch)
    return doubled
