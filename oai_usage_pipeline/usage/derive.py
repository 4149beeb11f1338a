"""Bronze rows become silver rows: at least one each, whatever they hold, with a status.

Pure and deterministic: the same bronze gives the same silver. How a body is understood belongs in
`metering` and below, how an event of which shape is, in `shapes`; which rows are derived, and where
they go, belongs in `refresh`.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import polars as pl

from oai_usage_pipeline.tables import EVENT_KEY, USAGE_EVENTS
from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.event_times import read_event_times, when_made
from oai_usage_pipeline.usage.metering import LONGEST_NAME, UsageRecord, meter
from oai_usage_pipeline.usage.payload_note import (
    HAS_ESTIMATES,
    HAS_LINES,
    Estimates,
    estimated_again,
    read_note,
    with_estimates,
)
from oai_usage_pipeline.usage.salvage import salvage
from oai_usage_pipeline.usage.shapes import MARK, PARSER_FAILED, Call, Line, alone, lines_of

_KEYS = (*EVENT_KEY, "enqueued_at", "enqueued_date")
PAYLOAD_COLUMNS = (*Envelope._fields[:-1], "body", "reason", "payload")
"""The columns of bronze that an event is understood by, in the order in which `event_lines` takes them."""

_RECORD_SCHEMA = {name: USAGE_EVENTS.schema[name] for name in UsageRecord._fields[:-1]}
_CALL_SCHEMA = {name: USAGE_EVENTS.schema[name] for name in Call._fields}

_NO_TEXT = pl.lit(None, pl.String())

Others = dict[int, list[Line]]
"""By number of the bronze row, the lines of events that are no reference envelopes in columns."""


def derive(bronze: pl.DataFrame) -> pl.DataFrame:
    """Silver rows, in the order of the bronze rows given, with the schema of `USAGE_EVENTS`.

    No event can fail the batch: one that can't be read becomes a rejected row with a reason.
    """
    try:
        return _derive(bronze)
    except Exception:  # noqa: BLE001  # one value that no column holds must not cost the others
        return _derive_apart(bronze)


def _derive_apart(bronze: pl.DataFrame) -> pl.DataFrame:
    """Halves of what failed, until the one event is found that fails; it is rejected."""
    if len(bronze) <= 1:
        return _assemble(
            bronze.with_columns(
                pl.lit(None, pl.String()).alias(name) for name in ("EventTime", "AppSubscriptionKey")
            ),
            pl.lit(0),
            [PARSER_FAILED.record] * len(bronze),
            dict.fromkeys(range(len(bronze)), PARSER_FAILED),
        )
    middle = len(bronze) // 2
    return pl.concat([derive(bronze[:middle]), derive(bronze[middle:])])


def _derive(bronze: pl.DataFrame) -> pl.DataFrame:
    if "payload" not in bronze.columns:  # of a table that capture hasn't opened since there is one
        bronze = bronze.with_columns(payload=_NO_TEXT)
    others, estimated = _others(bronze), _estimated(bronze["payload"])
    firsts = [
        _meter(request, response) if at not in others else others[at][0].record
        for at, (request, response) in enumerate(zip(bronze["Request"], bronze["Response"], strict=True))
    ]
    for at, estimates in estimated.items():
        if at in others:
            others[at] = estimated_again(others[at], estimates)
        firsts[at] = with_estimates(firsts[at], estimates[0])
    if all(len(lines) == 1 for lines in others.values()):
        return _assemble(bronze, pl.lit(0), firsts, {at: lines[0] for at, lines in others.items()})
    return _assemble(*_spread(bronze, firsts, others))


def _meter(request: str | None, response: str | None) -> UsageRecord:
    try:
        return meter(request, response)
    except Exception:  # noqa: BLE001  # a bug that one body reaches must not stop the others
        return PARSER_FAILED.record


def _others(bronze: pl.DataFrame) -> Others:
    kept = bronze.select(PAYLOAD_COLUMNS).with_row_index()
    is_other = pl.col("body").is_not_null() | pl.col("reason").is_not_null()
    is_other |= pl.col("properties").str.starts_with(MARK).fill_null(value=False)
    is_other |= pl.col("payload").str.contains(HAS_LINES, literal=True).fill_null(value=False)
    return {at: alone(partial(event_lines, row)) for at, *row in kept.filter(is_other).iter_rows()}


def _estimated(payloads: pl.Series) -> dict[int, Estimates]:
    """By number of the bronze row, the estimates of texts that are no longer there."""
    if payloads.null_count() == len(payloads):
        return {}
    notes = ((at, read_note(each)) for at, each in enumerate(payloads) if each and HAS_ESTIMATES in each)
    return {at: note.estimates for at, note in notes if note is not None}


def event_lines(row: Sequence[Any]) -> list[Line]:
    """What one event says, of its values of `PAYLOAD_COLUMNS`; at least one line."""
    *columns, body, reason, payload = row
    if payload and HAS_LINES in payload and (note := read_note(payload)) is not None:
        return list(note.lines)
    if body is not None or reason is not None:
        return salvage(body, reason)
    return lines_of(Envelope(*columns))


def _spread(
    bronze: pl.DataFrame, firsts: Iterable[UsageRecord], others: Others
) -> tuple[pl.DataFrame, pl.Series, list[UsageRecord], dict[int, Line]]:
    """Rows, their numbers within their events, records and lines, where events have several records."""
    rows: list[int] = []
    numbers: list[int] = []
    records: list[UsageRecord] = []
    lines: dict[int, Line] = {}
    for at, first in enumerate(firsts):
        found = others.get(at, ())
        lines |= enumerate(found, len(rows))
        rows += [at] * (len(found) or 1)
        numbers += range(len(found) or 1)
        records += [line.record for line in found] or [first]
    # Not the bodies: they were read, and are long.
    return (
        bronze.select(*_KEYS, "EventTime", "AppSubscriptionKey")[rows],
        pl.Series(numbers, dtype=pl.Int32()),
        records,
        lines,
    )


def _assemble(
    bronze: pl.DataFrame, numbers: pl.Series | pl.Expr, records: list[UsageRecord], lines: dict[int, Line]
) -> pl.DataFrame:
    """Silver of one line for each row given; rows that `lines` doesn't name are reference envelopes."""
    return (
        bronze.select(_KEYS)
        .hstack(_usage_columns(records))
        .rename({"user_id": "named_user"})
        .hstack(_call_columns(bronze, lines))
        .hstack(_clock(bronze, records, lines))
        .with_columns(
            event_index=numbers,
            usage_date=pl.col("event_at").dt.date(),
            user_id=pl.coalesce("user_id", "named_user"),
            reason=_reason(),
            schema_version=pl.lit(USAGE_EVENTS.version, pl.Int32()),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in USAGE_EVENTS.schema.items())
    )


