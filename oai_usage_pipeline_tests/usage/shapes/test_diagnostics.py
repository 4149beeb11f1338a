"""APIM's diagnostics: many records an event, two logs of one call, chunks, and what is not ours."""

import json
from typing import Any

import pytest

from oai_usage_pipeline.usage.shapes.diagnostics import MOST_RECORDS
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT, EVENT_TIME
from oai_usage_pipeline_tests.usage.shapes.events import (
    chunk_log,
    gateway_log,
    known,
    llm_log,
    records,
    row_of,
    rows_of,
    rows_of_each,
)

TIMES = ENQUEUED_AT.replace(hour=11, minute=59, second=58, microsecond=123_456)


def of_call(record: dict[str, Any], correlation_id: str | None) -> dict[str, Any]:
    return record | {"correlationId": correlation_id}


def test_the_token_row_alone_has_counts_and_no_caller() -> None:
    assert known(
        row_of(records(llm_log())),
        *("event_shape", "event_at", "request_id", "subscription", "deployment", "api_version", "model"),
        *("operation", "is_stream", "response_id", "input_tokens", "output_tokens", "total_tokens"),
        *("cached_input_tokens", "status_code", "status", "reason"),
    ) == {
        "event_shape": "llm_log",
        "event_at": TIMES,
        "request_id": "call-1",
        "subscription": None,
        "deployment": "gpt-4o-eu",
        "api_version": "2024-10-21",
        "model": "gpt-4o-2024-08-06",
        "operation": "chat.completions",
        "is_stream": True,
        "response_id": "chatcmpl-1",
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "cached_input_tokens": 4,
        "status_code": None,
        "status": "metered",
        "reason": None,
    }


def test_a_gateways_log_alone_has_the_caller_and_no_counts() -> None:
    assert known(
        row_of(records(gateway_log())),
        *("event_shape", "event_at", "request_id", "subscription", "product_id", "api_id", "operation_id"),
        *("api_version", "backend_id", "deployment", "region", "status_code", "latency_ms", "operation"),
        *("total_tokens", "status", "reason"),
    ) == {
        "event_shape": "gateway_log",
        "event_at": TIMES,
        "request_id": "call-1",
        "subscription": "team-blue",
        "product_id": "gpt-standard",
        "api_id": "azure-openai",
        "operation_id": "ChatCompletions_Create",
        "api_version": "2024-10-21",
        "backend_id": "openai-eu-1",
        "deployment": "gpt-4o-eu",
        "region": None,
        "status_code": 200,
        "latency_ms": 1834,
        "operation": "chat.completions",
        "total_tokens": None,
        "status": "unmetered",
        "reason": "gateway_log_only",
    }


@pytest.mark.parametrize("gateway_first", [True, False])
def test_both_logs_of_a_call_in_one_event_are_one_row(*, gateway_first: bool) -> None:
    both = [gateway_log(), llm_log()] if gateway_first else [llm_log(), gateway_log()]
    row, alone, caller = row_of(records(*both)), row_of(records(llm_log())), row_of(records(gateway_log()))
    names = (
        "subscription",
        "product_id",
        "api_id",
        "operation_id",
        "backend_id",
        "status_code",
        "latency_ms",
    )
    assert row == alone | known(caller, *names)


def test_a_failed_call_has_its_status_as_reason() -> None:
    failed = row_of(records(gateway_log(responseCode=429)))
    assert (failed["status"], failed["reason"]) == ("failed", "http_429")
    zeros = {"promptTokens": 0, "completionTokens": 0, "totalTokens": 0, "modelName": ""}
    both = row_of(records(gateway_log(responseCode=500), llm_log(**zeros)))
    assert (both["status"], both["reason"], both["event_shape"]) == ("failed", "http_500", "llm_log")


OTHER_APIS: dict[str, dict[str, Any]] = {
    "another API": {"url": "https://apim.example/orders", "operationId": "GetOrders"},
    "by its URL alone": {"url": "https://apim.example/orders/7?chat=completions", "operationId": None},
    "by its operation alone": {"url": None, "operationId": "get-order-by-id"},
    "a host named like ours": {"url": "https://openai.example/orders", "operationId": ""},
    "a word within a word": {"url": "https://apim.example/profile", "operationId": "GetProfile"},
    "one that failed": {"url": "https://apim.example/orders", "operationId": "o", "responseCode": 500},
}


