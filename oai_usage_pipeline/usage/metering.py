"""One call, from its request and response texts to the usage columns of its silver row.

The response speaks first, the request fills in. Only this module knows both; which rows there are,
and when, belongs in `derive`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from oai_usage_pipeline.usage.answers import Answer, Unreadable, judge
from oai_usage_pipeline.usage.bodies import body_of, read_body, unquoted
from oai_usage_pipeline.usage.operations import RESPONSES, UNIT_BILLED, by_object
from oai_usage_pipeline.usage.requests import Request, operation_asked_for, read_request
from oai_usage_pipeline.usage.streams import is_stream, read_stream

LONGEST_NAME = 256
"""Characters. Longer foreign texts are cut and end in an ellipsis: a name is no place for a novel."""


_NO_JSON = ("response_not_json", "response_not_object")


class UsageRecord(NamedTuple):
    """What silver says about one call besides what only its envelope knows.

    `created_at` is no column: seconds since 1970 at which a retrieved response was made.
    """

    user_id: str | None = None
    operation: str | None = None
    object: str | None = None
    model: str | None = None
    request_model: str | None = None
    service_tier: str | None = None
    is_stream: bool | None = None
    is_retrieval: bool | None = None
    response_id: str | None = None
    finish_reasons: str | None = None
    tool_call_count: int | None = None
    is_content_filtered: bool | None = None
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
    audio_duration_ms: int | None = None
    image_count: int | None = None
    image_size: str | None = None
    image_quality: str | None = None
    character_count: int | None = None
    estimated_input_tokens: int | None = None
    estimated_output_tokens: int | None = None
    status: str = "rejected"
    reason: str | None = None
    created_at: int | None = None


def meter(request: str | None, response: str | None, operation: str | None = None) -> UsageRecord:
    """The record of one call; a response that can't be accounted for is rejected with a reason.

    `operation` is what the envelope says the call was, for bodies that don't tell.
    """
    asked = read_request(request)
    try:
        answer = read_response(response)
    except Unreadable as refusal:
        return _refused(refusal, asked, request, operation)
    return record_of(answer, asked, request, operation)


def meter_usage(
    usage: Mapping[str, Any],
    *,
    operation: str | None = None,
    model: str | None = None,
    request_model: str | None = None,
    response_id: str | None = None,
    is_stream: bool | None = None,
) -> UsageRecord:
    """The record of a call whose log carries counts but no bodies; impossible counts are rejected."""
    named = UsageRecord(
        operation=operation,
        model=_name(model or request_model),
        request_model=_name(request_model),
        is_stream=is_stream,
        response_id=_name(response_id),
    )
    try:
        status, reason, tokens = judge(body_of({"usage": usage}), operation)
    except Unreadable as refusal:
        return named._replace(status="rejected", reason=refusal.reason)
    return named._replace(**tokens._asdict(), status=status, reason=reason)


def read_response(text: str | None) -> Answer:
    """The answer that a response's text gives; raises `Unreadable` when it gives none."""
    if text is None:
        raise Unreadable("response_missing")
    if text[:1] != "{":
        text = _plain(text)
    return read_stream(text) if is_stream(text) else read_body(text)


def _plain(text: str) -> str:
    """The text without what may stand before it, or around it when it was made JSON text twice."""
    text = text.lstrip("\ufeff \t\r\n")
    if not text:
        raise Unreadable("response_empty")
    if text[0] != '"':
        return text
    inner = unquoted(text)
    return inner.lstrip("\ufeff \t\r\n") if inner and inner[:1] != '"' else text


def record_of(
    answer: Answer, asked: Request, request: str | None, operation: str | None = None
) -> UsageRecord:
    """The record that an answer makes together with what was asked."""
    status, reason, kind, streamed, tokens = (
        answer.status,
        answer.reason,
        answer.operation or operation_asked_for(request) or operation,
        answer.is_stream,
        answer.tokens,
    )
    retrieved = False
    if status in ("failed", "rejected") and asked.get("stream") is not None:
        # An error's body is no stream, yet a stream was asked for.
        streamed = asked["stream"]
    elif status == "metered" and kind == RESPONSES and not request:
        # Only a retrieval has no body: it repeats the usage of the call that it retrieves.
        reason, retrieved = (f"{reason}; retrieved" if reason else "retrieved"), True
    return UsageRecord(
        user_id=_name(asked.get("user") or asked.get("safety_identifier")),
        operation=kind,
        object=_name(answer.object),
        model=_name(answer.model or asked.get("model")),
        request_model=_name(asked.get("model")),
        is_stream=streamed,
        is_retrieval=retrieved,
        response_id=_name(answer.response_id),
        **tokens._asdict(),
        status=status,
        reason=reason,
    )


def _refused(
    refusal: Unreadable, asked: Request, request: str | None, hint: str | None = None
) -> UsageRecord:
    names = refusal.names
    operation = by_object(names.get("object")) or operation_asked_for(request) or hint
    if refusal.reason in _NO_JSON and operation in UNIT_BILLED:
        # Sound, subtitles and plain text are what these calls answer with.
        return record_of(Answer("unit_billed", None, operation), asked, request)
    answer = Answer(
        "rejected", refusal.reason, operation, names.get("object"), names.get("model"), names.get("id")
    )
    return record_of(answer, asked, request)


def _name(text: str | None) -> str | None:
    """A foreign text as a column holds it: nothing is null, and the length is bounded."""
    if not text:
        return None
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"
