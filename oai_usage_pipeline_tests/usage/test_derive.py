"""Bronze to silver: every row has its row, whatever it holds; cut events are salvaged."""

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.tables import EVENT_KEY, OPENAI_EVENTS, STATUSES, USAGE_EVENTS
from oai_usage_pipeline.usage import derive as derive_module
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.envelope import open_envelope
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline.usage.metering import UsageRecord
from oai_usage_pipeline.usage.shapes import Call, Line
from oai_usage_pipeline_tests.usage.bodies import (
    DONE,
    ENQUEUED_AT,
    EVENT_TIME,
    FINGERPRINT,
    REQUEST,
    USAGE,
    bronze,
    chat,
    chunk,
    envelope,
    unreadable,
)

KEYS = KeyFingerprint(b"pepper")


def test_a_usual_event_becomes_a_metered_row_with_every_column() -> None:
    (row,) = derive(bronze({"sequence_number": 7})).to_dicts()
    of_the_body = ("finish_reasons", "tool_call_count", "is_content_filtered")
    known = {name: value for name, value in row.items() if value is not None and name not in of_the_body}
    assert known.pop("is_retrieval") is False
    assert known == {
        "event_hub": "hub",
        "incarnation": "2026-01-01T00:00:00Z",
        "partition_id": "0",
        "sequence_number": 7,
        "event_index": 0,
        "enqueued_at": ENQUEUED_AT,
        "enqueued_date": ENQUEUED_AT.date(),
        "event_at": ENQUEUED_AT.replace(hour=11, minute=59, second=58, microsecond=123_456),
        "usage_date": ENQUEUED_AT.date(),
        "event_shape": "reference",
        "subscription": FINGERPRINT,
        "user_id": "u-1",
        "operation": "chat.completions",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "request_model": "my-deployment",
        "is_stream": False,
        "response_id": "chatcmpl-1",
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "status": "metered",
        "schema_version": USAGE_EVENTS.version,
    }


def test_no_bronze_rows_make_no_silver_rows_of_the_same_columns() -> None:
    assert derive(OPENAI_EVENTS.empty()).equals(USAGE_EVENTS.empty())
    assert derive(OPENAI_EVENTS.empty()).schema == pl.Schema(USAGE_EVENTS.schema)


def test_an_event_before_midnight_belongs_to_its_own_day() -> None:
    row = derive(bronze({"EventTime": "2026-04-30T23:59:59.9999999Z"}))
    assert row["usage_date"].to_list() == [ENQUEUED_AT.date().replace(month=4, day=30)]
    assert row["enqueued_date"].to_list() == [ENQUEUED_AT.date()]


@pytest.mark.parametrize("key", [None, ""])
def test_a_missing_key_is_a_null_subscription(key: str | None) -> None:
    assert derive(bronze({"AppSubscriptionKey": key}))["subscription"].to_list() == [None]


def test_a_remark_about_the_time_joins_the_reason() -> None:
    silver = derive(bronze({"EventTime": "x", "Response": chat(None)}, {"EventTime": None}))
    assert silver["reason"].to_list() == ["usage_missing; event_time_unreadable", "event_time_missing"]
    assert silver["status"].to_list() == ["unmetered", "metered"]


def test_a_failing_parser_rejects_one_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(request: str | None, response: str | None) -> UsageRecord:
        if response == "boom":
            raise RecursionError
        return UsageRecord(status="metered")

    monkeypatch.setattr(derive_module, "meter", failing)
    silver = derive(bronze({}, {"Response": "boom"}, {}))
    assert silver["status"].to_list() == ["metered", "rejected", "metered"]
    assert silver["reason"].to_list() == [None, "parser_failed", None]


@pytest.mark.parametrize("call", [Call(status_code=2**31), Call(deployment="\ud800")])
@pytest.mark.parametrize("at", range(5))
def test_a_call_that_no_column_holds_rejects_one_event_alone(
    monkeypatch: pytest.MonkeyPatch, call: Call, at: int
) -> None:
    def odd(body: bytes | None, reason: str | None) -> list[Line]:
        return [Line(UsageRecord(status="metered"), call, "\ud800")]

    monkeypatch.setattr(derive_module, "salvage", odd)
    events: list[dict[str, Any]] = [{} for _ in range(5)]
    events[at] = unreadable(b"odd", "odd")
    silver = derive(bronze(*events))
    assert silver["sequence_number"].to_list() == [0, 1, 2, 3, 4]
    assert [row == "parser_failed" for row in silver["reason"]] == [each == at for each in range(5)]
    assert silver.filter(pl.col("sequence_number") != at)["status"].to_list() == ["metered"] * 4


@pytest.mark.parametrize("value", [UsageRecord(model="\ud800"), UsageRecord(total_tokens=2**63)])
def test_a_value_that_no_column_holds_rejects_one_row_alone(
    monkeypatch: pytest.MonkeyPatch, value: UsageRecord
) -> None:
    def odd(request: str | None, response: str | None) -> UsageRecord:
        return value if response == "odd" else UsageRecord(status="metered")

    monkeypatch.setattr(derive_module, "meter", odd)
    silver = derive(bronze({}, {"Response": "odd"}, {}))
    assert silver["status"].to_list() == ["metered", "rejected", "metered"]
    assert silver["reason"].to_list() == [None, "parser_failed", None]


