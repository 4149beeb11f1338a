"""Bronze rows: how one event lands, and how many rows become a frame.

Belongs here: the event as it came, with the caller's key replaced by its fingerprint before
anything is kept. What an event means is for `usage`.
"""

from collections.abc import Iterable, Sequence

import polars as pl

from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.envelope import open_envelope
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

LANDED_COLUMNS = (
    "partition_id",
    "sequence_number",
    "offset",
    "enqueued_at",
    "EventTime",
    "AppSubscriptionKey",
    "Request",
    "Response",
    "properties",
    "body",
    "reason",
)
"""What differs from event to event; the rest of OPENAI_EVENTS is the hub's or follows from these."""

LandedRow = tuple[
    str, int, str, int, str | None, str | None, str | None, str | None, str | None, bytes | None, str | None
]
"""The values of LANDED_COLUMNS: a plain tuple is made in a tenth of a named one's time."""


def land(partition_id: str, event: HubEvent, fingerprint: KeyFingerprint) -> LandedRow:
    """The bronze row of one event; never raises, whatever the bytes are.

    A readable envelope is kept as its fields, anything else as its bytes with a reason; in both
    the key is replaced wherever it stands.
    """
    sequence_number, offset, enqueued_ms, body = event
    columns = fingerprint.seal(open_envelope(body))
    event_time, key, request, response, properties, reason = columns
    kept = None if reason is None else fingerprint.scrub_unreadable(body)
    return (
        partition_id,
        sequence_number,
        offset,
        enqueued_ms,
        event_time,
        key,
        request,
        response,
        properties,
        kept,
        reason,
    )


def bronze_frame(hub: Hub, rows: Sequence[LandedRow]) -> pl.DataFrame:
    """The rows as a frame with the columns of OPENAI_EVENTS."""
    columns: Iterable[Sequence[object]] = zip(*rows, strict=True) if rows else [()] * len(LANDED_COLUMNS)
    series = {
        name: pl.Series(name, values, dtype=_landed_type(name))
        for name, values in zip(LANDED_COLUMNS, columns, strict=True)
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
        *LANDED_COLUMNS[4:],
    )


def _landed_type(name: str) -> pl.DataType:
    return pl.Int64() if name == "enqueued_at" else OPENAI_EVENTS.schema[name]
