"""Misfits: rows with a value that no column of bronze holds. They keep their place, and lose their columns.

Only what stands in for such a row belongs here; a batch without one never comes this way. A batch that
fails to become a frame would be read again and fail again, and its partition would stop for ever.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

import polars as pl

from oai_usage_pipeline.tables import FIRST_DATE
from oai_usage_pipeline.usage.salvage import NOT_HELD

EARLIEST_MS = int(datetime.combine(FIRST_DATE, time(), UTC).timestamp()) * 1000
LATEST_MS = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 1000
"""When an event may have been accepted by the hub: from the first to before the last, in milliseconds since
1970. Beyond years of four digits, the libraries below end the process's thread instead of raising."""

_PLACE = ("partition_id", "sequence_number")


def fitted(row: Sequence[Any], types: dict[str, pl.DataType]) -> tuple[Any, ...]:
    """The row as it is, or a rejected one in its place: the columns as JSON in `body`, reason `NOT_HELD`.

    `types` are the columns in the order of the row. Partition and number must be right: the row is known
    by them.
    """
    columns = dict(zip(types, row, strict=True))
    if all(_is_held(name, value, types[name]) for name, value in columns.items()):
        return tuple(row)
    kept: dict[str, Any] = {name: None for name in types if name not in _PLACE}
    kept |= {"offset": _text(columns["offset"]), "enqueued_at": _instant(columns["enqueued_at"])}
    kept |= {"body": _bytes(columns), "reason": NOT_HELD}
    return tuple(kept.get(name, columns[name]) for name in types)


def _is_held(name: str, value: object, dtype: pl.DataType) -> bool:
    if name == "enqueued_at":
        return _instant(value) == value
    try:
        pl.Series(name, [value], dtype=dtype)
    except Exception:  # noqa: BLE001  # whatever it is: the row can't be held
        return False
    return True


def _instant(value: object) -> int:
    return value if isinstance(value, int) and EARLIEST_MS <= value < LATEST_MS else EARLIEST_MS


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _bytes(columns: dict[str, Any]) -> bytes:
    """What the event was, without its key: its bytes, or else its columns; a lone surrogate as an escape."""
    body = columns["body"]
    if isinstance(body, bytes):
        return body
    named = {name: value for name, value in columns.items() if name not in _PLACE and value is not None}
    return json.dumps(named, default=_text).encode()
