"""Derive and its reference on the same bronze rows, in one process and on one thread.

Belongs here: making the rows from generated traffic, and timing both. DuckDB takes the same fields
out with its JSON functions; of streams, which it has no function for, it takes nothing, and it
neither judges nor flags what it finds.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from oai_usage_pipeline.capture.landing import bronze_frame, land
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.traffic.generator import generate
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

START = datetime(2026, 1, 1, tzinfo=UTC)

_TOTAL = "$.usage.total_tokens"
_REQUEST_PATHS = ("$.stream", "$.user", "$.model")
_RESPONSE_PATHS = (
    *("$.id", "$.model", "$.object", "$.error.code"),
    *("$.usage.prompt_tokens", "$.usage.input_tokens"),
    *("$.usage.completion_tokens", "$.usage.output_tokens", _TOTAL),
    *("$.usage.prompt_tokens_details.cached_tokens", "$.usage.input_tokens_details.cached_tokens"),
    *(
        "$.usage.completion_tokens_details.reasoning_tokens",
        "$.usage.output_tokens_details.reasoning_tokens",
    ),
)

Work = Callable[[], int]
"""Goes through all rows once; returns the total of `total_tokens` that it found."""


def compare(events: int, rounds: int) -> dict[str, float]:
    """Events a second of each side, taken in turn, by round; and the mean size of a row."""
    bronze = generated_bronze(events)
    sides = {"ours": lambda: int(derive(bronze)["total_tokens"].sum()), **_duckdb(bronze)}
    result: dict[str, float] = {"events": events, "mean_bytes": _mean_bytes(bronze)}
    for n in range(rounds):
        found = {}
        for name, work in sides.items():
            started = time.perf_counter()
            found[name] = work()
            result[f"{name}_{n}"] = events / (time.perf_counter() - started)
        _refuse_idleness(found)
    return result


def generated_bronze(events: int, day: int = 0) -> pl.DataFrame:
    """Bronze rows of generated traffic of all kinds, a millisecond apart, so many days after START."""
    fingerprint, start = KeyFingerprint(b"benchmark"), START + timedelta(days=day)
    hub = Hub("namespace/hub", START.isoformat(), ("0",))
    enqueued_ms = int(start.timestamp() * 1000)
    rows = [
        land("0", HubEvent(n, str(n), enqueued_ms + n, event.body), fingerprint)
        for n, event in enumerate(generate(day + 1, start, events), day * events)
    ]
    return bronze_frame(hub, rows)


def _refuse_idleness(found: dict[str, int]) -> None:
    """A reference that finds nothing is fast for nothing; streams are what DuckDB may miss."""
    if min(found.values()) < 0.5 * max(found.values()):
        raise AssertionError(f"the sides don't do the same work, their tokens are {found}")


def _duckdb(bronze: pl.DataFrame) -> dict[str, Work]:
    """As people write it, an expression for each field; and as it is fastest, all paths in one call."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.register("bronze", bronze.to_arrow())

    def work(fields: str) -> Work:
        query = f"SELECT partition_id, sequence_number, AppSubscriptionKey, {fields} FROM bronze"
        return lambda: _total(connection.execute(query).to_arrow_table())

    return {"duckdb_fields": work(_a_field_each()), "duckdb_lists": work(_all_in_one())}


def _a_field_each() -> str:
    fields = [f"{_if_object('Request')} Request->>'{path}' END" for path in _REQUEST_PATHS]
    fields += [
        f"{_if_object('Response')} Response->>'{path}' END" for path in _RESPONSE_PATHS if path != _TOTAL
    ]
    total = f"{_if_object('Response')} Response->>'{_TOTAL}' END"
    return ", ".join([*fields, f"TRY_CAST({total} AS BIGINT) AS total_tokens"])


def _all_in_one() -> str:
    total = _RESPONSE_PATHS.index(_TOTAL) + 1
    asked, answered = (
        f"{_if_object(column)} json_extract_string({column}, {list(paths)}) END"
        for column, paths in (("Request", _REQUEST_PATHS), ("Response", _RESPONSE_PATHS))
    )
    return f"{asked} AS asked, {answered} AS answered, TRY_CAST(answered[{total}] AS BIGINT) AS total_tokens"


def _if_object(column: str) -> str:
    # A JSON function ends the whole query at a text that is no JSON; streams are none.
    return f"CASE WHEN {column} LIKE '{{%' THEN"


def _total(table: pa.Table) -> int:
    return int(pc.sum(table["total_tokens"]).as_py())


def _mean_bytes(bronze: pl.DataFrame) -> float:
    texts = pl.col("Request", "Response").str.len_bytes()
    sizes = bronze.select(pl.sum_horizontal(texts, pl.col("body").bin.size()))
    return float(sizes.to_series().sum() / bronze.height)