REJECTED = {
    "plain text": (unreadable(b"hello", "envelope_not_json"), "envelope_not_json"),
    "empty": (unreadable(b"", "envelope_empty"), "envelope_empty"),
    "no bytes": (unreadable(b"") | {"body": None, "reason": "amqp_value"}, "amqp_value"),
    "a response that is an object": (
        unreadable(envelope(Response={}), "response_not_text"),
        "response_not_text",
    ),
    "garbage that is no cut envelope": (unreadable(b'{"a": "b', "envelope_not_json"), "envelope_not_json"),
    "records": (unreadable(b'{"records": []}', "envelope_unknown"), "envelope_unknown"),
    "a lone surrogate": (
        unreadable(b'{"Response": "\\ud800 "}', "envelope_lone_surrogate"),
        "envelope_lone_surrogate",
    ),
}


@pytest.mark.parametrize(("event", "reason"), REJECTED.values(), ids=REJECTED)
def test_an_unreadable_event_is_rejected_with_its_reason(event: dict[str, object], reason: str) -> None:
    (row,) = derive(bronze(event)).to_dicts()
    assert (row["status"], row["reason"], row["event_at"]) == ("rejected", reason, ENQUEUED_AT)
    assert row["subscription"] is None


def test_an_event_that_todays_reader_can_open_is_accounted_for() -> None:
    fingerprinted = envelope(AppSubscriptionKey=FINGERPRINT)
    reopened = derive(bronze(unreadable(fingerprinted, "reason_of_an_older_version")))
    assert reopened.equals(derive(bronze({})))


def test_a_key_that_scrubbing_overlooked_never_reaches_silver() -> None:
    (row,) = derive(bronze(unreadable(envelope(AppSubscriptionKey="raw-secret-key"), "older"))).to_dicts()
    assert (row["status"], row["subscription"]) == ("metered", None)


def salvaged(body: bytes) -> dict[str, object]:
    (row,) = derive(bronze(unreadable(KEYS.scrub_unreadable(body), open_envelope(body).reason))).to_dicts()
    return row


def test_the_same_call_logged_twice_is_two_rows() -> None:
    silver = derive(bronze({}, {}))
    assert silver["response_id"].to_list() == ["chatcmpl-1", "chatcmpl-1"]
    assert silver["sequence_number"].to_list() == [0, 1]


def test_all_fetches_of_a_response_lie_on_the_call_that_made_it() -> None:
    made = '{"id": "resp_1", "object": "response", "created_at": 1777500000, "status": "completed", '
    made += '"model": "gpt-4o", "output": [], "usage": {"input_tokens": 1, "output_tokens": 1}}'
    call = {
        "Request": '{"model": "gpt-4o", "input": "Hi"}',
        "EventTime": "2026-04-29T22:00:01Z",
        "Response": made,
    }
    fetches = [{"Request": request, "Response": made} for request in (None, "")]
    silver = derive(bronze(call, *fetches))
    assert silver["is_retrieval"].to_list() == [False, True, True]
    assert silver["event_at"].to_list() == [
        datetime(2026, 4, 29, 22, 0, 1, tzinfo=UTC),
        *[datetime(2026, 4, 29, 22, 0, tzinfo=UTC)] * 2,
    ]
    assert silver["usage_date"].unique().to_list() == [date(2026, 4, 29)]


def test_an_event_cut_at_the_gateways_limit_keeps_all_but_its_counts() -> None:
    whole = envelope(Response=chat(before=f'"x": "{"é" * 150_000}", '))
    row = salvaged(whole[: 200 * 1024])
    assert (row["status"], row["reason"]) == ("unmetered", "truncated")
    assert row["subscription"] == KEYS.of("0123456789abcdef0123456789abcdef")
    assert (row["user_id"], row["model"], row["operation"]) == ("u-1", "my-deployment", "chat.completions")
    assert row["event_at"] == derive(bronze({}))["event_at"][0]
    assert row["input_tokens"] is None


LONG_ANSWERS = {
    "JSON": chat().replace("Hello", "Hello world, " * 20_000),
    "server-sent events": chunk() * 2_000 + chunk(USAGE) + DONE,
}


@pytest.mark.parametrize("response", LONG_ANSWERS.values(), ids=LONG_ANSWERS)
def test_an_event_cut_at_the_gateways_limit_is_estimated_as_far_as_it_goes(response: str) -> None:
    whole = envelope(Response=response)
    cut = whole[: 200 * 1024]
    # The same answer, cut at the same place in an event that is whole.
    logged = json.loads(cut + b'"}')["Response"]
    there, here = derive(bronze({"Response": logged})).row(0, named=True), salvaged(cut)
    assert len(logged) < len(response)
    assert (here["status"], here["reason"], here["total_tokens"]) == ("unmetered", "truncated", None)
    for name in ("estimated_input_tokens", "estimated_output_tokens", "model", "operation"):
        assert here[name] == there[name] is not None


