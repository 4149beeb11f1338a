"""The reference envelope: the four fields that the gateway's policy logs for every call.

Here bytes become columns of bronze, or a reason why they can't. What the Request and Response
texts mean belongs in `bodies`, `streams` and `metering`; secrets belong in `fingerprint`.
"""

import json
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json
from typing_extensions import TypedDict

FIELDS = ("EventTime", "AppSubscriptionKey", "Request", "Response")

TRUNCATED = "envelope_truncated"
"""The reason of an envelope that was cut: the gateway cuts a message at 200 KB in silence."""


class Envelope(NamedTuple):
    """One event as bronze keeps it; with a `reason`, no column is set and the raw bytes are kept.

    `properties` is the JSON object of every field besides the four, or None when there is none.
    """

    EventTime: str | None = None
    AppSubscriptionKey: str | None = None
    Request: str | None = None
    Response: str | None = None
    properties: str | None = None
    reason: str | None = None


class EnvelopeContract(TypedDict, total=False):
    """What a readable envelope holds: texts, never nested JSON; other fields are kept, not judged."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    EventTime: str | None
    AppSubscriptionKey: str | None
    Request: str | None
    Response: str | None


# The validator beneath the adapter: a call less on a path that every event takes.
_validate_json = TypeAdapter(EnvelopeContract).validator.validate_json

_LONGEST_CHARACTER = 12
"""Bytes: two escaped halves of a surrogate pair."""

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_NOT_TEXT = {
    "EventTime": "event_time_not_text",
    "AppSubscriptionKey": "subscription_key_not_text",
    "Request": "request_not_text",
    "Response": "response_not_text",
}


def open_envelope(body: bytes) -> Envelope:
    """Read the body of one event; never raises, whatever the bytes.

    A UTF-8 mark at the start and UTF-16 with its mark are read; an EventTime that is a number is
    kept as its text. Everything else that is no reference envelope comes back as a `reason`.
    """
    try:
        fields: dict[str, Any] = _validate_json(body)
    except ValidationError as error:
        return _open_otherwise(body, error)
    return _columns(fields)


def _columns(fields: dict[str, Any]) -> Envelope:
    get = fields.get
    envelope = Envelope(get("EventTime"), get("AppSubscriptionKey"), get("Request"), get("Response"))
    if len(fields) == len(FIELDS) and None not in envelope[: len(FIELDS)]:
        return envelope
    others = {name: value for name, value in fields.items() if name not in FIELDS}
    if len(others) == len(fields):
        return Envelope(reason="envelope_unknown")
    return _with_properties(envelope, others)


def _with_properties(envelope: Envelope, others: dict[str, Any]) -> Envelope:
    if not others:
        return envelope
    try:
        # NaN and Infinity are no JSON, though lenient parsers let them in.
        text = json.dumps(others, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return Envelope(reason="envelope_not_json")
    return envelope._replace(properties=text)


def _open_otherwise(body: bytes, error: ValidationError) -> Envelope:
    """Try what a person would still read as an envelope; else name the reason."""
    if body.startswith(_UTF8_BOM):
        rest = body[len(_UTF8_BOM) :]
        # One mark is a mark, two are garbage; a megabyte of them must not recurse.
        return Envelope(reason="envelope_not_json") if rest.startswith(_UTF8_BOM) else open_envelope(rest)
    if body.startswith(_UTF16_BOMS):
        return _open_utf16(body)
    errors = error.errors(include_url=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return Envelope(reason=_why_not_json(body, str(errors[0].get("ctx", {}).get("error", ""))))
    return _open_with_wrong_types(body, errors)


def _open_utf16(body: bytes) -> Envelope:
    try:
        text = body.decode("utf-16")
    except UnicodeDecodeError:
        return Envelope(reason="envelope_not_utf8")
    return open_envelope(text.encode("utf-8", "replace"))


def _open_with_wrong_types(body: bytes, errors: list[ErrorDetails]) -> Envelope:
    if errors[0]["type"] == "dict_type":
        return Envelope(reason="envelope_not_object")
    wrong = [str(error["loc"][0]) for error in errors]
    if wrong != ["EventTime"]:
        return Envelope(reason=_NOT_TEXT[next(name for name in wrong if name != "EventTime")])
    fields = json.loads(body)
    if type(fields["EventTime"]) is not int:
        return Envelope(reason="event_time_not_text")
    # An epoch is no text, but only the clock is lost with it, not the call.
    return _columns(fields | {"EventTime": str(fields["EventTime"])})


def _why_not_json(body: bytes, detail: str) -> str:
    if not body.strip():
        return "envelope_empty"
    if "recursion limit" in detail:
        return "envelope_too_deep"
    if "number out of range" in detail:
        return "envelope_number_out_of_range"
    if open_partly(body) is not None:
        return TRUNCATED
    if "surrogate" in detail or "hex escape" in detail:
        return "envelope_lone_surrogate"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "envelope_not_utf8"
    return "envelope_not_json"


def open_partly(body: bytes) -> dict[str, Any] | None:
    """The fields of an envelope that was cut, the last one perhaps only in part; None if none was cut.

    Tells a cut from damage: what is there must be right to its last byte, and one of the four
    fields must have been reached.
    """
    if not _ends_too_early(body):
        return None
    try:
        fields = from_json(body, allow_partial="trailing-strings", allow_inf_nan=False)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and not fields.keys().isdisjoint(FIELDS) else None


def _ends_too_early(body: bytes) -> bool:
    # A cut inside a character or an escape reads as damage until its first bytes are left out.
    for end in range(len(body), max(len(body) - _LONGEST_CHARACTER, 0), -1):
        try:
            from_json(body[:end])
        except ValueError as error:
            if str(error).startswith("EOF"):
                return True
        else:
            return False
    return False
