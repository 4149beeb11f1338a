"""Events whose bytes bronze kept because they are no readable envelope: what can still be told.

A body is opened again by today's reader, so that an event which an older one couldn't read is
accounted for after a rebuild. What can't be told is null; nothing is guessed.
"""

from typing import Any, NamedTuple

from oai_usage_pipeline.usage.answers import Answer, Unreadable
from oai_usage_pipeline.usage.bodies import read_cut_body
from oai_usage_pipeline.usage.envelope import TRUNCATED, Envelope, open_envelope, open_partly
from oai_usage_pipeline.usage.fingerprint import is_fingerprint
from oai_usage_pipeline.usage.metering import UsageRecord, meter, record_of
from oai_usage_pipeline.usage.requests import read_request
from oai_usage_pipeline.usage.streams import is_stream, read_whole
from oai_usage_pipeline.usage.tokens import NO_TOKENS


class Salvaged(NamedTuple):
    """A record and the envelope's own columns, as far as they could be read."""

    record: UsageRecord
    event_time: str | None = None
    subscription: str | None = None


def salvage(body: bytes | None, reason: str | None) -> Salvaged:
    """What the scrubbed bytes of one event tell; `reason` is the one that capture found."""
    if body is None:
        return Salvaged(UsageRecord(reason=reason or "envelope_empty"))
    # A cut doesn't heal: what capture found to be one needs no second look as a whole.
    envelope = Envelope(reason=TRUNCATED) if reason == TRUNCATED else open_envelope(body)
    if envelope.reason is None:
        record = meter(envelope.Request, envelope.Response)
        return Salvaged(record, envelope.EventTime, _subscription(envelope.AppSubscriptionKey))
    fields = open_partly(body) if envelope.reason == TRUNCATED else None
    if fields is None:
        return Salvaged(UsageRecord(reason=reason or envelope.reason))
    return _from_part(fields)


def _from_part(fields: dict[str, Any]) -> Salvaged:
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    request = texts.get("Request")
    record = record_of(_cut_answer(texts.get("Response")), read_request(request), request)
    last = next(reversed(fields))
    # The last field may lack its end: half a time or half a key is none.
    whole = {name: text for name, text in texts.items() if name != last}
    return Salvaged(record, whole.get("EventTime"), _subscription(whole.get("AppSubscriptionKey")))


def _cut_answer(response: str | None) -> Answer:
    if not response:
        return Answer("unmetered", "truncated")
    try:
        answer = read_whole(response) if is_stream(response) else read_cut_body(response)
    except Unreadable:
        answer = Answer("unmetered")
    # Counts may stand before the cut; whether they are the last ones is beyond it.
    return answer._replace(status="unmetered", reason="truncated", tokens=NO_TOKENS)


def _subscription(text: str | None) -> str | None:
    """Only a fingerprint may leave a body: what scrubbing overlooked must not become a column."""
    return text if text and is_fingerprint(text) else None
