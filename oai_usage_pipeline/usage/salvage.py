"""Events whose bytes bronze kept because they couldn't be opened: what can still be told.

A body is opened again by today's reader, so that an event which an older one couldn't read is
accounted for after a rebuild. What can't be told is null; nothing is guessed.
"""

from typing import Any

from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.envelope import TRUNCATED, Part, open_envelope, open_partly
from oai_usage_pipeline.usage.metering import UsageRecord, meter_cut
from oai_usage_pipeline.usage.shapes import Line, lines_of, lines_of_array, open_fields, shape_of
from oai_usage_pipeline.usage.shapes.diagnostics import DIAGNOSTICS, lines_of_cut
from oai_usage_pipeline.usage.shapes.shape import remarked

NOT_HELD = "value_not_held"
"""The reason of an event with a value that no column holds: its bytes are its columns, for people to see."""

_BODIES = ("Request", "Response", "request", "response")
_CUT = Line(UsageRecord(status="unmetered", reason="truncated"))


def salvage(body: bytes | None, reason: str | None) -> list[Line]:
    """What the scrubbed bytes of one event tell; `reason` is the one that capture found."""
    if body is None or reason == NOT_HELD:
        return [_rejected(reason or "envelope_empty")]
    # A cut doesn't heal: what capture found to be one needs no second look as a whole.
    envelope = Envelope(reason=TRUNCATED) if reason == TRUNCATED else open_envelope(body)
    if envelope.reason is None:
        return lines_of(envelope)
    part = open_partly(body) if envelope.reason == TRUNCATED else None
    if part is None:
        return [_rejected(reason or envelope.reason)]
    event = part.event
    return _remarked(_of_array(event, part) if isinstance(event, list) else _of_event(event, part))


def _rejected(reason: str) -> Line:
    return Line(UsageRecord(reason=reason))


def _remarked(lines: list[Line]) -> list[Line]:
    """The lines, one of which says that the event was cut; at least one."""
    *others, last = lines or [_CUT]
    if any("truncated" in (line.record.reason or "") for line in (*others, last)):
        return [*others, last]
    return [*others, last._replace(record=remarked(last.record, "truncated"))]


def _of_array(events: list[Any], part: Part) -> list[Line]:
    """The lines of the whole events, and of the cut one if it tells anything that a call is known by."""
    if part.is_between_events:
        return lines_of_array(events)
    whole, last = lines_of_array(events[:-1]), events[-1]
    cut = _of_event(last, part) if isinstance(last, dict) and shape_of(last) else []
    return whole + ([line for line in cut if _tells_anything(line)] if whole else cut)


def _tells_anything(line: Line) -> bool:
    record, call = line.record, line.call
    known = (record.user_id, record.operation, record.model, record.response_id)
    return any(each is not None for each in (*known, *call[1:]))


def _of_event(fields: dict[str, Any], part: Part) -> list[Line]:
    last = next(reversed(fields))
    if last == "records" and shape_of(fields) is DIAGNOSTICS:
        return lines_of(open_fields(fields)) if part.is_between_records else lines_of_cut(fields[last])
    # Of a body the part is worth reading; half a time or half a key is none.
    opened = open_fields(fields if last in _BODIES else fields | {last: None})
    return [_CUT] if opened.reason is not None else lines_of(opened, meter_cut)
