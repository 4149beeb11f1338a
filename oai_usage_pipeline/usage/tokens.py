"""The money fields: what a `usage` object may hold, and the counts that it comes down to.

Every shape of `usage` is brought to one here. Where a usage object is found belongs in `bodies`
and `streams`. A count that is not reported stays None: missing is never zero.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, cast

from pydantic import ConfigDict, Field
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

IMPLAUSIBLE_COUNT = 10**10
"""Tokens. No model reads or writes this many in one call: such a count is kept, and flagged."""

Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
"""A whole number that a 64-bit column holds; never coerced from text, a fraction or a boolean."""

STRICT = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)
"""How every contract of a body reads: no coercion, unknown fields skipped, no body in an error."""


class Details(TypedDict, total=False):
    """Parts of the input or of the output count; which of them are whose says `Tokens`."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    cached_tokens: Count | None
    text_tokens: Count | None
    audio_tokens: Count | None
    image_tokens: Count | None
    reasoning_tokens: Count | None
    accepted_prediction_tokens: Count | None
    rejected_prediction_tokens: Count | None
    cache_write_tokens: Any  # no bucket has it; known so that it isn't taken for a doubled field


class Usage(TypedDict, total=False):
    """A `usage` object of any kind of call; chat names its counts differently from Responses."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # as above

    prompt_tokens: Count | None
    completion_tokens: Count | None
    input_tokens: Count | None
    output_tokens: Count | None
    total_tokens: Count | None
    prompt_tokens_details: Details | None  # chat
    input_tokens_details: Details | None  # Responses, images
    input_token_details: Details | None  # audio
    prompt_token_details: Details | None  # assistants
    completion_tokens_details: Details | None
    output_tokens_details: Details | None
    output_token_details: Details | None
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

_EXCLUSIVE = {
    "text, audio and image": ("text_", "audio_", "image_"),
    "accepted and rejected prediction": ("accepted_", "rejected_"),
}
"""Parts of which a token is in one at most: together they lie inside their whole, too."""

_PARTS = {
    "input_tokens": tuple(name for name in Tokens._fields if name.endswith("_input_tokens")),
    "output_tokens": tuple(
        name for name in Tokens._fields if name.endswith(("_output_tokens", "_prediction_tokens"))
    ),
}
"""Whole -> the parts that lie inside it."""

_DETAILS = (
    *("prompt_tokens_details", "input_tokens_details", "input_token_details", "prompt_token_details"),
    *("completion_tokens_details", "output_tokens_details", "output_token_details"),
)
_ONCE = frozenset(("usage", "seconds", *_DETAILS, *Usage.__annotations__, *Details.__annotations__))
_NONE: Details = {}
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
        written = get("output_tokens_details") or get("output_token_details")
    if read is None and written is None:
        return Tokens(counted_in, counted_out, get("total_tokens"))
    part: Callable[[str], Any] = (read or _NONE).get
    made: Callable[[str], Any] = (written or _NONE).get
    return Tokens(
        counted_in,
        counted_out,
        get("total_tokens"),
        part("cached_tokens"),
        part("text_tokens"),
        part("audio_tokens"),
        part("image_tokens"),
        made("reasoning_tokens"),
        made("text_tokens"),
        made("audio_tokens"),
        made("image_tokens"),
        made("accepted_prediction_tokens"),
        made("rejected_prediction_tokens"),
    )


def contradictions(tokens: Tokens) -> str | None:
    """What can't be true of these counts, with both numbers; None when they agree."""
    read, written, total = tokens[:3]
    if _agree(*tokens):
        return None
    found = [*_wrong_total(read, written, total), *_wrong_parts(tokens)]
    if any(count is not None and count >= IMPLAUSIBLE_COUNT for count in tokens):
        found.append("tokens_implausible")
    return "; ".join(found) if found else None


def _agree(
    read: int | None,
    written: int | None,
    total: int | None,
    cached: int | None,
    text: int | None,
    audio: int | None,
    image: int | None,
    reasoning: int | None,
    text_out: int | None,
    audio_out: int | None,
    image_out: int | None,
    accepted: int | None,
    rejected: int | None,
) -> bool:
    """The usual call in one look: a total that fits, and parts inside it."""
    if read is None or total is None:
        return False
    told = written or 0
    return (
        total == read + told
        and total < IMPLAUSIBLE_COUNT
        and (cached or 0) <= read
        and (text or 0) + (audio or 0) + (image or 0) <= read
        and (reasoning or 0) <= told
        and (text_out or 0) + (audio_out or 0) + (image_out or 0) <= told
        and (accepted or 0) + (rejected or 0) <= told
    )


def _wrong_total(read: int | None, written: int | None, total: int | None) -> Iterator[str]:
    if total is None or total == (read or 0) + (written or 0):
        return
    if read is not None or total < (written or 0):
        in_words = ["null" if count is None else str(count) for count in (read, written)]
        yield f"total_tokens {total} != {' + '.join(in_words)}"


def _wrong_parts(tokens: Tokens) -> Iterator[str]:
    for whole, names in _PARTS.items():
        limit = getattr(tokens, whole)
        parts = {name: count for name in names if (count := getattr(tokens, name))}
        for name, count in parts.items():
            if limit is None:
                yield f"{name} {count} without {whole}"
            elif count > limit:
                yield f"{name} {count} > {whole} {limit}"
        for kinds, beginnings in _EXCLUSIVE.items():
            counts = [count for name, count in parts.items() if name.startswith(beginnings)]
            if limit is not None and len(counts) > 1 and sum(counts) > limit >= max(counts):
                yield f"{kinds} tokens {' + '.join(map(str, counts))} > {whole} {limit}"


def why_refused(error: ErrorDetails) -> str:
    """The reason code of a validation error inside a usage object."""
    return _REASONS.get(error["type"], "tokens_not_integer")


def is_doubled(text: str, usage: Usage | None) -> bool:
    """Whether an object in this JSON text names a money field twice, so that it says two things.

    JSON parsers silently take the last. The cheap look first: behind the only `usage` there are as many
    names of counts as `usage`, the object that the parser made, holds.
    """
    start = text.find('"usage"')
    if start < 0:
        return False
    if text.find('"usage"', start + 7) < 0 and text.count('_tokens"', start) == _count_names(usage):
        return False
    return _is_doubled_somewhere(text)


def _count_names(usage: Usage | None) -> int:
    """How many names of counts `usage` has; nulls are left out, so that they get the thorough look."""
    names = 0
    for value in (usage or {}).values():
        if value.__class__ is int:
            names += 1
        elif value.__class__ is dict:
            names += len(cast(Details, value))
    return names


def _is_doubled_somewhere(text: str) -> bool:
    doubled = False

    def watch(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
        nonlocal doubled
        names = [name for name, _ in pairs if name in _ONCE]
        doubled = doubled or len(names) != len(set(names))
        return {}

    json.loads(text, object_pairs_hook=watch)
    return doubled
