"""The contracts of the Delta tables: names, columns, types, partitioning.

Pure data that every layer may import. How tables are written belongs in `lake`, how rows come
about in `capture`, `usage` and `refresh`.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

INSTANT = pl.Datetime("us", "UTC")
"""Every instant is UTC with microseconds: naive ones change the Delta protocol, nanoseconds lose digits."""

FIRST_DATE = date(2023, 1, 1)
"""No usage is older: Azure OpenAI became generally available in January 2023."""

EVENT_KEY = ("event_hub", "incarnation", "partition_id", "sequence_number")
"""What makes an Event Hubs message unique, for ever: a hub made again is a new incarnation."""


@dataclass(frozen=True)
class TableContract:
    """One Delta table: its columns in order, its partition column and the columns with statistics.

    `statistics` leaves out payloads and keys: Delta writes each column's minimum and maximum into
    its log in clear. `unique` names columns whose values hardly repeat: a dictionary of them would
    cost a quarter of the writing time for nothing.
    """

    name: str
    schema: dict[str, pl.DataType]
    partition_by: str
    statistics: tuple[str, ...]
    unique: tuple[str, ...]
    version: int
    description: str

    def column_description(self, column: str) -> str:
        """What a column holds; the same name means the same in every table."""
        return COLUMN_DESCRIPTIONS[column]

    def empty(self) -> pl.DataFrame:
        """A frame of zero rows with this table's columns."""
        return pl.DataFrame(schema=self.schema)


OPENAI_EVENTS = TableContract(
    name="openai_events",
    description="Bronze: every event the hub delivered, as it came, exactly once.",
    version=1,
    partition_by="enqueued_date",
    statistics=("partition_id", "sequence_number", "enqueued_at"),
    unique=("offset", "EventTime", "Request", "Response", "properties", "body"),
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
    },
)

STATUSES = ("metered", "unmetered", "pending", "failed", "unit_billed", "rejected")

TOKEN_COLUMNS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_input_tokens",
    "reasoning_output_tokens",
)

USAGE_EVENTS = TableContract(
    name="usage_events",
    description="Silver: at least one typed row with a status for every bronze row; no prompts.",
    version=1,
    partition_by="enqueued_date",
    statistics=("partition_id", "sequence_number", "enqueued_at", "event_at", "usage_date"),
    unique=("response_id",),
    schema={
        "event_hub": pl.String(),
        "incarnation": pl.String(),
        "partition_id": pl.String(),
        "sequence_number": pl.Int64(),
        "event_index": pl.Int32(),
        "enqueued_at": INSTANT,
        "enqueued_date": pl.Date(),
        "event_at": INSTANT,
        "usage_date": pl.Date(),
        "subscription": pl.String(),
        "user_id": pl.String(),
        "operation": pl.String(),
        "object": pl.String(),
        "model": pl.String(),
        "deployment": pl.String(),
        "is_stream": pl.Boolean(),
        "response_id": pl.String(),
        **{column: pl.Int64() for column in TOKEN_COLUMNS},
        "status": pl.String(),
        "reason": pl.String(),
        "schema_version": pl.Int32(),
    },
)

USAGE_DIMENSIONS = (
    "hour_at",
    "usage_date",
    "subscription",
    "user_id",
    "operation",
    "model",
    "deployment",
)

TOKEN_USAGE_HOURLY = TableContract(
    name="token_usage_hourly",
    description="Gold: requests, statuses and tokens by hour, subscription, user, operation and model.",
    version=1,
    partition_by="usage_date",
    statistics=("hour_at",),
    unique=(),
    schema={
        "hour_at": INSTANT,
        "usage_date": pl.Date(),
        "subscription": pl.String(),
        "user_id": pl.String(),
        "operation": pl.String(),
        "model": pl.String(),
        "deployment": pl.String(),
        "request_count": pl.Int64(),
        **{f"{status}_count": pl.Int64() for status in STATUSES},
        **{column: pl.Int64() for column in TOKEN_COLUMNS},
    },
)

COLUMN_DESCRIPTIONS = {
    "event_hub": "Namespace and hub that delivered the event",
    "incarnation": "When the hub was created (UTC): a hub made again starts its numbers anew",
    "partition_id": "Partition of the hub",
    "sequence_number": "Number of the event in its partition",
    "offset": "The hub's own, opaque place of the event",
    "enqueued_at": "When the hub accepted the event (UTC)",
    "enqueued_date": "Day of enqueued_at (UTC)",
    "EventTime": "The gateway's time of the call, as it came",
    "AppSubscriptionKey": "Fingerprint of the caller's subscription key; the key itself is never stored",
    "Request": "Body of the request, as it came",
    "Response": "Body of the response, as it came; for streams the server-sent events",
    "properties": "Every other field of the envelope (JSON)",
    "body": "The event's bytes, without keys, where it is no readable envelope",
    "reason": "Why the event or the call is not what it should be; null when it is",
    "event_index": "Number of the record within its event",
    "event_at": "When the call was made (UTC); enqueued_at where the event doesn't say",
    "usage_date": "Day of event_at (UTC): the day that is charged",
    "hour_at": "Hour of event_at (UTC)",
    "subscription": "Who called: fingerprint of the subscription key",
    "user_id": "The end user that the caller named",
    "operation": "Kind of API: chat.completions, responses, embeddings, ...",
    "object": "The response's own word for what it is",
    "model": "Model that answered; the one asked for where the answer names none",
    "deployment": "Deployment that was called; null where the event doesn't say",
    "is_stream": "Whether the answer was streamed",
    "response_id": "The response's own id",
    "input_tokens": "Tokens in; null when not reported",
    "output_tokens": "Tokens out; null when not reported",
    "total_tokens": "Tokens in all, as reported; null when not",
    "cached_input_tokens": "Those of input_tokens that came from the prompt cache",
    "reasoning_output_tokens": "Those of output_tokens that were spent on reasoning",
    "status": "metered, unmetered, pending, failed, unit_billed or rejected",
    "schema_version": "Version of the contract that the row was derived by",
    "request_count": "Calls and rejected events",
    "metered_count": "Calls whose tokens were reported",
    "unmetered_count": "Successful calls without reported usage, such as streams without include_usage",
    "pending_count": "Calls that were not finished, such as queued responses",
    "failed_count": "Calls that ended in an error",
    "unit_billed_count": "Calls charged by another unit than tokens",
    "rejected_count": "Events that no usage could be read from",
}