@pytest.mark.parametrize("fields", OTHER_APIS.values(), ids=OTHER_APIS)
def test_a_call_of_another_api_is_no_model_call(fields: dict[str, Any]) -> None:
    row = row_of(records(gateway_log(**fields)))
    assert known(row, "status", "reason", "operation", "subscription") == {
        "status": "rejected",
        "reason": "not_a_model_call",
        "operation": None,
        "subscription": "team-blue",
    }


MODEL_APIS: dict[str, dict[str, Any]] = {
    "by its URL": {"url": "https://apim.example/ai/v1/chat/completions", "operationId": "my-operation"},
    "by a deployment": {"url": "https://apim.example/deployments/x/other", "operationId": "my-operation"},
    "by the API": {"url": "https://apim.example/openai/v1/novelty", "operationId": "my-operation"},
    "by its operation": {"url": "https://apim.example/ai", "operationId": "ChatCompletions_Create"},
    "by its operation in camel case": {"url": None, "operationId": "createResponse"},
    "nothing to tell by": {"url": None, "operationId": None},
    "nothing in them": {"url": "", "operationId": ""},
}


@pytest.mark.parametrize("fields", MODEL_APIS.values(), ids=MODEL_APIS)
def test_a_call_of_a_model_or_of_nobody_knows_what_is_unmetered(fields: dict[str, Any]) -> None:
    row = row_of(records(gateway_log(**fields)))
    assert (row["status"], row["reason"]) == ("unmetered", "gateway_log_only")


def test_a_call_whose_tokens_are_in_the_same_event_is_a_model_call_whatever_its_url() -> None:
    other = gateway_log(url="https://apim.example/my-bot", operationId="ask")
    rows = rows_of(records(other, llm_log(), other))
    assert [(row["status"], row["reason"]) for row in rows] == [
        ("metered", None),
        ("unmetered", "gateway_log_only"),
    ]


@pytest.mark.parametrize(
    "name", ["chat/completions", "images/generations", "vector_stores", "fine_tuning/jobs"]
)
def test_every_path_that_we_have_a_word_for_is_one_of_a_model(name: str) -> None:
    row = row_of(records(gateway_log(url=f"https://apim.example/v1/{name}", operationId=None)))
    assert (row["status"], row["operation"] is None) == ("unmetered", False)


def test_calls_are_told_apart_by_their_correlation_id() -> None:
    rows = rows_of(
        records(
            of_call(llm_log(), "a"),
            of_call(llm_log(promptTokens=20, totalTokens=25), "b"),
            of_call(gateway_log(apimSubscriptionId="team-red"), "b"),
            of_call(gateway_log(apimSubscriptionId="team-green"), "c"),
        )
    )
    assert [(row["request_id"], row["subscription"], row["total_tokens"]) for row in rows] == [
        ("a", None, 15),
        ("b", "team-red", 25),
        ("c", "team-green", None),
    ]
    assert [row["event_index"] for row in rows] == [0, 1, 2]


@pytest.mark.parametrize("missing", [None, "", 7])
def test_records_without_a_correlation_id_are_calls_of_their_own(missing: Any) -> None:
    rows = rows_of(records(of_call(llm_log(), missing), of_call(gateway_log(), missing)))
    assert [(row["event_shape"], row["request_id"]) for row in rows] == [
        ("llm_log", None),
        ("gateway_log", None),
    ]


def test_a_token_row_that_comes_twice_is_two_rows() -> None:
    rows = rows_of(records(llm_log(), llm_log()))
    assert [(row["request_id"], row["total_tokens"]) for row in rows] == [("call-1", 15), ("call-1", 15)]


def test_a_gateways_log_that_comes_twice_is_two_rows() -> None:
    rows = rows_of(records(gateway_log(), llm_log(), gateway_log()))
    assert [(row["event_shape"], row["status"]) for row in rows] == [
        ("llm_log", "metered"),
        ("gateway_log", "unmetered"),
    ]


def in_upper_case(record: dict[str, Any]) -> dict[str, Any]:
    def upper(fields: dict[str, Any]) -> dict[str, Any]:
        return {name[0].upper() + name[1:]: value for name, value in fields.items()}

    return upper(record | {"properties": upper(record["properties"])})


