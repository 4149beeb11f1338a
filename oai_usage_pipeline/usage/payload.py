"""What bronze keeps of events whose texts are not to be kept: rows in, rows out, the same silver of both.

Belongs here: the promise that numbers survive, and how it is kept. A row is made without its texts, silver is
derived of both, and where they differ in anything the row is replaced by what its event came to, record by
record. So nothing that is charged by hangs on how well a body could be masked. How texts are taken out is
for `masked_events` and `redacting`, what is noted beside the row for `payload_note`; when, for `privacy`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import polars as pl

from oai_usage_pipeline.tables import ESTIMATE_COLUMNS, OPENAI_EVENTS
from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.derive import PAYLOAD_COLUMNS, derive, event_lines
from oai_usage_pipeline.usage.masked_events import masked_event, time_kept
from oai_usage_pipeline.usage.masking import AS_NAMED, Rename, name_kept
from oai_usage_pipeline.usage.payload_note import BEGINNING, Estimates, Kept, PayloadNote, read_note
from oai_usage_pipeline.usage.shapes import Line, alone

Row = tuple[Any, ...]
"""The values of `PAYLOAD_COLUMNS` of one event."""

Change = Callable[[Envelope], Envelope]
"""Takes texts out of a readable event; raises `Unmaskable` for one of which it can leave nothing."""

TOO_SLOW, UNREADABLE = "redaction_too_slow", "not_redactable"
"""Why only what accounting needs was kept of an event that was to be redacted."""

_AT = "sequence_number"
_SCHEMA = {name: OPENAI_EVENTS.schema[name] for name in PAYLOAD_COLUMNS}


def without_texts(
    bronze: pl.DataFrame, rename: Rename = AS_NAMED, because: str | None = None
) -> pl.DataFrame:
    """The rows with only what accounting needs; `derive` makes the same of them as of those given.

    But for the user whom `rename` forgets. Rows of which nothing more can be taken out come back as they are.
    `because` is noted where it says why no more was kept.
    """
    return kept(bronze, "accounting", lambda event: masked_event(event, rename), rename, because)


def kept(
    bronze: pl.DataFrame,
    what: Kept,
    change: Change,
    rename: Rename = AS_NAMED,
    because: str | None = None,
) -> pl.DataFrame:
    """The rows changed by `change`, or by less than it says where numbers would change."""
    if bronze.is_empty():
        return bronze
    # Numbered anew, since what is compared must be known by its row whatever the numbers of its events.
    rows = bronze.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(_AT))
    told = derive(rows)
    expected = told.with_columns(pl.col("user_id").map_elements(rename, pl.String())) if rename.user else told
    estimates = _estimates(told)
    values = list(rows.select(PAYLOAD_COLUMNS).iter_rows())
    changed = [
        _changed(row, what, change, rename, estimates.get(at, ()), because) for at, row in enumerate(values)
    ]
    unlike = _unlike(expected, derive(_with(rows, changed)))
    for at in unlike:
        changed[at] = _frozen(values[at], rename, because or (UNREADABLE if what == "redacted" else None))
    return _with(bronze, changed)


def is_accounting(column: str = "payload") -> pl.Expr:
    """Whether a row holds no text any more."""
    return pl.col(column).str.starts_with(f'{BEGINNING}accounting"').fill_null(value=False)


def _changed(
    row: Row, what: Kept, change: Change, rename: Rename, estimates: Estimates, because: str | None
) -> Row:
    *columns, body, reason, payload = row
    note = read_note(payload)
    if note is not None and note.lines:
        return _frozen(row, rename, note.because)
    because = (note.because if note else None) or because
    if body is not None or reason is not None:
        return _frozen(row, rename, because or (UNREADABLE if what == "redacted" else None))
    try:
        event = change(Envelope(*columns))
    except Exception as error:  # noqa: BLE001  # a bug that one event reaches must not keep what is to go
        if what == "accounting":
            return _frozen(row, rename, because)
        because = TOO_SLOW if isinstance(error, TimeoutError) else UNREADABLE
        return _changed(
            row, "accounting", lambda event: masked_event(event, rename), rename, estimates, because
        )
    return (*event[:-1], None, None, str(PayloadNote(what, estimates, because=because)))


def _frozen(row: Row, rename: Rename, because: str | None) -> Row:
    """A row without any of its columns: what it came to stands beside it."""
    event_time, key, *_, reason, _ = row
    lines = [_forgotten(line, rename) for line in alone(lambda: _lines(row))]
    event_time = None if event_time is None else time_kept(event_time)
    return (
        event_time,
        key,
        None,
        None,
        None,
        None,
        reason,
        str(PayloadNote("accounting", (), lines, because)),
    )


def _lines(row: Row) -> list[Line]:
    lines = event_lines(row)
    event_time, key, *_, body, reason, _ = row
    if len(lines) == 1 and body is None and reason is None and lines[0].call.event_shape == "reference":
        # As columns of a reference envelope are read; that its time is missing is news.
        call = lines[0].call._replace(
            subscription=name_kept(key)[:-1] if key and len(key) > 256 else key or None
        )
        return [Line(lines[0].record, call, event_time or "")]
    return lines


def _forgotten(line: Line, rename: Rename) -> Line:
    record, call, event_time = line
    if rename.user is not None:
        record = record._replace(user_id=record.user_id and rename(record.user_id))
        call = call._replace(user_id=call.user_id and rename(call.user_id))
    return Line(record, call, None if event_time is None else time_kept(event_time))


def _estimates(silver: pl.DataFrame) -> dict[int, Estimates]:
    """By row, the estimates of each of its records, where there are any."""
    is_estimated = pl.any_horizontal(pl.col(ESTIMATE_COLUMNS).is_not_null().any().over(_AT))
    found: dict[int, list[tuple[int | None, int | None]]] = {}
    for at, read, written in silver.filter(is_estimated).select(_AT, *ESTIMATE_COLUMNS).iter_rows():
        found.setdefault(at, []).append((read, written))
    return {at: tuple(pairs) for at, pairs in found.items()}


def _unlike(expected: pl.DataFrame, found: pl.DataFrame) -> Iterable[int]:
    """The rows of bronze whose silver differs in anything."""
    if expected.equals(found):
        return ()
    counts = [silver.group_by(_AT).len() for silver in (expected, found)]
    other_counts = (
        counts[0].join(counts[1], on=_AT, how="full").filter(pl.col("len").ne_missing(pl.col("len_right")))
    )
    unlike = set(other_counts[_AT].drop_nulls()) | set(other_counts[f"{_AT}_right"].drop_nulls())
    ours, theirs = (each.filter(~pl.col(_AT).is_in(list(unlike))) for each in (expected, found))
    differs = pl.any_horizontal(ours[name].ne_missing(theirs[name]).alias(name) for name in ours.columns)
    return unlike | set(ours.filter(differs)[_AT])


def _with(bronze: pl.DataFrame, rows: Sequence[Row]) -> pl.DataFrame:
    columns = zip(*rows, strict=True)
    return bronze.with_columns(
        pl.Series(name, values, dtype) for (name, dtype), values in zip(_SCHEMA.items(), columns, strict=True)
    )
