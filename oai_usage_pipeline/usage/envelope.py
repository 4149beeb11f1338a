"""Opening events: bytes become columns of bronze, or a reason why they can't.

Here is what holds for the bytes of any event. Which fields an event of which shape has belongs in
`shapes`, what the Request and Response texts mean in `bodies`, `streams` and `metering`; secrets
belong in `fingerprint`.
"""

from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from oai_usage_pipeline.usage.columns import FIELDS, NOT_TEXT, Envelope
from oai_usage_pipeline.usage.shapes import open_array, open_fields, shape_of
from oai_usage_pipeline.usage.shapes.reference import EnvelopeContract

__all__ = ["FIELDS", "TRUNCATED", "Envelope", "Part", "open_envelope", "open_partly"]

TRUNCATED = "envelope_truncated"
"""The reason of an envelope that was cut: the gateway cuts a message at 200 KB in silence."""

# The validator beneath the adapter: a call less on a path that every event takes.
_validate_json = TypeAdapter(EnvelopeContract).validator.validate_json

_LONGEST_CHARACTER = 12
"""Bytes: two escaped halves of a surrogate pair."""

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Part(NamedTuple):
    """What there is of an event that was cut, or of an array of events: its last value may lack its end.

    Unless the cut lies right behind a whole event of the array, or a whole record of the event.
    """

    event: dict[str, Any] | list[Any]
    is_between_events: bool = False
    is_between_records: bool = False


def open_envelope(body: bytes) -> Envelope:
    """Read the body of one event; never raises, whatever the bytes.

    A UTF-8 mark at the start and UTF-16 with its mark are read; an EventTime that is a number is
    kept as its text. What is no event of a known shape, nor an array of them, comes back as a `reason`.
    """
    try:
        fields: dict[str, Any] = _validate_json(body)
    except ValidationError as error:
        return _open_otherwise(body, error)
    get = fields.get
    envelope = Envelope(get("EventTime"), get("AppSubscriptionKey"), get("Request"), get("Response"))
    if len(fields) == len(FIELDS) and None not in envelope[: len(FIELDS)]:
        return envelope
    return open_fields(fields)


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
        return _open_no_object(body)
    wrong = [str(error["loc"][0]) for error in errors]
    if wrong != ["EventTime"]:
        return Envelope(reason=NOT_TEXT[next(name for name in wrong if name != "EventTime")])
    fields = from_json(body)
    if type(fields["EventTime"]) is not int:
        return Envelope(reason="event_time_not_text")
    # An epoch is no text, but only the clock is lost with it, not the call.
    return open_fields(fields)


def _open_no_object(body: bytes) -> Envelope:
    events = from_json(body)
    return open_array(events) if isinstance(events, list) else Envelope(reason="envelope_not_object")


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


def open_partly(body: bytes) -> Part | None:
    """What there is of an event, or an array of them, that was cut; None if none was cut.

    Tells a cut from damage: what is there must be right to its last byte, and enough of it must have
    been reached to know a shape.
    """
    if not _ends_too_early(body):
        return None
    try:
        event = from_json(body, allow_partial="trailing-strings", allow_inf_nan=False)
    except ValueError:
        return None
    events = event if isinstance(event, list) else [event]
    if not any(isinstance(each, dict) and shape_of(each) for each in events):
        return None
    # Only lists can end between two items; each look reads all of the event once more.
    has_records = any(isinstance(each, dict) and "records" in each for each in events)
    return Part(
        event,
        isinstance(event, list) and _closes(body, b"]"),
        has_records and (_closes(body, b"]}") or _closes(body, b"]}]")),
    )


def _closes(body: bytes, end: bytes) -> bool:
    """Whether nothing but this end is missing."""
    try:
        from_json(body.rstrip(b" \t\r\n").removesuffix(b",") + end)
    except ValueError:
        return False
    return True


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
