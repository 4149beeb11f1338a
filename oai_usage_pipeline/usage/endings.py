"""How an answer ended: why it finished, which tools it asked for, whether the content filter stepped in.

Words of the provider are kept, but only short plain ones: a foreign text never becomes a reason.
Status and counts belong in `answers`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from oai_usage_pipeline.usage.operations import CHAT_COMPLETIONS, COMPLETIONS, IMAGES, RESPONSES
from oai_usage_pipeline.usage.tokens import STRICT

CONTENT_FILTER = "content_filter"
"""The word of chat, of Responses and of Azure's errors for what the filter stopped."""

UNFINISHED = frozenset(("queued", "in_progress", "requires_action", "cancelling"))

_FILTER_CODES = frozenset((CONTENT_FILTER, "content_policy_violation", "moderation_blocked"))
_FILTERED_OPERATIONS = frozenset((CHAT_COMPLETIONS, COMPLETIONS, RESPONSES, IMAGES))
LOOK_BACK = 2048
"""Characters of a stream's end that hold its last choices: they, usage and `[DONE]` take some 1,500."""

_STREAMED_REASON = re.compile(r'\s*"([^"\\]{1,48})"')
_ID = re.compile(r'"id"\s*:\s*"([^"\\]+)"')
LOOK_BACK = 2048
"""Characters of a stream's end that hold its last choices: they, usage and `[DONE]` take some 1,500."""

_STREAMED_REASON = re.compile(r'\s*"([^"\\]{1,48})"')
_ID = re.compile(r'"id"\s*:\s*"([^"\\]+)"')
_SAFE_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,47}")


class ToolCall(TypedDict, total=False):
    """A tool call of a chat message; that it is there is all that counts."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict


class Message(TypedDict, total=False):
    """The message of a chat choice, without its text."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # as above

    tool_calls: list[ToolCall] | None
    function_call: ToolCall | None  # the older form, at most one


class Choice(TypedDict, total=False):
    """One of a chat's or a completion's answers."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # as above

    finish_reason: str | None
    message: Message | None


class OutputItem(TypedDict, total=False):
    """One item of a response's output: a message, a reasoning, a call of a tool."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # as above

    type: str | None


class Incomplete(TypedDict, total=False):
    """Why a response is incomplete."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # as above

    reason: str | None


class Ending(NamedTuple):
    """As the silver columns of these names; None where it can't be told."""

    finish_reasons: str | None = None
    tool_call_count: int | None = None
    is_content_filtered: bool | None = None


UNKNOWN = Ending()
_USUAL_ENDINGS = {reason: Ending(reason, 0, is_content_filtered=False) for reason in ("stop", "length")}


def ending_of(body: Mapping[str, Any], operation: str | None) -> Ending:
    """How the answer of a plain body, or of the event that holds the whole response, ended."""
    choices = body.get("choices")
    if choices:
        choice = choices[0]
        if len(choices) == 1 and operation == CHAT_COMPLETIONS and not choice.get("message"):
            # The usual chat, of whose message only calls would be here, needs no looking at.
            usual = _USUAL_ENDINGS.get(choice.get("finish_reason"))
            if usual:
                return usual
        reasons = joined([choice.get("finish_reason") for choice in choices])
        calls = sum(map(_calls, choices)) if operation == CHAT_COMPLETIONS else None
        return Ending(reasons, calls, is_filter_reason(reasons))
    if operation == RESPONSES:
        return _ending_of_response(body)
    return Ending(None, None, is_content_filtered=False)


def ending_of_failure(code: str | None) -> Ending:
    """How a call ended that reports an error with this code."""
    return Ending(None, None, code in _FILTER_CODES)


def ending_of_chat_stream(
    operation: str | None, text: str, response_id: str | None, *, is_ended: bool
) -> Ending:
    """How a streamed chat or completion ended, from the text of its events alone.

    Its finish reason is the last one in its last `LOOK_BACK` characters, also where several answers share
    the stream. Tool calls are told only where the answer finished for them: each has an id of its own.
    """
    reasons = _streamed_reason(text)
    is_filtered = is_filter_reason(reasons) or says_filtered(operation, text, text.find("\n\n") + 1)
    if not is_ended:
        return Ending(reasons, None, is_filtered or None)
    return Ending(reasons, _streamed_calls(reasons, text, response_id), is_filtered)


def joined(words: Sequence[str | None]) -> str | None:
    """The plain ones of these words, each once, in their order."""
    if len(words) == 1:
        word = words[0]
        return word if word and _is_plain(word) else None
    found = dict.fromkeys(word for word in words if word and _is_plain(word))
    return ",".join(found) if found else None


def is_filter_reason(reasons: str | None) -> bool:
    """Whether one of the joined finish reasons is the content filter."""
    return reasons is not None and CONTENT_FILTER in reasons and CONTENT_FILTER in reasons.split(",")


def says_filtered(operation: str | None, text: str, end: int | None = None) -> bool:
    """Whether a verdict of Azure's content filter in the first `end` characters is `"filtered": true`.

    A look at the text is enough: inside a JSON string the quotes of such a name are escaped.
    """
    if operation not in _FILTERED_OPERATIONS:
        return False
    # One writer made all of the text: it puts a space after each colon, or after none.
    colon = text.find('":') + 2
    verdict = '"filtered": true' if text[colon : colon + 1] == " " else '"filtered":true'
    return text.find(verdict, 0, end) >= 0


def _ending_of_response(body: Mapping[str, Any]) -> Ending:
    status = body.get("status")
    if status in UNFINISHED:
        return UNKNOWN
    why = (body.get("incomplete_details") or {}).get("reason")
    calls = 0
    for item in body.get("output") or ():
        kind = item.get("type")
        if kind and kind.endswith("_call"):
            calls += 1
    return Ending(joined((why or status,)), calls, why == CONTENT_FILTER)


def _streamed_reason(text: str) -> str | None:
    start, end = max(len(text) - LOOK_BACK, 0), len(text)
    while (at := text.rfind('"finish_reason":', start, end)) >= 0:
        told = _STREAMED_REASON.match(text, at + 16)
        if told:
            return joined((told[1],))
        end = at
    return None


def _streamed_calls(reasons: str | None, text: str, response_id: str | None) -> int | None:
    if reasons == "function_call":
        return 1
    if reasons != "tool_calls":
        return None
    ids = set(_ID.findall(text))
    ids.discard(response_id)
    return len(ids) or None


def _calls(choice: Choice) -> int:
    message = choice.get("message")
    if not message:
        return 0
    return len(message.get("tool_calls") or ()) + (message.get("function_call") is not None)


@lru_cache(maxsize=256)
def _is_plain(word: str) -> bool:
    return _SAFE_WORD.fullmatch(word) is not None