def _usage_columns(records: list[UsageRecord]) -> pl.DataFrame:
    try:
        return _frame(records)
    except Exception:  # noqa: BLE001  # one value that no column holds must not cost the others
        return _frame([record if _fits(record) else PARSER_FAILED.record for record in records])


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


def _call_columns(bronze: pl.DataFrame, lines: dict[int, Line]) -> pl.DataFrame:
    """What the gateway knows of each call; of a reference envelope only who called."""
    callers = bronze["AppSubscriptionKey"]
    usual = bronze.select(
        event_shape=pl.lit("reference"),
        subscription=pl.when(callers != "").then(callers.str.slice(0, LONGEST_NAME)),
    )
    nothing = [
        pl.Series(name, [], dtype).extend_constant(None, len(bronze)) for name, dtype in _CALL_SCHEMA.items()
    ]
    columns = {series.name: series for series in (*nothing, *usual)}
    values = zip(*(line.call for line in lines.values()), strict=True) if lines else [()] * len(columns)
    return pl.DataFrame(
        [_with(column, lines, found) for column, found in zip(columns.values(), values, strict=True)]
    )


def _clock(bronze: pl.DataFrame, records: list[UsageRecord], lines: dict[int, Line]) -> pl.DataFrame:
    times = _with(bronze["EventTime"], lines, [line.event_time for line in lines.values()])
    clock = read_event_times(times, bronze["enqueued_at"])
    # Of an event that couldn't be opened at all, it is no news that its time is missing.
    unopened = [
        at for at, line in lines.items() if line.record.status == "rejected" and line.event_time is None
    ]
    clock = clock.with_columns(_with(clock["remark"], unopened, [None] * len(unopened)))
    made = {at: record.created_at for at, record in enumerate(records) if record.is_retrieval}
    return when_made(clock, made) if made else clock


def _with(column: pl.Series, rows: Iterable[int], values: Sequence[Any]) -> pl.Series:
    if not values:
        return column
    return column.scatter(list(rows), pl.Series(values, dtype=column.dtype))


def _reason() -> pl.Expr:
    joined = pl.concat_str(["reason", "remark"], separator="; ", ignore_nulls=True)
    return pl.when(pl.col("reason").is_not_null() | pl.col("remark").is_not_null()).then(joined)
