"""Request and Response without their texts: shape, names and numbers stay where accounting reads them.

An allow-list throughout: a field that isn't known here goes, names of fields too; of known ones, texts
become empty unless accounting reads them. Events are for `masked_events`; whether a masked body still comes
to the same numbers is not trusted but tried, in `payload`.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json

from oai_usage_pipeline.usage.answers import error_code
from oai_usage_pipeline.usage.metering import LONGEST_NAME, name_held
from oai_usage_pipeline.usage.requests import tree_of
from oai_usage_pipeline.usage.server_events import DONE, events
from oai_usage_pipeline.usage.streams import is_stream

NO_BODY = "x"
"""In place of a body that is no JSON: neither is this, and it is there."""

_BEFORE_BODY = "\ufeff \t\r\n"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:=+/-]{0,127}", re.ASCII)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,47}", re.ASCII)
_COUNT = re.compile(r"[a-z]{0,16}_?(?:[a-z]{1,16}_){0,4}(?:tokens|details|seconds)", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,19}(?:\.[0-9]{1,9})?", re.ASCII)
_DURATIONS = ("duration", "seconds")

_ASKED_NAMES = frozenset(("model", "user", "safety_identifier"))
_ASKED_WORDS = frozenset(("size", "quality"))
_ASKED_NUMBERS = frozenset(("n", "dimensions", "max_tokens", "max_completion_tokens", "max_output_tokens"))
_ASKED = frozenset(
    (
        *(
            *_ASKED_NAMES,
            *_ASKED_WORDS,
            *_ASKED_NUMBERS,
            "messages",
            "prompt",
            "suffix",
            "input",
            "instructions",
        ),
        *("purpose", "encoding_format", "service_tier", "reasoning_effort"),
        *("tools", "functions", "stream", "stream_options", "store", "background", "include", "text"),
        *("truncation", "reasoning", "conversation", "previous_response_id", "voice", "input_type", "style"),
        *("output_format", "image", "file", "sdp", "response_format"),
    )
)
_ASKED_INSIDE = frozenset(
    (
        *("role", "type", "content", "text", "refusal", "name", "arguments", "function", "tool_calls"),
        *(
            "function_call",
            "image_url",
            "input_audio",
            "file",
            "detail",
            "include_usage",
            "output",
            "summary",
        ),
    )
)
_VOCABULARY = frozenset(
    (
        *("system", "developer", "user", "assistant", "tool", "function", "text", "image_url", "input_text"),
        *("input_image", "input_audio", "input_file", "file", "message", "function_call", "reasoning"),
        *(
            "function_call_output",
            "output_text",
            "json_schema",
            "json_object",
            "refusal",
            "low",
            "high",
            "auto",
        ),
    )
)
"""Words that a request's `role`, `type` or `detail` may keep: all others could be a caller's own."""

_ANSWERED_NAMES = frozenset(("id", "object", "model", "service_tier"))
_ANSWERED_WORDS = frozenset(
    (
        *("status", "type", "finish_reason", "reason", "size", "quality", "task", "role", "severity", "code"),
        *("event", "output_format", "background"),
    )
)
_ANSWERED_NUMBERS = frozenset(
    (
        *("created", "created_at", "completed_at", "statusCode", "index", "output_index", "content_index"),
        *("sequence_number", "code", *_DURATIONS),
    )
)
_ANSWERED = frozenset(
    (
        *(
            *_ANSWERED_NAMES,
            *_ANSWERED_WORDS,
            *_ANSWERED_NUMBERS,
            "choices",
            "output",
            "usage",
            "error",
            "data",
        ),
        *(
            "message",
            "delta",
            "text",
            "content",
            "refusal",
            "tool_calls",
            "function_call",
            "function",
            "name",
        ),
        *(
            "arguments",
            "response",
            "incomplete_details",
            "results",
            "embedding",
            "url",
            "b64_json",
            "item",
            "part",
        ),
        *("revised_prompt", "session", "value", "segments", "summary", "prompt_filter_results", "filtered"),
        *(
            "content_filter_results",
            "content_filter_result",
            "hate",
            "self_harm",
            "sexual",
            "violence",
            "profanity",
        ),
        *("jailbreak", "indirect_attack", "protected_material_text", "protected_material_code", "detected"),
        *("inner_error", "innererror", "custom_blocklists", "content_filters", "prompt_index", "logprobs"),
    )
)


class Unmaskable(Exception):  # a body's property, never a failure of the pipeline
    """A body of which nothing can be kept that would be read to the same."""


class Rename:
    """What becomes of a caller's name for its user: as it is, or a pseudonym for one of them."""

    def __init__(self, user: str | None = None, pseudonym: str = "") -> None:
        # As silver has it: of long names, that is their beginning.
        self.user = user and name_held(user)
        self.pseudonym = pseudonym

    def __call__(self, name: str) -> str:
        """The name, or the pseudonym of the one that is to be forgotten."""
        return self.pseudonym if self.user is not None and name_held(name) == self.user else name


AS_NAMED = Rename()


def mask_request(text: str | None, rename: Rename = AS_NAMED) -> str | None:
    """A request's text with nothing but what accounting reads of it."""
    if not text:
        return text
    tree = tree_of(text)
    if text.startswith("--") and tree:
        return _form(tree, rename)
    if text.startswith("v=0"):
        return "v=0"
    return _json(masked_request(tree, rename)) if tree or _is_empty_object(text) else NO_BODY


