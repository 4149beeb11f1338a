"""Bronze rows become silver rows: at least one each, whatever they hold, with a status.

Pure and deterministic: the same bronze gives the same silver. How a body is understood belongs in
`metering` and below; which rows are derived, and where they go, belongs in `refresh`.
"""

from collections.abc import Mapping

import polars as pl

from oai_usage_pipeline.tables import EVENT_KEY, USAGE_EVENTS
from oai_usage_pipeline.usage.event_times import read_event_times
from oai_usage_pipeline.usage.metering import LONGEST_NAME, UsageRecord, meter
from oai_usage_pipeline.usage.salvage import Salvaged, salvage

_RECORD_SCHEMA = {name: USAGE_EVENTS.schema[name] for name in UsageRecord._fields[:-1]}
_MADE_HERE = (*EVENT_KEY, "event_index", "enqueued_at", "enqueued_date", "event_at", "usage_date")
_NOT_YET = set(USAGE_EVENTS.schema) - {*_RECORD_SCHEMA, *_MADE_HERE, "subscription", "schema_version"}
_PARSER_FAILED = UsageRecord(status="rejected", reason="parser_failed")


def derive(bronze: pl.DataFrame) -> pl.DataFrame:
    """Silver rows, in the order of the bronze rows given, with the schema of `USAGE_EVENTS`.

    No event can fail the batch: one that can't be read becomes a rejected row with a reason.
    """
    salvaged = _salvage(bronze)
    records = [
        _meter(request, response) if at not in salvaged else salvaged[at].record
        for at, (request, response) in enumerate(zip(bronze["Request"], bronze["Response"], strict=True))
    ]
    return _assemble(bronze, salvaged, records)


def _meter(request: str | None, response: str | None) -> UsageRecord:
    try:
        return meter(request, response)
    except Exception:  # noqa: BLE001  # a bug that one body reaches must not stop the others
        return _PARSER_FAILED


def _salvage(bronze: pl.DataFrame) -> dict[int, Salvaged]:
    """By row number, the events that are not in columns."""
    kept = bronze.select("body", "reason").with_row_index()
    kept = kept.filter(pl.col("body").is_not_null() | pl.col("reason").is_not_null())
    return {at: _salvage_one(body, reason) for at, body, reason in kept.iter_rows()}


def _salvage_one(body: bytes | None, reason: str | None) -> Salvaged:
    try:
        return salvage(body, reason)
    except Exception:  # noqa: BLE001  # as above
        return Salvaged(_PARSER_FAILED)


def _assemble(
    bronze: pl.DataFrame, salvaged: dict[int, Salvaged], records: list[UsageRecord]
) -> pl.DataFrame:
    callers = _with(bronze["AppSubscriptionKey"], {at: found.subscription for at, found in salvaged.items()})
    return (
        bronze.select(*EVENT_KEY, "enqueued_at", "enqueued_date")
        .hstack(_usage_columns(records))
        .hstack(_clock(bronze, salvaged))
        .with_columns(
            event_index=pl.lit(0, pl.Int32()),
            usage_date=pl.col("event_at").dt.date(),
            subscription=pl.when(callers != "").then(callers.str.slice(0, LONGEST_NAME)),
            reason=_reason(),
            schema_version=pl.lit(USAGE_EVENTS.version, pl.Int32()),
        )
        .with_columns(pl.lit(None).alias(name) for name in _NOT_YET)
        .select(pl.col(name).cast(dtype) for name, dtype in USAGE_EVENTS.schema.items())
    )


def _usage_columns(records: list[UsageRecord]) -> pl.DataFrame:
    try:
        return _frame(records)
    except Exception:  # noqa: BLE001  # one value that no column holds must not cost the others
        return _frame([record if _fits(record) else _PARSER_FAILED for record in records])


def _fits(record: UsageRecord) -> bool:
    try:
        _frame([record])
    except Exception:  # noqa: BLE001  # as above
        return False
    return True


def _frame(records: list[UsageRecord]) -> pl.DataFrame:
    columns = (
        zip(*(record[:-1] for record in records), strict=True) if records else ([] for _ in _RECORD_SCHEMA)
    )
    named = zip(_RECORD_SCHEMA.items(), columns, strict=True)
    return pl.DataFrame([pl.Series(name, values, dtype) for (name, dtype), values in named])


def _clock(bronze: pl.DataFrame, salvaged: dict[int, Salvaged]) -> pl.DataFrame:
    times = _with(bronze["EventTime"], {at: found.event_time for at, found in salvaged.items()})
    clock = read_event_times(times, bronze["enqueued_at"])
    # Of an event that couldn't be opened at all, it is no news that its time is missing.
    unopened = {at: None for at, found in salvaged.items() if found.record.status == "rejected"}
    return clock.with_columns(_with(clock["remark"], unopened))


def _with(column: pl.Series, replaced: Mapping[int, str | None]) -> pl.Series:
    if not replaced:
        return column
    return column.scatter(list(replaced), pl.Series(list(replaced.values()), dtype=pl.String()))


def _reason() -> pl.Expr:
    joined = pl.concat_str(["reason", "remark"], separator="; ", ignore_nulls=True)
    return pl.when(pl.col("reason").is_not_null() | pl.col("remark").is_not_null()).then(joined)
