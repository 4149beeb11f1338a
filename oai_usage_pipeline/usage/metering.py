"""One call, from its request and response texts to the usage columns of its silver row.

The response speaks first, the request fills in. Only this module knows both; which rows there are,
and when, belongs in `derive`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from oai_usage_pipeline.usage.answers import Answer, Unreadable, judge
from oai_usage_pipeline.usage.bodies import body_of, read_body, read_cut_body, unquoted
from oai_usage_pipeline.usage.estimates import ESTIMATED, estimate
from oai_usage_pipeline.usage.operations import (
    TRANSCRIPTIONS,
    TRANSLATIONS,
    UNIT_BILLED,
    WITHOUT_USAGE,
    by_object,
)
from oai_usage_pipeline.usage.requests import Request, operation_asked_for, read_request, tree_of
from oai_usage_pipeline.usage.streams import is_stream, read_stream, read_whole
from oai_usage_pipeline.usage.tokens import NO_TOKENS
from oai_usage_pipeline.usage.units import NO_UNITS, Units, units_answered, with_units_asked

LONGEST_NAME = 256
"""Characters. Longer foreign texts are cut and end in an ellipsis: a name is no place for a novel."""

RETRIEVED = "retrieved"
"""The reason of a stored answer that was fetched again: its usage is that of the call that made it."""

STORED = frozenset(("response", "thread.run", "chat.completion", "batch"))
"""Objects that are fetched by a request without a body, and made by one that has a body."""

_NO_JSON = ("response_not_json", "response_not_object")


class UsageRecord(NamedTuple):
    """What silver says about one call besides what only its envelope knows.

    `created_at` is no column: seconds since 1970 at which the answer was made, where it says so.
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

    `operation` is what the envelope says the call was, for bodies that don't tell. A success that
    reports no usage gets the estimates of its texts.
    """
    asked = read_request(request)
    try:
        answer = read_response(response)
    except Unreadable as refusal:
        return _refused(refusal, asked, request, operation)
    record = record_of(answer, asked, request, operation)
    return _estimated(record, request, response) if record.status == "unmetered" else record


def meter_cut(request: str | None, response: str | None, operation: str | None = None) -> UsageRecord:
    """The record of a call whose log was cut off: unmetered, `truncated`, with the texts' estimates."""
    record = record_of(_cut_answer(response), read_request(request), request, operation)
    return _estimated(record, request, response)


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
        model=name_held(model or request_model),
        request_model=name_held(request_model),
        is_stream=is_stream,
        response_id=name_held(response_id),
    )
    try:
        body = body_of({"usage": usage})
    except Unreadable as refusal:
        return named._replace(reason=refusal.reason)
    status, reason, tokens = judge(body, operation)
    units = units_answered(operation, {"usage": usage})
    return named._replace(**tokens._asdict(), **units._asdict(), status=status, reason=reason)


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


def record_of(answer: Answer, asked: Request, request: str | None, hint: str | None = None) -> UsageRecord:
    """The record that an answer makes together with what was asked."""
    status, reason, operation, kind, model, response_id, streamed, tokens, tier, ending, units, made = answer
    if operation is None:
        operation = hint or operation_asked_for(request)
    elif hint == TRANSLATIONS and operation == TRANSCRIPTIONS:
        operation = hint
    wanted = asked.get("model")
    is_retrieval = not request and kind in STORED
    if status in ("failed", "rejected") and asked.get("stream") is not None:
        # An error's body is no stream, yet a stream was asked for.
        streamed = asked["stream"]
    elif is_retrieval and status == "metered":
        reason = f"{reason}; {RETRIEVED}" if reason else RETRIEVED
    if operation in UNIT_BILLED:
        units = _units(units, operation, request, status)
        if status == "unit_billed" and not _is_told(units):
            reason = "units_missing"
    # By position, which takes half the time of by name.
    return UsageRecord(
        name_held(asked.get("user") or asked.get("safety_identifier")),
        operation,
        name_held(kind),
        name_held(model or wanted),
        name_held(wanted),
        name_held(tier) if tier else None,
        streamed,
        is_retrieval,
        name_held(response_id),
        *ending,
        *tokens,
        *units,  # type: ignore[arg-type]  # of a starred tuple mypy takes every field for any argument
        None,
        None,
        status,
        reason,
        made,
    )


def _units(units: Units, operation: str | None, request: str | None, status: str) -> Units:
    if status not in ("metered", "unit_billed"):
        return NO_UNITS
    return with_units_asked(units, operation, tree_of(request))


def _is_told(units: Units) -> bool:
    return (units.audio_duration_ms, units.image_count, units.character_count) != (None, None, None)


def _refused(
    refusal: Unreadable, asked: Request, request: str | None, hint: str | None = None
) -> UsageRecord:
    names = refusal.names
    operation = by_object(names.get("object")) or hint or operation_asked_for(request)
    if refusal.reason in _NO_JSON and operation in UNIT_BILLED:
        # Sound, subtitles and plain text are what these calls answer with.
        return record_of(Answer("unit_billed", None, operation), asked, request)
    if refusal.reason in _NO_JSON and operation in WITHOUT_USAGE:
        # So are the contents of a file, or the offer of a realtime session.
        return record_of(Answer("unmetered", "no_usage_expected", operation), asked, request)
    answer = Answer(
        "rejected", refusal.reason, operation, names.get("object"), names.get("model"), names.get("id")
    )
    return record_of(answer, asked, request)


def _estimated(record: UsageRecord, request: str | None, response: str | None) -> UsageRecord:
    if record.reason not in ESTIMATED:
        return record
    read, written = estimate(record.operation, record.model, request, response)
    return record._replace(estimated_input_tokens=read, estimated_output_tokens=written)


def _cut_answer(response: str | None) -> Answer:
    if not response:
        return Answer("unmetered", "truncated")
    try:
        answer = read_whole(response) if is_stream(response) else read_cut_body(response)
    except Unreadable:
        answer = Answer("unmetered")
    # Counts may stand before the cut; whether they are the last ones is beyond it.
    return answer._replace(status="unmetered", reason="truncated", tokens=NO_TOKENS, units=NO_UNITS)


def name_held(text: str | None) -> str | None:
    """A foreign text as a column holds it: nothing is null, and the length is bounded."""
    if not text:
        return None
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"
