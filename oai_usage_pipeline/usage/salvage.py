"""Events whose bytes bronze kept because they couldn't be opened: what can still be told.

A body is opened again by today's reader, so that an event which an older one couldn't read is
accounted for after a rebuild. What can't be told is null; nothing is guessed.
"""

from typing import Any

from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.envelope import TRUNCATED, open_envelope, open_partly
from oai_usage_pipeline.usage.metering import UsageRecord, meter_cut
from oai_usage_pipeline.usage.shapes import Line, lines_of, open_fields

_BODIES = ("Request", "Response", "request", "response")


def salvage(body: bytes | None, reason: str | None) -> list[Line]:
    """What the scrubbed bytes of one event tell; `reason` is the one that capture found."""
    if body is None:
        return [_rejected(reason or "envelope_empty")]
    # A cut doesn't heal: what capture found to be one needs no second look as a whole.
    envelope = Envelope(reason=TRUNCATED) if reason == TRUNCATED else open_envelope(body)
    if envelope.reason is None:
        return lines_of(envelope)
    fields = open_partly(body) if envelope.reason == TRUNCATED else None
    if fields is None:
        return [_rejected(reason or envelope.reason)]
    return _from_part(fields)


def _rejected(reason: str) -> Line:
    return Line(UsageRecord(reason=reason))


def _from_part(fields: dict[str, Any]) -> list[Line]:
    whole, cut = _whole_fields(fields)
    opened = open_fields(fields | whole)
    if opened.reason is not None:
        return [Line(UsageRecord(status="unmetered", reason="truncated")), *cut]
    return lines_of(opened, meter_cut) + cut


def _whole_fields(fields: dict[str, Any]) -> tuple[dict[str, Any], list[Line]]:
    """What replaces the last field, which may lack its end: half a time or half a key is none.

    Of a body the part is worth reading; of a list the records before the last one are whole, and a line
    stands for what was cut.
    """
    last = next(reversed(fields))
    if last in _BODIES:
        return {}, []
    if isinstance(fields[last], list):
        return {last: fields[last][:-1]}, [Line(UsageRecord(status="unmetered", reason="truncated"))]
    return {last: None}, []