def test_an_event_cut_in_its_request_is_estimated_by_what_was_asked() -> None:
    request = REQUEST.replace("Hi", "Hello world, " * 20_000)
    row = salvaged(envelope(Request=request)[: 200 * 1024])
    assert (row["status"], row["reason"], row["estimated_output_tokens"]) == ("unmetered", "truncated", None)
    assert isinstance(row["estimated_input_tokens"], int)
    assert row["estimated_input_tokens"] > 30_000


def test_a_cut_answer_gives_the_names_that_come_before_the_cut() -> None:
    row = salvaged(envelope()[:-40])
    assert (row["model"], row["response_id"], row["object"]) == (
        "gpt-4o-2024-08-06",
        "chatcmpl-1",
        "chat.completion",
    )
    assert row["is_stream"] is False


def test_a_cut_stream_is_truncated_even_behind_its_counts() -> None:
    row = salvaged(envelope(Response=chunk() + chunk(USAGE) + DONE)[:-10])
    assert (row["status"], row["reason"], row["total_tokens"]) == ("unmetered", "truncated", None)
    assert (row["is_stream"], row["response_id"]) == (True, "chatcmpl-1")


def test_a_stream_cut_anywhere_is_truncated() -> None:
    whole = envelope(Response=chunk() + chunk(USAGE) + DONE)
    cuts = range(whole.index(b'"Response"'), len(whole) - 1)
    rows = [unreadable(KEYS.scrub_unreadable(whole[:end]), "envelope_truncated") for end in cuts]
    silver = derive(bronze(*rows))
    assert set(silver.select("status", "reason").rows()) == {("unmetered", "truncated")}
    assert silver["total_tokens"].null_count() == silver.height


@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_event_cut_anywhere_is_unmetered_and_nothing_is_invented(ascii_only: bool) -> None:
    fields = {
        "EventTime": EVENT_TIME,
        "AppSubscriptionKey": "0123456789abcdef0123456789abcdef",
        "Request": REQUEST.replace("Hi", "Grüße \U0001f600"),
        "Response": chat().replace("Hello", "\U0001f600 ü"),
    }
    whole = json.dumps(fields, ensure_ascii=ascii_only).encode()
    cuts = range(len('{"EventTime": "'), len(whole))
    bodies = [KEYS.scrub_unreadable(whole[:end]) for end in cuts]
    silver = derive(bronze(*(unreadable(body, "envelope_truncated") for body in bodies)))
    assert silver["status"].unique().to_list() == ["unmetered"]
    assert set(silver["subscription"]) == {None, KEYS.of(fields["AppSubscriptionKey"])}
    assert set(silver["event_at"]) == {ENQUEUED_AT, derive(bronze({}))["event_at"][0]}
    assert set(silver["user_id"]) == {None, "u-1"}
    assert set(silver["response_id"]) == {None, "chatcmpl-1"}
    assert set(silver["model"]) == {None, "my-deployment", "gpt-4o-2024-08-06"}
    assert silver["total_tokens"].null_count() == silver.height
    last = silver.row(-1, named=True)
    assert (last["model"], last["operation"], last["user_id"]) == (
        "gpt-4o-2024-08-06",
        "chat.completions",
        "u-1",
    )


def test_no_prompt_or_answer_reaches_silver() -> None:
    body = envelope(Request=REQUEST.replace("Hi", "PROMPT"), Response=chat().replace("Hello", "ANSWER"))
    events = [{"Request": "PROMPT", "Response": "ANSWER"}, unreadable(body[:-40]), unreadable(b"PROMPT")]
    text = derive(bronze(*events)).write_json()
    assert "PROMPT" not in text
    assert "ANSWER" not in text


_text = (
    st.none()
    | st.text(max_size=60)
    | st.sampled_from([REQUEST, chat(), chunk() + chunk(USAGE) + DONE, EVENT_TIME])
)
_event = st.fixed_dictionaries(
    {"EventTime": _text, "AppSubscriptionKey": _text, "Request": _text, "Response": _text}
) | st.binary(max_size=60).map(lambda body: unreadable(body, open_envelope(body).reason))


@settings(max_examples=60)
@given(st.lists(_event, max_size=5))
def test_every_bronze_row_has_one_silver_row_with_a_status(events: list[dict[str, object]]) -> None:
    rows = bronze(*events)
    silver = derive(rows)
    assert silver.schema == pl.Schema(USAGE_EVENTS.schema)
    assert silver.select(EVENT_KEY).equals(rows.select(EVENT_KEY))
    assert set(silver["status"]) <= set(STATUSES)
    assert silver.equals(derive(rows))


@settings(max_examples=30)
@given(st.lists(_event, min_size=1, max_size=4), st.integers(0, 4))
def test_rows_are_derived_each_on_its_own(events: list[dict[str, object]], split: int) -> None:
    rows = bronze(*events)
    parts = [derive(rows.slice(0, split)), derive(rows.slice(split))]
    assert pl.concat(parts).equals(derive(rows))
