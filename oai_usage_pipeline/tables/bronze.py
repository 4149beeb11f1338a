"""Bronze: every event of the hub, as it came, or what the setting for payloads lets be kept of it."""

import polars as pl

from oai_usage_pipeline.tables.contract import INSTANT, TableContract
from oai_usage_pipeline.tables.history import Change

EVENT_KEY = ("event_hub", "incarnation", "partition_id", "sequence_number")
"""What makes an Event Hubs message unique, for ever: a hub made again is a new incarnation."""

OPENAI_EVENTS = TableContract(
    name="openai_events",
    description="Bronze: every event the hub delivered, as it came, exactly once.",
    version=2,
    history=(
        Change(1, "The first.", "f04a468e"),
        Change(
            2,
            "A note of what was taken out of a row's texts, and what the event came to with them.",
            "91fdbd4d",
            rebuilds=False,
            added=("payload",),
        ),
    ),
    partition_by="enqueued_date",
    statistics=("partition_id", "sequence_number", "enqueued_at"),
    unique=("offset", "EventTime", "Request", "Response", "properties", "body", "payload"),
    schema={
        "event_hub": pl.String(),
        "incarnation": pl.String(),
        "partition_id": pl.String(),
        "sequence_number": pl.Int64(),
        "offset": pl.String(),
        "enqueued_at": INSTANT,
        "enqueued_date": pl.Date(),
        "EventTime": pl.String(),
        "AppSubscriptionKey": pl.String(),
        "Request": pl.String(),
        "Response": pl.String(),
        "properties": pl.String(),
        "body": pl.Binary(),
        "reason": pl.String(),
        "payload": pl.String(),
    },
)
