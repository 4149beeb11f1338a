"""Bronze rows: how one event lands, and how many rows become a frame.

Belongs here: the event as it came, with the caller's key replaced by its fingerprint before
anything is kept. What an event means is for `usage`.
"""

from collections.abc import Callable, Iterable, Sequence

import polars as pl

from oai_usage_pipeline.capture.misfits import EARLIEST_MS, LATEST_MS, fitted
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.envelope import open_envelope
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

LONGEST_EVENT = 2**20
"""Bytes: what an event hub takes as one message. Of a longer one, only so much is kept and read: the time
that one event may take is bounded by its length."""

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

Keep = Callable[[pl.DataFrame], pl.DataFrame]
"""Takes out of rows of bronze what is not to be written; their number and places stay."""

_LANDED_TYPES: dict[str, pl.DataType] = {name: OPENAI_EVENTS.schema[name] for name in LANDED_COLUMNS} | {
    "enqueued_at": pl.Int64()
}
_TOO_LARGE = Envelope(reason="event_too_large")
_FAILED = Envelope(reason="parser_failed")


def land(partition_id: str, event: HubEvent, fingerprint: KeyFingerprint) -> LandedRow:
    """The bronze row of one event; never raises, whatever the bytes are.

    A readable envelope is kept as its fields, anything else as its bytes with a reason; in both
    the key is replaced wherever it stands.
    """
    sequence_number, offset, enqueued_ms, body = event
    kept = None
    try:
        columns = fingerprint.seal(open_envelope(body)) if len(body) <= LONGEST_EVENT else _TOO_LARGE
        if columns.reason is not None:
            kept = fingerprint.scrub_unreadable(body[:LONGEST_EVENT])
    except Exception:  # noqa: BLE001  # a bug that one event reaches must not stop its partition for ever
        columns, kept = _FAILED, _scrubbed(body, fingerprint)
    event_time, key, request, response, properties, reason = columns
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


def _scrubbed(body: bytes, fingerprint: KeyFingerprint) -> bytes | None:
    """The bytes without keys; nothing where even that fails: what may hold a key is not written."""
    try:
        return fingerprint.scrub_unreadable(body[:LONGEST_EVENT])
    except Exception:  # noqa: BLE001  # as above
        return None


def as_they_came(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of bronze with their texts."""
    return rows


def bronze_frame(hub: Hub, rows: Sequence[LandedRow], keep: Keep = as_they_came) -> pl.DataFrame:
    """The rows as a frame with the columns of OPENAI_EVENTS, and of their texts what `keep` leaves.

    A row with a value that no column holds becomes a rejected one; the others are not touched by it.
    """
    try:
        frame = _frame(hub, rows)
    except Exception:  # noqa: BLE001  # whatever it is, one row's value must not cost the batch
        frame = _frame(hub, [fitted(row, _LANDED_TYPES) for row in rows])
    return keep(frame)


def _frame(hub: Hub, rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    columns: Iterable[Sequence[object]] = zip(*rows, strict=True) if rows else [()] * len(LANDED_COLUMNS)
    series = {
        name: pl.Series(name, values, dtype=_LANDED_TYPES[name])
        for name, values in zip(LANDED_COLUMNS, columns, strict=True)
    }
    # Before the cast, which for some of these is no error but the end of the thread.
    if not series["enqueued_at"].is_between(EARLIEST_MS, LATEST_MS, closed="left").all(ignore_nulls=False):
        raise ValueError("an event was accepted by the hub at no time that there was")
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
        pl.lit(None, OPENAI_EVENTS.schema["payload"]).alias("payload"),
    )
