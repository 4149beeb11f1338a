"""Bronze rows: how one event lands, and how many rows become a frame.

Belongs here: the event as it came, with the caller's key replaced by its fingerprint before
anything is kept. What an event means is for `usage`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.envelope import open_envelope
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint


class LandedRow(NamedTuple):
    """One bronze row without what is the same for the whole hub; columns as in OPENAI_EVENTS."""

    partition_id: str
    sequence_number: int
    offset: str
    enqueued_at: int
    EventTime: str | None
    AppSubscriptionKey: str | None
    Request: str | None
    Response: str | None
    properties: str | None
    body: bytes | None
    reason: str | None


def land(partition_id: str, event: HubEvent, fingerprint: KeyFingerprint) -> LandedRow:
    """The bronze row of one event; never raises, whatever the bytes are.

    A readable envelope is kept as its fields, anything else as its bytes with a reason; in both
    the key is replaced wherever it stands.
    """
    envelope = fingerprint.seal(open_envelope(event.body))
    body = None if envelope.reason is None else fingerprint.scrub_unreadable(event.body)
    event_time, key, request, response, properties, reason = envelope
    return LandedRow(
        partition_id,
        event.sequence_number,
        event.offset,
        event.enqueued_ms,
        event_time,
        key,
        request,
        response,
        properties,
        body,
        reason,
    )


def bronze_frame(hub: Hub, rows: Sequence[LandedRow]) -> pl.DataFrame:
    """The rows as a frame with the columns of OPENAI_EVENTS."""
    columns: Iterable[Sequence[object]] = zip(*rows, strict=True) if rows else [()] * len(LandedRow._fields)
    series = {
        name: pl.Series(name, values, dtype=_landed_type(name))
        for name, values in zip(LandedRow._fields, columns, strict=True)
    }
    enqueued_at = series["enqueued_at"].cast(pl.Datetime("ms", "UTC"))
    return pl.DataFrame(series).select(
        pl.lit(hub.event_hub).alias("event_hub"),
        pl.lit(hub.incarnation).alias("incarnation"),
        "partition_id",
        "sequence_number",
        "offset",
        enqueued_at.cast(OPENAI_EVENTS.schema["enqueued_at"]).alias("enqueued_at"),
        enqueued_at.dt.date().alias("enqueued_date"),
        *LandedRow._fields[4:],
    )


def _landed_type(name: str) -> pl.DataType:
    return pl.Int64() if name == "enqueued_at" else OPENAI_EVENTS.schema[name]
