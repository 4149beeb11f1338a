"""Gold made anew from all of silver, and DuckDB adding up the same files.

Belongs here: both sides. DuckDB adds up what silver reports; it looks for no call with several records and
splits no tokens into priced buckets.
"""

import time

import duckdb
from deltalake import DeltaTable

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.day import refresh_days
from oai_usage_pipeline.refresh.gold import TOKEN_USAGE_HOURLY_DERIVATION
from oai_usage_pipeline.tables import (
    ESTIMATE_COLUMNS,
    STATUSES,
    TOKEN_COLUMNS,
    TOKEN_USAGE_HOURLY,
    USAGE_DIMENSIONS,
    USAGE_EVENTS,
)

_KEYS = ", ".join(name for name in USAGE_DIMENSIONS if name != "hour_at")
_COUNTS = ", ".join(f"count(*) FILTER (status = '{status}') AS {status}_count" for status in STATUSES)
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in (*TOKEN_COLUMNS, *ESTIMATE_COLUMNS))
_QUERY = f"""
    CREATE TABLE gold AS SELECT date_trunc('hour', event_at) AS hour_at, {_KEYS}, count(*) AS request_count,
    {_COUNTS}, {_SUMS} FROM read_parquet($files) GROUP BY ALL
"""


def rebuild(lake: str) -> dict[str, float]:
    """Every day of gold, by the pipeline, one after another as in a backfill."""
    started, processor = time.perf_counter(), time.process_time()
    days = sorted(Lake(lake).existing(TOKEN_USAGE_HOURLY).days())
    refresh_days(Lake(lake), TOKEN_USAGE_HOURLY_DERIVATION, days, anew=True)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    gold = Lake(lake).existing(TOKEN_USAGE_HOURLY).scan().select("request_count", "total_tokens").sum()
    return {"time": seconds, "processor time": processor, **gold.collect().row(0, named=True)}


def duckdb_adds_up(lake: str) -> dict[str, float]:
    """All days at once, by DuckDB."""
    started, processor = time.perf_counter(), time.process_time()
    files = DeltaTable(Lake(lake).uri(USAGE_EVENTS)).file_uris()
    connection = duckdb.connect()
    connection.execute(_QUERY, {"files": files})
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    requests, tokens = connection.sql("SELECT sum(request_count), sum(total_tokens) FROM gold").fetchall()[0]
    return {
        "time": seconds,
        "processor time": processor,
        "request_count": int(requests),
        "total_tokens": int(tokens),
    }