def as_text(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"properties": json.dumps(record["properties"])}


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record without `properties`, named by its table as resource-specific exports do."""
    others = {name: value for name, value in record.items() if name not in ("properties", "category")}
    properties: dict[str, Any] = record["properties"]
    table = {"GatewayLlmLogs": "ApiManagementGatewayLlmLog", "GatewayLogs": "ApiManagementGatewayLogs"}
    return others | {"Type": table[record["category"]]} | properties


@pytest.mark.parametrize("written", [in_upper_case, as_text, flat])
def test_names_in_either_case_and_properties_as_text_or_beside_read_the_same(written: Any) -> None:
    both = (llm_log(), gateway_log())
    assert rows_of(records(*(written(each) for each in both))) == rows_of(records(*both))


def test_chunks_of_messages_belong_to_their_token_row() -> None:
    chunks = [
        chunk_log(1, requestMessages=[{"role": "user", "content": "Hi"}]),
        chunk_log(2, responseMessages=[{"role": "assistant", "content": "Hello"}]),
    ]
    assert row_of(records(*chunks, llm_log())) == row_of(records(llm_log()))


ZEROS = {"promptTokens": 0, "completionTokens": 0, "totalTokens": 0, "promptCachedTokens": 0}


def test_a_token_row_of_zeros_is_no_measurement_and_estimated_by_the_messages() -> None:
    chunks = [
        chunk_log(1, requestMessages=message("Hello world", "user")),
        chunk_log(2, responseMessages=message("Hello world")),
    ]
    row, alone = row_of(records(llm_log(**ZEROS), *chunks)), row_of(records(llm_log(**ZEROS)))
    names = ("status", "reason", "total_tokens", "estimated_input_tokens", "estimated_output_tokens")
    assert known(row, *names, "model", "response_id", "is_stream") == {
        "status": "unmetered",
        "reason": "usage_of_zero",
        "total_tokens": None,
        "estimated_input_tokens": 9,
        "estimated_output_tokens": 2,
        "model": "gpt-4o-2024-08-06",
        "response_id": "chatcmpl-1",
        "is_stream": True,
    }
    assert tuple(known(alone, *names).values()) == ("unmetered", "usage_of_zero", None, None, None)


def test_a_chunk_of_zeros_without_a_number_is_no_call_beside_the_tokens() -> None:
    row = row_of(records(llm_log(sequenceNumber=None, **ZEROS), llm_log()))
    assert (row["status"], row["total_tokens"]) == ("metered", 15)


def test_chunks_without_their_token_row_are_unmetered() -> None:
    row = row_of(records(chunk_log(1, requestMessages=[{"role": "user", "content": "Hi"}])))
    assert known(row, "event_shape", "request_id", "status", "reason", "total_tokens", "event_at") == {
        "event_shape": "llm_log",
        "request_id": "call-1",
        "status": "unmetered",
        "reason": "llm_log_without_tokens",
        "total_tokens": None,
        "event_at": TIMES,
    }


def message(content: str, role: str = "assistant") -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


ANSWER = "word " * 400
SPLIT = {
    "whole": [ANSWER],
    "two chunks": [ANSWER[:999], ANSWER[999:]],
}


@pytest.mark.parametrize("parts", SPLIT.values(), ids=SPLIT)
@pytest.mark.parametrize("as_json_text", [True, False])
def test_chunks_are_put_together_in_sequence_for_an_estimate(parts: list[str], *, as_json_text: bool) -> None:
    written = [json.dumps(message(part)) if as_json_text else message(part) for part in parts]
    chunks = [chunk_log(number, responseMessages=each) for number, each in enumerate(written, 2)]
    asked = chunk_log(1, requestMessages=message("Hi", "user"))
    row = row_of(records(*reversed(chunks), asked))
    once = row_of(records(asked, chunk_log(2, responseMessages=message(ANSWER))))
    assert known(row, "estimated_input_tokens", "estimated_output_tokens") == known(
        once, "estimated_input_tokens", "estimated_output_tokens"
    )
    assert row["total_tokens"] is None


def test_a_text_that_was_cut_into_chunks_is_joined_before_it_is_read() -> None:
    text = json.dumps(message(ANSWER))
    chunks = [chunk_log(2, responseMessages=text[:700]), chunk_log(3, responseMessages=text[700:])]
    once = row_of(records(chunk_log(2, responseMessages=message(ANSWER))))
    assert row_of(records(*chunks))["estimated_output_tokens"] == once["estimated_output_tokens"]


def test_no_message_reaches_silver() -> None:
    rows = rows_of(
        records(chunk_log(1, requestMessages=message("PROMPT", "user"), responseMessages="ANSWER"))
    )
    assert "PROMPT" not in repr(rows)
    assert "ANSWER" not in repr(rows)


@pytest.mark.parametrize("count", ["10", 10.5, True, -1, 2**63, [1]])
def test_an_impossible_count_rejects_its_call_alone(count: object) -> None:
    rows = rows_of(records(of_call(llm_log(), "a"), of_call(llm_log(promptTokens=count), "b")))
    assert [row["status"] for row in rows] == ["metered", "rejected"]
    assert rows[1]["reason"].startswith("tokens_")


BAD: dict[str, object] = {
    "a number": 7,
    "null": None,
    "a list": [],
    "properties that are no JSON": llm_log() | {"properties": "{"},
    "properties that are a list": llm_log() | {"properties": []},
    "properties that are a number in a text": llm_log() | {"properties": "7"},
    "properties nested too deep": llm_log() | {"properties": '{"a":' * 300},
}


@pytest.mark.parametrize("record", BAD.values(), ids=BAD)
def test_a_record_that_can_not_be_read_is_rejected_alone(record: object) -> None:
    rows = rows_of(records(of_call(llm_log(), "a"), record, of_call(llm_log(), "b")))
    assert sorted((row["status"], row["reason"] or "") for row in rows) == [
        ("metered", ""),
        ("metered", ""),
        ("rejected", "record_unreadable"),
    ]


def test_foreign_records_are_counted_in_one_row() -> None:
    foreign = [{"category": "WebSocketConnectionLogs"}, {"category": 7}, {}]
    rows = rows_of(records(llm_log(), *foreign))
    assert [(row["status"], row["reason"]) for row in rows] == [
        ("metered", None),
        ("rejected", "category_unknown: 3 records"),
    ]


def test_an_event_of_too_many_records_is_bounded_and_says_how_many_are_left_out() -> None:
    shortest = {"category": "GatewayLogs"}
    rows = rows_of(records(*[shortest] * 100_000))
    assert len(rows) == MOST_RECORDS + 1
    assert rows[-1]["reason"] == f"too_many_records: {100_000 - MOST_RECORDS} left out"
    assert rows[-1]["event_index"] == MOST_RECORDS


def test_an_array_of_too_many_events_is_bounded_and_says_how_many_are_left_out() -> None:
    rows = rows_of([{"totalTokens": 1}] * 50_000)
    assert len(rows) == MOST_RECORDS + 1
    assert rows[-1]["reason"] == f"too_many_records: {50_000 - MOST_RECORDS} left out"


def test_an_array_of_events_of_many_records_is_bounded_as_one_event_is() -> None:
    many = records(*[{"category": "GatewayLogs"}] * 6_000)
    rows = rows_of([many, many, {"totalTokens": 1}])
    assert len(rows) == MOST_RECORDS + 1
    assert rows[-1]["reason"] == f"too_many_records: {12_001 - MOST_RECORDS} left out"


def test_records_that_were_cut_give_all_whole_ones_and_a_row_for_the_rest() -> None:
    body = json.dumps(records(of_call(llm_log(), "a"), of_call(llm_log(), "b"))).encode()
    rows = rows_of(body[:-40])
    assert [(row["request_id"], row["status"], row["reason"]) for row in rows] == [
        ("a", "metered", None),
        ("b", "unmetered", "truncated"),
    ]
    assert (rows[1]["deployment"], rows[1]["total_tokens"]) == ("gpt-4o-eu", None)


ONE_CALL = json.dumps(records(gateway_log(), llm_log())).encode()
ONE_CALL_TOKENS_FIRST = json.dumps(records(llm_log(), gateway_log())).encode()


@pytest.mark.parametrize("body", [ONE_CALL, ONE_CALL_TOKENS_FIRST], ids=["gateway first", "tokens first"])
def test_one_call_cut_anywhere_is_never_two(body: bytes) -> None:
    first = body.index(b'"category"') + 40
    for row, *others in rows_of_each(body[:end] for end in range(first, len(body))):
        assert not others
        assert row["request_id"] in (None, "call-1")
        assert row["subscription"] in (None, "team-blue")
        assert row["total_tokens"] in (None, 15)
        assert "truncated" in row["reason"]


def test_a_cut_record_keeps_the_caller_that_the_gateways_log_names() -> None:
    row = row_of(ONE_CALL[:-40])
    assert known(row, "event_shape", "request_id", "subscription", "status", "reason", "total_tokens") == {
        "event_shape": "llm_log",
        "request_id": "call-1",
        "subscription": "team-blue",
        "status": "unmetered",
        "reason": "truncated",
        "total_tokens": None,
    }


def test_a_cut_record_that_tells_nothing_is_a_remark_on_the_others() -> None:
    body = json.dumps(records(of_call(llm_log(), "a"), of_call(llm_log(), "b"))).encode()
    row = row_of(body[: body.rindex(b'"category"') + 5])
    assert known(row, "request_id", "status", "reason", "total_tokens") == {
        "request_id": "a",
        "status": "metered",
        "reason": "truncated",
        "total_tokens": 15,
    }


@pytest.mark.parametrize("properties", ["{]", "[", "7", "", "{", '{"a": "b'])
def test_a_cut_record_whose_properties_can_not_be_read_costs_no_other(properties: str) -> None:
    whole, last = of_call(llm_log(), "a"), of_call(llm_log(), "b") | {"properties": properties}
    rows = rows_of(json.dumps(records(whole, last)).encode()[:-4])
    assert [(row["request_id"], row["total_tokens"]) for row in rows] == [("a", 15), ("b", None)]
    assert rows[1]["reason"] == "truncated"


def test_records_that_were_cut_between_two_are_all_whole() -> None:
    body = json.dumps(records(of_call(llm_log(), "a"), of_call(llm_log(), "b"), llm_log())).encode()
    end = body.rindex(b', {"time"')
    for cut in (body[:end], body[: end + 1], body[: end + 2]):
        rows = rows_of(cut)
        assert [(row["request_id"], row["total_tokens"]) for row in rows] == [("a", 15), ("b", 15)]
        assert [row["reason"] for row in rows] == [None, "truncated"]


def test_the_only_record_of_an_event_is_its_one_row_however_it_was_cut() -> None:
    body = json.dumps(records(as_text(llm_log()))).encode()
    first = body.index(b'"GatewayLlmLogs"') + len('"GatewayLlmLogs"')
    rows = [row for (row,) in rows_of_each(body[:end] for end in range(first, len(body)))]
    assert {row["request_id"] for row in rows} == {None, "call-1"}
    assert {row["deployment"] for row in rows} == {None, "gpt-4o-eu"}
    assert {row["model"] for row in rows} == {None, "gpt-4o-2024-08-06"}


def test_a_cut_chunk_of_messages_is_estimated_as_far_as_it_goes() -> None:
    asked = chunk_log(1, requestMessages=message("Hi", "user"))
    body = json.dumps(records(asked, chunk_log(2, responseMessages=message(ANSWER)))).encode()
    whole, cut = row_of(body), row_of(body[:-500])
    assert (cut["request_id"], cut["status"], cut["reason"]) == ("call-1", "unmetered", "truncated")
    assert cut["estimated_input_tokens"] == whole["estimated_input_tokens"]
    assert 200 < cut["estimated_output_tokens"] < whole["estimated_output_tokens"]


@pytest.mark.parametrize("number", ["0", None])
def test_the_token_row_is_known_by_a_text_or_no_number_too(number: object) -> None:
    assert row_of(records(llm_log(sequenceNumber=number)))["total_tokens"] == 15


@pytest.mark.parametrize("time", [None, 7, "x"])
def test_a_record_without_a_readable_time_is_at_the_hubs(time: object) -> None:
    row = row_of(records(llm_log() | {"time": time}))
    assert row["event_at"] == ENQUEUED_AT
    assert row["reason"].startswith("event_time_")
    assert row["status"] == "metered"


def test_an_event_time_is_that_of_each_record() -> None:
    earlier = EVENT_TIME.replace("T11:", "T10:")
    rows = rows_of(records(of_call(llm_log(), "a"), of_call(llm_log(), "b") | {"time": earlier}))
    assert [row["event_at"] for row in rows] == [TIMES, TIMES.replace(hour=10)]


@pytest.mark.parametrize("odd", [["call-1"], {"id": "call-1"}, 1, True, None, "", []])
def test_a_cut_record_whose_id_is_no_text_has_none(odd: object) -> None:
    # Found by the fuzzer: what can't be a key of a dictionary was asked for in one.
    record = llm_log() | {"correlationId": odd}
    (row,) = rows_of(json.dumps(records(record)).encode()[:-40])
    assert (row["status"], row["reason"], row["request_id"]) == ("unmetered", "truncated", None)
    first, *others = rows_of(json.dumps(records(llm_log(), record)).encode()[:-40])
    assert (first["status"], first["request_id"], first["total_tokens"]) == ("metered", "call-1", 15)
    assert not others or others[0]["status"] == "unmetered"
