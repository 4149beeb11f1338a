"""Events whose bytes bronze kept because they couldn't be opened: what can still be told.

A body is opened again by today's reader, so that an event which an older one couldn't read is
accounted for after a rebuild. What can't be told is null; nothing is guessed.
"""

from typing import Any

from oai_usage_pipeline.usage.answers import Answer, Unreadable
from oai_usage_pipeline.usage.bodies import read_cut_body
from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.envelope import TRUNCATED, open_envelope, open_partly
from oai_usage_pipeline.usage.metering import UsageRecord, record_of
from oai_usage_pipeline.usage.requests import read_request
from oai_usage_pipeline.usage.shapes import Line, lines_of, open_fields
from oai_usage_pipeline.usage.streams import is_stream, read_whole
from oai_usage_pipeline.usage.tokens import NO_TOKENS

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
    return lines_of(opened, _meter_cut) + cut


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


def _meter_cut(request: str | None, response: str | None, operation: str | None) -> UsageRecord:
    return record_of(_cut_answer(response), read_request(request), request, operation)


def _cut_answer(response: str | None) -> Answer:
    if not response:
        return Answer("unmetered", "truncated")
    try:
        answer = read_whole(response) if is_stream(response) else read_cut_body(response)
    except Unreadable:
        answer = Answer("unmetered")
    # Counts may stand before the cut; whether they are the last ones is beyond it.
    return answer._replace(status="unmetered", reason="truncated", tokens=NO_TOKENS)
