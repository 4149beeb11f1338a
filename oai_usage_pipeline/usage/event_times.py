"""When a call happened: the time that an event writes as an instant, or the hub's time with a remark.

Newtonsoft writes EventTime with 0 to 7 fractional digits and `Z`. Digits beyond microseconds are
cut, never rounded, so that no call moves into the next hour or day.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta

import polars as pl

from oai_usage_pipeline.tables import FIRST_DATE, INSTANT

EARLIEST = datetime.combine(FIRST_DATE, time(), UTC)
"""Older times are a clock's zero (year 1, 1970), not calls: the service didn't exist."""

EARLIEST_SECOND, LATEST_SECOND = int(EARLIEST.timestamp()), 253_402_300_799
"""The same as seconds since 1970, and the last second of the year 9999."""

FARTHEST_AHEAD = timedelta(days=1)
"""How far a time may lie after its arrival at the hub; further is a wrong clock."""

_USUAL = r"^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z$"
_EPOCH = re.compile("([0-9]{10})([0-9]{3})?")
"""Seconds or milliseconds since 1970; no other count of digits is a time of this century."""

_AMERICAN = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d\d):(\d\d)[ \u202f]([AP])M", re.ASCII)
"""What .NET makes of a time in American English; newer ones put a narrow space before AM and PM."""


def read_event_times(event_time: pl.Series, enqueued_at: pl.Series) -> pl.DataFrame:
    """Columns `event_at` and `remark` (null when there is nothing to say), one row for each given."""
    frame = pl.DataFrame(
        {"text": event_time, "enqueued_at": enqueued_at}, schema={"text": pl.String(), "enqueued_at": INSTANT}
    )
    usual = pl.col("text").str.contains(_USUAL)
    read = frame.with_columns(
        at=pl.when(usual)
        .then(pl.col("text"))
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", strict=False, time_unit="us", time_zone="UTC"),
        remark=pl.lit(None, pl.String()),
    )
    if read["at"].null_count():
        read = _read_others(read)
    return _keep_plausible(read)


def when_made(clock: pl.DataFrame, made: Mapping[int, int | None]) -> pl.DataFrame:
    """The clock with fetched responses at the instant at which they were made.

    `made` has seconds since 1970 by row. All fetches of one response then lie on the call that is charged.
    An instant before the service existed, or after the fetch itself, is no such instant.
    """
    rows = list(made)
    seconds = [each if each and EARLIEST_SECOND <= each <= LATEST_SECOND else None for each in made.values()]
    created_at = (pl.Series(seconds, dtype=pl.Int64()) * 1_000_000).cast(INSTANT)
    fetched_at = clock["event_at"].gather(rows)
    event_at = created_at.zip_with((created_at <= fetched_at).fill_null(value=False), fetched_at)
    return clock.with_columns(clock["event_at"].scatter(rows, event_at))


def read_event_time(text: str | None) -> tuple[datetime | None, str | None]:
    """One unusual time, and a remark about it."""
    if not text:
        return None, "event_time_missing"
    if epoch := _EPOCH.fullmatch(text):
        return _since_1970(int(epoch[1]), int(epoch[2] or 0)), None
    if text[10:11] != "T" or text[11:13] == "24":
        return None, "event_time_unreadable"
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            return at.replace(tzinfo=UTC), "event_time_without_zone"
        return at.astimezone(UTC), None
    except (ValueError, OverflowError):
        return None, "event_time_unreadable"


def from_american(text: str | None) -> str | None:
    """A time such as `5/24/2024 2:45:56 PM` as ISO text, in UTC as its writers have it; others as they are.

    For writers who are known to write so: to others 5/6 is the fifth of June.
    """
    found = _AMERICAN.fullmatch(text or "")
    if not found or not 1 <= int(found[4]) <= 12:
        return text
    month, day, year, hour = (int(part) for part in found.groups()[:4])
    hour = hour % 12 + (12 if found[7] == "P" else 0)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{found[5]}:{found[6]}Z"


def _since_1970(seconds: int, milliseconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC) + timedelta(milliseconds=milliseconds)


def _read_others(read: pl.DataFrame) -> pl.DataFrame:
    others = read.with_row_index().filter(pl.col("at").is_null())
    times = [read_event_time(text) for text in others["text"]]
    found = pl.DataFrame(
        {"index": others["index"], "at": [at for at, _ in times], "remark": [remark for _, remark in times]},
        schema={"index": others["index"].dtype, "at": INSTANT, "remark": pl.String()},
    )
    return read.with_row_index().update(found, on="index").drop("index")


def _keep_plausible(read: pl.DataFrame) -> pl.DataFrame:
    at, enqueued_at = pl.col("at"), pl.col("enqueued_at")
    remark = (
        pl.when(at > enqueued_at + FARTHEST_AHEAD)
        .then(pl.lit("event_time_in_future"))
        .when(at < EARLIEST)
        .then(pl.lit("event_time_absurd"))
        .otherwise(pl.col("remark"))
    )
    is_implausible = remark.is_in(["event_time_in_future", "event_time_absurd"]).fill_null(value=False)
    return read.select(
        event_at=pl.when(is_implausible).then(enqueued_at).otherwise(pl.coalesce(at, enqueued_at)),
        remark=remark,
    )