def masked_request(tree: Mapping[str, Any], rename: Rename = AS_NAMED) -> dict[str, Any]:
    """The same for a request that is an object."""
    spoken = "voice" in tree
    return {
        name: _asked(name, value, spoken=spoken, rename=rename)
        for name, value in tree.items()
        if name in _ASKED
    }


def mask_response(text: str | None) -> str | None:
    """A response's text with nothing but what accounting reads of it; raises `Unmaskable`."""
    if not text:
        return text
    bare = text.lstrip(_BEFORE_BODY)
    if is_stream(bare):
        return _stream(bare)
    if bare[:1] == '"':
        return _json(mask_response(_inner(bare)))
    if bare[:1] not in ("{", "["):
        return NO_BODY if bare else text
    tree = _tree(bare)
    return _json(masked_response(tree) if isinstance(tree, dict) else [])


def masked_response(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a response that is an object."""
    return {name: _answered(name, value) for name, value in tree.items() if name in _ANSWERED}


def masked_usage(value: object) -> object:
    """A usage object, or what stands in its place: counts, and no text that isn't one."""
    if isinstance(value, Mapping):
        return {name: masked_usage(each) for name, each in value.items() if _is_of_usage(name)}
    if isinstance(value, str):
        return value if _NUMBER.fullmatch(value) or value in _DURATIONS else NO_BODY
    return [] if isinstance(value, list) else value


def name_kept(text: str) -> str:
    """A name as far as a column of silver can tell it from others; a text that no column holds is empty."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return ""
    return text[: LONGEST_NAME + 1]


def _is_of_usage(name: str) -> bool:
    return name == "type" or _COUNT.fullmatch(name) is not None


def _asked(name: str, value: Any, *, spoken: bool, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        if name in ("user", "safety_identifier"):
            return name_kept(rename(value))
        if name in _ASKED_NAMES:
            return name_kept(value)
        if name in _ASKED_WORDS:
            return value if _WORD.fullmatch(value) or re.fullmatch(r"\d{1,5}x\d{1,5}", value) else ""
        # What is spoken is billed by its length.
        return NO_BODY * len(value) if spoken and name == "input" else ""
    if name in _ASKED_NUMBERS and isinstance(value, int | float):
        return value
    return _inside(value, _ASKED_INSIDE, _word_asked)


def _word_asked(name: str, text: str) -> str:
    return text if name in ("role", "type", "detail") and text in _VOCABULARY else ""


def _answered(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if name == "usage":
        return masked_usage(value)
    if name == "error":
        return _error(value)
    if name in ("response", "session") and isinstance(value, dict):
        return masked_response(value)
    if isinstance(value, str):
        return _word_answered(name, value, longest=name_kept)
    if name in _ANSWERED_NUMBERS and isinstance(value, int | float):
        return value
    return _inside(value, _ANSWERED, _word_answered)


def _word_answered(name: str, text: str, longest: Callable[[str], str] | None = None) -> str:
    if name in _ANSWERED_NAMES:
        return longest(text) if longest else text if _PLAIN.fullmatch(text) else ""
    if name in _DURATIONS:
        return text if _NUMBER.fullmatch(text) else ""
    if name in _ANSWERED_WORDS:
        return text if _WORD.fullmatch(text) or re.fullmatch(r"\d{1,5}x\d{1,5}", text) else ""
    return ""


def _error(error: Any) -> Any:  # noqa: ANN401 - JSON
    """An error that says no more than its code, and is none where it was none."""
    if not error:
        return {} if isinstance(error, dict) else [] if isinstance(error, list) else error
    code = error_code(error)
    return {"code": code} if code != "error" else {"message": ""}


def _inside(value: Any, known: frozenset[str], word: Callable[[str, str], str], name: str = "") -> Any:  # noqa: ANN401 - JSON
    """Below the first fields: known names, lists as long as they were, no numbers but small whole ones."""
    if isinstance(value, dict):
        return {each: _inside(value[each], known, word, each) for each in value if each in known}
    if isinstance(value, list):
        return [_inside(each, known, word) for each in value if isinstance(each, dict | list | str)]
    if isinstance(value, str):
        return word(name, value)
    return value if value is None or isinstance(value, bool) else _small(name, value)


def _small(name: str, value: float) -> float:
    return value if name in _ANSWERED_NUMBERS and value.__class__ is int and 0 <= value < 10**4 else 0


def _stream(text: str) -> str:
    masked = []
    for kind, data in events(text):
        if kind and not _WORD.fullmatch(kind):
            raise Unmaskable
        named = f"event: {kind}\n" if kind else ""
        if data.strip() == DONE:
            masked.append(f"{named}data: {DONE}\n\n")
            continue
        tree = _tree(data)
        if not isinstance(tree, dict):
            raise Unmaskable
        masked.append(f"{named}data: {_json(masked_response(tree))}\n\n")
    return "".join(masked)


def _form(fields: Mapping[str, Any], rename: Rename) -> str:
    kept = {name: value for name, value in masked_request(fields, rename).items() if isinstance(value, str)}
    return "".join(f'--x\r\nname="{name}"\r\n\r\n{value}\r\n' for name, value in kept.items())


def _inner(text: str) -> str:
    inner = _tree(text)
    if not isinstance(inner, str) or inner[:1] == '"':
        raise Unmaskable
    return inner


def _is_empty_object(text: str) -> bool:
    return text.strip() == "{}"


def _tree(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return from_json(text)
    except (ValueError, TypeError):
        return _leniently(text)


def _leniently(text: str) -> Any:  # noqa: ANN401 - JSON
    """A lone surrogate spoils a character of a text that goes anyway: the standard library takes it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unmaskable from None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
