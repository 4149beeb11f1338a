"""When a call happened: the envelope's EventTime as an instant, or the hub's time with a remark.

Newtonsoft writes EventTime with 0 to 7 fractional digits and `Z`. Digits beyond microseconds are
cut, never rounded, so that no call moves into the next hour or day.
"""

from datetime import UTC, datetime, time, timedelta

import polars as pl

from oai_usage_pipeline.tables import FIRST_DATE, INSTANT

EARLIEST = datetime.combine(FIRST_DATE, time(), UTC)
"""Older times are a clock's zero (year 1, 1970), not calls: the service didn't exist."""

FARTHEST_AHEAD = timedelta(days=1)
"""How far a time may lie after its arrival at the hub; further is a wrong clock."""

_USUAL = r"^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z$"


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


def read_event_time(text: str | None) -> tuple[datetime | None, str | None]:
    """One unusual time, and a remark about it."""
    if not text:
        return None, "event_time_missing"
    if text[10:11] != "T" or text[11:13] == "24":
        return None, "event_time_unreadable"
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            return at.replace(tzinfo=UTC), "event_time_without_zone"
        return at.astimezone(UTC), None
    except (ValueError, OverflowError):
        return None, "event_time_unreadable"


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
