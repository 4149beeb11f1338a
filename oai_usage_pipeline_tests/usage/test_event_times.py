"""When a call happened: every way of writing a time, and what stands in for one that can't be read."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.usage.event_times import from_american, read_event_times, when_made
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT


def read(text: str | None, enqueued_at: datetime = ENQUEUED_AT) -> tuple[datetime, str | None]:
    row = read_event_times(pl.Series([text], dtype=pl.String()), pl.Series([enqueued_at])).row(0)
    return row[0], row[1]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]  # the parts of a date


READABLE = {
    "no fraction": ("2026-05-01T11:00:00Z", utc(2026, 5, 1, 11), None),
    "one digit": ("2026-05-01T11:00:00.5Z", utc(2026, 5, 1, 11, 0, 0, 500_000), None),
    "seven digits": ("2026-05-01T11:00:00.1234567Z", utc(2026, 5, 1, 11, 0, 0, 123_456), None),
    "seven nines stay in their hour": (
        "2026-04-30T23:59:59.9999999Z",
        utc(2026, 4, 30, 23, 59, 59, 999_999),
        None,
    ),
    "nine digits": ("2026-05-01T11:00:00.123456789Z", utc(2026, 5, 1, 11, 0, 0, 123_456), None),
    "an offset": ("2026-05-01T01:00:00.9999999+14:00", utc(2026, 4, 30, 11, 0, 0, 999_999), None),
    "a negative offset": ("2026-04-30T20:00:00-05:30", utc(2026, 5, 1, 1, 30), None),
    "no zone": ("2026-05-01T11:00:00.5", utc(2026, 5, 1, 11, 0, 0, 500_000), "event_time_without_zone"),
    "seconds since 1970": ("1777633200", utc(2026, 5, 1, 11), None),
    "milliseconds since 1970": ("1777633200007", utc(2026, 5, 1, 11, 0, 0, 7_000), None),
    "29 February": ("2024-02-29T00:00:00Z", utc(2024, 2, 29), None),
    "a little ahead": ("2026-05-02T12:00:00Z", utc(2026, 5, 2, 12), None),
    "days late": ("2026-04-01T00:00:00Z", utc(2026, 4, 1), None),
}


@pytest.mark.parametrize(("text", "event_at", "remark"), READABLE.values(), ids=READABLE)
def test_a_readable_time_is_taken_to_the_microsecond_and_never_rounded(
    text: str, event_at: datetime, remark: str | None
) -> None:
    assert read(text) == (event_at, remark)


REPLACED = {
    "null": (None, "event_time_missing"),
    "empty": ("", "event_time_missing"),
    "seconds since 1970 of another century": ("177763680", "event_time_unreadable"),
    "microseconds since 1970": ("1777636800000000", "event_time_unreadable"),
    "other digits": ("١٧٧٧٦٣٦٨٠٠", "event_time_unreadable"),
    "zero seconds since 1970": ("0000000000", "event_time_absurd"),
    "nine billion seconds": ("9999999999", "event_time_in_future"),
    "24:00": ("2026-05-01T24:00:00Z", "event_time_unreadable"),
    "second 60": ("2026-04-30T23:59:60Z", "event_time_unreadable"),
    "30 February": ("2026-02-30T00:00:00Z", "event_time_unreadable"),
    "29 February of a common year": ("2026-02-29T00:00:00Z", "event_time_unreadable"),
    "American": ("5/24/2026 2:45:56 PM", "event_time_unreadable"),
    "day first": ("24/05/2026 14:45:56", "event_time_unreadable"),
    "date only": ("2026-05-01", "event_time_unreadable"),
    "text": ("yesterday", "event_time_unreadable"),
    "a line end after it": ("2026-05-01T11:00:00Z\n", "event_time_unreadable"),
    "year 1": ("0001-01-01T00:00:00Z", "event_time_absurd"),
    "before the service": ("2022-12-31T23:59:59.999Z", "event_time_absurd"),
    "1970": ("1970-01-01T00:00:00Z", "event_time_absurd"),
    "year 1 before UTC": ("0001-01-01T00:00:00+14:00", "event_time_unreadable"),
    "year 9999": ("9999-12-31T23:59:59.9999999Z", "event_time_in_future"),
    "year 9999 after UTC": ("9999-12-31T23:59:59-14:00", "event_time_unreadable"),
    "more than a day ahead": ("2026-05-02T12:00:00.000001Z", "event_time_in_future"),
    "more than a day ahead, no zone": ("2026-05-03T12:00:00", "event_time_in_future"),
}


@pytest.mark.parametrize(("text", "remark"), REPLACED.values(), ids=REPLACED)
def test_any_other_time_is_the_hubs_with_a_remark(text: str | None, remark: str) -> None:
    assert read(text) == (ENQUEUED_AT, remark)


@given(st.datetimes(min_value=datetime(2023, 1, 1), max_value=datetime(2026, 5, 1)), st.integers(0, 9))
def test_a_written_time_reads_back(at: datetime, tenth: int) -> None:
    assert read(f"{at:%Y-%m-%dT%H:%M:%S.%f}{tenth}Z") == (at.replace(tzinfo=UTC), None)


@given(st.text(max_size=40))
def test_no_text_raises(text: str) -> None:
    event_at, _ = read(text)
    assert event_at - ENQUEUED_AT <= timedelta(days=1)


def test_each_row_has_its_own_hub_time() -> None:
    later = ENQUEUED_AT + timedelta(hours=1)
    read_rows = read_event_times(
        pl.Series(["x", "2026-05-01T00:00:00Z", None]), pl.Series([later, later, ENQUEUED_AT])
    )
    assert read_rows["event_at"].to_list() == [later, utc(2026, 5, 1), ENQUEUED_AT]


AMERICAN = {
    "afternoon": ("5/24/2024 2:45:56 PM", "2024-05-24T14:45:56Z"),
    "a narrow space, as newer .NET has": ("5/24/2024 2:45:56\u202fPM", "2024-05-24T14:45:56Z"),
    "noon": ("12/1/2024 12:00:00 PM", "2024-12-01T12:00:00Z"),
    "midnight": ("12/1/2024 12:00:00 AM", "2024-12-01T00:00:00Z"),
    "leading zeros": ("05/06/2024 09:00:00 AM", "2024-05-06T09:00:00Z"),
    "hour 0": ("5/24/2024 0:45:56 AM", "5/24/2024 0:45:56 AM"),
    "hour 13": ("5/24/2024 13:45:56 PM", "5/24/2024 13:45:56 PM"),
    "ISO": ("2024-05-24T14:45:56Z", "2024-05-24T14:45:56Z"),
    "nothing": (None, None),
}


@pytest.mark.parametrize(("text", "iso"), AMERICAN.values(), ids=AMERICAN)
def test_american_times_become_iso_and_others_stay(text: str | None, iso: str | None) -> None:
    assert from_american(text) == iso


@pytest.mark.parametrize("text", ["24/5/2024 2:45:56 PM", "2/30/2024 2:45:56 PM"])
def test_no_american_date_is_invented(text: str) -> None:
    assert read(from_american(text)) == (ENQUEUED_AT, "event_time_unreadable")


def seconds(at: datetime) -> int:
    return int(at.timestamp())


MADE = {
    "before the fetch": (seconds(utc(2026, 4, 30)), utc(2026, 4, 30)),
    "at the fetch": (seconds(ENQUEUED_AT), ENQUEUED_AT),
    "after the fetch": (seconds(ENQUEUED_AT) + 1, ENQUEUED_AT),
    "before the service": (seconds(utc(2022, 12, 31)), ENQUEUED_AT),
    "milliseconds": (seconds(utc(2026, 4, 30)) * 1000, ENQUEUED_AT),
    "absurd": (2**62, ENQUEUED_AT),
    "negative": (-1, ENQUEUED_AT),
    "unknown": (None, ENQUEUED_AT),
}


@pytest.mark.parametrize(("created_at", "event_at"), MADE.values(), ids=MADE)
def test_a_fetched_response_lies_where_it_was_made_if_that_can_be(
    created_at: int | None, event_at: datetime
) -> None:
    clock = read_event_times(
        pl.Series([None, None], dtype=pl.String()), pl.Series([ENQUEUED_AT, ENQUEUED_AT])
    )
    moved = when_made(clock, {1: created_at})
    assert moved["event_at"].to_list() == [ENQUEUED_AT, event_at]
    assert moved["remark"].equals(clock["remark"])
