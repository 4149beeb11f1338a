"""Bodies and bronze rows that the tests of accounting are made of; nothing here reads any."""

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl

from oai_usage_pipeline.tables import OPENAI_EVENTS

ENQUEUED_AT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
EVENT_TIME = "2026-05-01T11:59:58.1234567Z"
FINGERPRINT = "v1-" + "0123456789abcdef" * 2
REQUEST = '{"model": "my-deployment", "user": "u-1", "messages": [{"role": "user", "content": "Hi"}]}'
USAGE = '{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}'


def chat(usage: str | None = USAGE, *, before: str = "") -> str:
    """A chat completion whose usage is the JSON text given; None leaves it out."""
    tail = "" if usage is None else f', "usage": {usage}'
    return (
        f'{{{before}"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-08-06", '
        f'"choices": [{{"index": 0, "message": {{"role": "assistant", "content": "Hello"}}}}]{tail}}}'
    )


def chunk(usage: str | None = None, *, choices: str = '[{"delta": {"content": "Hello"}}]') -> str:
    """One event of a chat stream."""
    tail = "" if usage is None else f', "usage": {usage}'
    return (
        'data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06", '
        f'"choices": {choices}{tail}}}\n\n'
    )


DONE = "data: [DONE]\n\n"


def bronze(*events: dict[str, Any]) -> pl.DataFrame:
    """Bronze rows in order; each event overrides what a usual one has."""
    usual = {
        "event_hub": "hub",
        "incarnation": "2026-01-01T00:00:00Z",
        "partition_id": "0",
        "offset": "0",
        "enqueued_at": ENQUEUED_AT,
        "enqueued_date": ENQUEUED_AT.date(),
        "EventTime": EVENT_TIME,
        "AppSubscriptionKey": FINGERPRINT,
        "Request": REQUEST,
        "Response": chat(),
    }
    rows = [usual | {"sequence_number": number} | event for number, event in enumerate(events)]
    return pl.DataFrame(rows, schema=OPENAI_EVENTS.schema)


def unreadable(body: bytes, reason: str | None = None) -> dict[str, Any]:
    """What distinguishes the bronze row of an event whose bytes were kept."""
    columns = ("EventTime", "AppSubscriptionKey", "Request", "Response")
    return dict.fromkeys(columns) | {"body": body, "reason": reason}


def envelope(**changed: Any) -> bytes:
    """A reference envelope as the gateway writes it; a field set to None is JSON null."""
    fields = {
        "EventTime": EVENT_TIME,
        "AppSubscriptionKey": "0123456789abcdef0123456789abcdef",
        "Request": REQUEST,
        "Response": chat(),
    }
    return json.dumps(fields | changed, indent=2).encode()
