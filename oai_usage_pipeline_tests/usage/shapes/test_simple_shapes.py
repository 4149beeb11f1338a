"""The camel case variant and the record that a gateway metered itself."""

import pytest

from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT
from oai_usage_pipeline_tests.usage.shapes.events import CAMEL_CASE, MARK, METERED, known, row_of


def test_camel_case_is_the_reference_with_an_operation() -> None:
    assert known(
        row_of(CAMEL_CASE), "event_shape", "subscription", "user_id", "operation_id", "operation", "status"
    ) == {
        "event_shape": "camel_case",
        "subscription": MARK,
        "user_id": "u-1",
        "operation_id": "ChatCompletions_Create",
        "operation": "chat.completions",
        "status": "metered",
    }


def test_the_operation_helps_where_the_bodies_do_not_tell() -> None:
    speech = CAMEL_CASE | {"request": None, "response": "\u00ff\u00fb sound", "apiOperation": "audio_speech"}
    assert known(row_of(speech), "operation", "status") == {
        "operation": "audio.speech",
        "status": "unit_billed",
    }


@pytest.mark.parametrize("operation", [None, "", 7, {"a": 1}, "something of their own"])
def test_an_operation_that_says_nothing_changes_nothing(operation: object) -> None:
    row = row_of(CAMEL_CASE | {"apiOperation": operation})
    assert (row["operation"], row["status"]) == ("chat.completions", "metered")


def test_camel_case_without_an_operation_is_still_camel_case() -> None:
    event = {name: value for name, value in CAMEL_CASE.items() if name != "apiOperation"}
    assert known(row_of(event), "event_shape", "operation_id", "total_tokens") == {
        "event_shape": "camel_case",
        "operation_id": None,
        "total_tokens": 15,
    }


def test_an_epoch_in_camel_case_is_read() -> None:
    row = row_of(CAMEL_CASE | {"eventTime": 1777633200})
    assert (row["event_at"], row["reason"]) == (ENQUEUED_AT.replace(hour=11), None)


def test_a_metered_record_gives_its_counts_and_names() -> None:
    assert known(
        row_of(METERED),
        *("subscription", "product_id", "deployment", "model", "operation", "request_id", "response_id"),
        *("input_tokens", "output_tokens", "total_tokens", "status", "reason"),
    ) == {
        "subscription": "team-blue",
        "product_id": "gpt-standard",
        "deployment": "gpt-4o-eu",
        "model": "gpt-4o-2024-08-06",
        "operation": None,
        "request_id": None,
        "response_id": None,
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "status": "metered",
        "reason": None,
    }


REFUSED = {
    "a fraction": (10.0, "tokens_not_integer"),
    "a boolean": (True, "tokens_not_integer"),
    "negative": (-1, "tokens_negative"),
    "a sign": ("+10", "tokens_not_integer"),
    "a negative text": ("-10", "tokens_not_integer"),
    "a fraction as text": ("10.0", "tokens_not_integer"),
    "white space": (" 10", "tokens_not_integer"),
    "separators": ("1_000", "tokens_not_integer"),
    "thousands": ("1,000", "tokens_not_integer"),
    "other digits": ("\u0661\u0660", "tokens_not_integer"),
    "an exponent": ("1e3", "tokens_not_integer"),
    "empty": ("", "tokens_not_integer"),
    "words": ("null", "tokens_not_integer"),
    "2^63": (2**63, "tokens_too_large"),
    "2^63 as text": (str(2**63), "tokens_too_large"),
    "30 digits as text": ("1" * 30, "tokens_not_integer"),
    "a list": ([10], "tokens_not_integer"),
}


@pytest.mark.parametrize(("count", "reason"), REFUSED.values(), ids=REFUSED)
def test_anything_but_whole_numbers_and_plain_digits_is_rejected(count: object, reason: str) -> None:
    row = row_of(METERED | {"promptTokens": count})
    assert (row["status"], row["reason"], row["total_tokens"]) == ("rejected", reason, None)


def test_a_missing_count_is_null_and_no_counts_are_no_usage() -> None:
    assert known(row_of(METERED | {"promptTokens": None}), "input_tokens", "total_tokens", "status") == {
        "input_tokens": None,
        "total_tokens": 15,
        "status": "metered",
    }
    nothing = METERED | dict.fromkeys(("promptTokens", "responseTokens", "totalTokens"))
    assert (row_of(nothing)["status"], row_of(nothing)["total_tokens"]) == ("unmetered", None)


def test_zeros_alone_are_no_measurement() -> None:
    row = row_of(METERED | {"promptTokens": "0", "responseTokens": 0, "totalTokens": 0})
    assert known(row, "status", "reason", "input_tokens", "total_tokens") == {
        "status": "unmetered",
        "reason": "usage_of_zero",
        "input_tokens": None,
        "total_tokens": None,
    }


def test_contradicting_counts_are_kept_with_both_numbers() -> None:
    row = row_of(METERED | {"totalTokens": 16})
    assert (row["status"], row["total_tokens"]) == ("metered", 16)
    assert "16" in row["reason"]


@pytest.mark.parametrize(
    ("time", "reason"),
    [(None, "event_time_missing"), ("24/5/2024 2:45:56 PM", "event_time_unreadable")],
)
def test_a_time_that_can_not_be_read_is_the_hubs(time: str | None, reason: str) -> None:
    row = row_of(METERED | {"time": time})
    assert (row["event_at"], row["reason"], row["status"]) == (ENQUEUED_AT, reason, "metered")


def test_american_times_are_read_for_metered_records_alone() -> None:
    assert row_of(CAMEL_CASE | {"eventTime": METERED["time"]})["reason"] == "event_time_unreadable"
