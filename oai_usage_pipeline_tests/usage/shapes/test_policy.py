"""Our own policy's record: every field has its column, bodies or not, cut or not."""

import json
from typing import Any

import pytest

from oai_usage_pipeline_tests.usage.bodies import DONE, USAGE, chat, chunk
from oai_usage_pipeline_tests.usage.shapes.events import KEY, POLICY, known, row_of, rows_of_all


def without(*names: str, **changed: Any) -> dict[str, Any]:
    return {name: value for name, value in (POLICY | changed).items() if name not in names}


BODILESS = without("request", "response")


def test_every_field_has_its_column() -> None:
    row = row_of(POLICY)
    assert known(
        row,
        *("event_shape", "request_id", "subscription", "subscription_name", "user_id", "product_id"),
        *("api_id", "operation_id", "api_version", "backend_id", "deployment", "region", "status_code"),
        *("latency_ms", "time_to_first_byte_ms", "is_stream", "is_retrieval", "response_id"),
        *("operation", "model", "request_model", "input_tokens", "output_tokens", "status", "reason"),
    ) == {
        "event_shape": "policy",
        "request_id": "5f1c2a90-6d8e-4f8e-9f0e-0123456789ab",
        "subscription": "team-blue",
        "subscription_name": "Team Blue",
        "user_id": "6b2f-user",
        "product_id": "gpt-standard",
        "api_id": "azure-openai",
        "operation_id": "ChatCompletions_Create",
        "api_version": "2024-10-21",
        "backend_id": "openai-eu-1",
        "deployment": "gpt-4o-eu",
        "region": "swedencentral",
        "status_code": 200,
        "latency_ms": 1834,
        "time_to_first_byte_ms": 211,
        "is_stream": False,
        "is_retrieval": False,
        "response_id": "chatcmpl-1",
        "operation": "chat.completions",
        "model": "gpt-4o-2024-08-06",
        "request_model": "my-deployment",
        "input_tokens": 10,
        "output_tokens": 5,
        "status": "metered",
        "reason": None,
    }


def test_a_record_without_bodies_says_the_same_by_its_usage() -> None:
    whole, bodiless = row_of(POLICY), row_of(BODILESS)
    names = [name for name in whole if name.endswith("_tokens")]
    names += ["operation", "model", "response_id", "is_stream", "status", "reason", "deployment", "user_id"]
    assert known(bodiless, *names) == known(whole, *names)


def test_a_record_without_bodies_and_usage_is_unmetered() -> None:
    row = row_of(without("request", "response", "usage"))
    assert known(row, "status", "reason", "total_tokens", "model") == {
        "status": "unmetered",
        "reason": "bodies_not_logged",
        "total_tokens": None,
        "model": "gpt-4o-2024-08-06",
    }


def test_the_model_that_answered_is_the_one_that_the_policy_names_not_the_one_asked_for() -> None:
    for record in (without("response"), without("response", "usage")):
        row = row_of(record)
        assert (row["model"], row["request_model"]) == ("gpt-4o-2024-08-06", "my-deployment")
    assert row_of(POLICY | {"model": "another"})["model"] == "gpt-4o-2024-08-06"


def test_a_response_that_reports_counts_wins_over_the_usage_field_and_both_are_named() -> None:
    row = row_of(POLICY | {"usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6}})
    assert (row["status"], row["input_tokens"], row["total_tokens"]) == ("metered", 10, 15)
    assert row["reason"] == "input_tokens 10 != 1 in usage; total_tokens 15 != 6 in usage"


AGREEING: dict[str, Any] = {
    "fewer counts": {"total_tokens": 15},
    "nothing": {},
    "another API's names": {"input_tokens": 10, "output_tokens": 5},
}


@pytest.mark.parametrize("usage", AGREEING.values(), ids=AGREEING)
def test_a_usage_field_that_says_less_contradicts_nothing(usage: dict[str, Any]) -> None:
    assert row_of(POLICY | {"usage": usage}) == row_of(POLICY)


def test_a_usage_field_that_can_not_be_right_is_named_beside_the_response_s_counts() -> None:
    row = row_of(POLICY | {"usage": {"prompt_tokens": -1}})
    assert (row["status"], row["total_tokens"], row["reason"]) == ("metered", 15, "usage: tokens_negative")


ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize("usage", [{}, ZERO])
def test_a_usage_field_that_says_nothing_leaves_a_response_its_reason_and_estimate(
    usage: dict[str, Any],
) -> None:
    row = row_of(POLICY | {"response": chunk() + DONE, "isStream": True, "usage": usage})
    assert row == row_of(POLICY | {"response": chunk() + DONE, "isStream": True, "usage": None})
    assert (row["status"], row["reason"]) == ("unmetered", "stream_without_usage")
    assert row["estimated_output_tokens"]


def test_a_record_without_bodies_and_a_usage_of_zeros_is_unmetered() -> None:
    row = row_of(BODILESS | {"usage": ZERO})
    assert (row["status"], row["reason"], row["total_tokens"]) == ("unmetered", "usage_of_zero", None)


GROWING = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@pytest.mark.parametrize("kind", ["response", "thread.run", "batch"])
def test_the_usage_of_an_object_in_the_making_is_not_taken_from_the_usage_field_either(kind: str) -> None:
    growing = json.dumps({"id": "x", "object": kind, "status": "in_progress", "usage": GROWING})
    row = row_of(POLICY | {"response": growing, "path": "/openai/v1/x"})
    assert (row["status"], row["reason"], row["total_tokens"]) == ("pending", "in_progress", None)


def test_a_step_of_a_run_has_no_usage_of_its_own_in_the_usage_field_either() -> None:
    step = json.dumps({"id": "step_1", "object": "thread.run.step", "status": "completed", "usage": GROWING})
    row = row_of(POLICY | {"response": step, "path": "/openai/v1/threads/t/runs/r/steps/step_1"})
    assert (row["status"], row["reason"], row["total_tokens"]) == ("unmetered", "no_usage_expected", None)


def test_a_stream_whose_usage_the_policy_took_is_metered() -> None:
    row = row_of(POLICY | {"response": chunk() + DONE, "isStream": True})
    assert known(row, "status", "reason", "total_tokens", "is_stream", "estimated_output_tokens") == {
        "status": "metered",
        "reason": None,
        "total_tokens": 15,
        "is_stream": True,
        "estimated_output_tokens": None,
    }


IMPOSSIBLE = {
    "a text": ({"prompt_tokens": "10"}, "tokens_not_integer"),
    "a fraction": ({"prompt_tokens": 10.5}, "tokens_not_integer"),
    "a boolean": ({"prompt_tokens": True}, "tokens_not_integer"),
    "negative": ({"prompt_tokens": -1}, "tokens_negative"),
    "2^63": ({"prompt_tokens": 2**63}, "tokens_too_large"),
    "an array": ([1, 2], "usage_not_object"),
    "a text for usage": ("15", "usage_not_object"),
}


@pytest.mark.parametrize(("usage", "reason"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_counts_are_rejected_never_left_out(usage: object, reason: str) -> None:
    row = row_of(BODILESS | {"usage": usage})
    assert known(row, "status", "reason", "total_tokens") == {
        "status": "rejected",
        "reason": reason,
        "total_tokens": None,
    }


WRONG = {"statusCode": "200", "latencyMs": -1, "timeToFirstByteMs": 1e300, "userClaims": [], "region": 7}


@pytest.mark.parametrize("name", WRONG)
def test_any_other_field_of_a_wrong_type_is_left_out_alone(name: str) -> None:
    column = {
        "statusCode": "status_code",
        "latencyMs": "latency_ms",
        "timeToFirstByteMs": "time_to_first_byte_ms",
        "userClaims": "user_id",
        "region": "region",
    }[name]
    right, wrong = row_of(POLICY), row_of(POLICY | {name: WRONG[name]})
    expected = "u-1" if column == "user_id" else None
    assert wrong == right | {column: expected}


FAILED = {
    "no body": {"statusCode": 429},
    "an empty body": {"statusCode": 503, "response": ""},
    "a page": {"statusCode": 502, "response": "<html>Bad gateway</html>"},
    "an object that says nothing": {"statusCode": 401, "response": "{}"},
}


@pytest.mark.parametrize("changed", FAILED.values(), ids=FAILED)
def test_an_error_without_a_readable_body_failed_with_its_status(changed: dict[str, Any]) -> None:
    row = row_of(without("request", "response", "usage") | changed)
    assert (row["status"], row["reason"]) == ("failed", f"http_{changed['statusCode']}")


def test_an_error_that_names_itself_keeps_its_name() -> None:
    error = json.dumps({"error": {"code": "content_filter", "message": "blocked"}})
    row = row_of(without("usage") | {"statusCode": 400, "response": error})
    assert (row["status"], row["reason"]) == ("failed", "content_filter")


CLAIMS = {
    "oid": ({"oid": "o", "sub": "s", "upn": "u"}, "o"),
    "sub": ({"sub": "s", "name": "n"}, "s"),
    "upn": ({"oid": "", "upn": "u@example.com"}, "u@example.com"),
    "name": ({"name": "Ada"}, "Ada"),
    "an oid that is a number": ({"oid": 7, "sub": "s"}, "s"),
    "none": ({}, "u-1"),
    "null": (None, "u-1"),
    "very long": ({"oid": "o" * 300}, "o" * 255 + "…"),
}


@pytest.mark.parametrize(("claims", "user_id"), CLAIMS.values(), ids=CLAIMS)
def test_the_users_claims_come_before_the_requests_user(claims: object, user_id: str) -> None:
    assert row_of(POLICY | {"userClaims": claims})["user_id"] == user_id


def test_the_deployment_is_that_of_the_path_where_none_is_named() -> None:
    assert row_of(without("deployment"))["deployment"] == "gpt-4o-eu"


RESPONSE = json.dumps(
    {
        "id": "resp_1",
        "object": "response",
        "created_at": 1777500000,
        "status": "completed",
        "model": "gpt-4o",
        "output": [],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    }
)
RESPONSES = without("request", "usage", path="/openai/v1/responses/resp_1", response=RESPONSE)


@pytest.mark.parametrize(("method", "is_retrieval"), [("GET", True), ("POST", False), (None, True)])
def test_the_method_tells_a_fetched_response_from_a_request_that_was_not_logged(
    method: str | None, *, is_retrieval: bool
) -> None:
    row = row_of(RESPONSES | {"method": method})
    assert row["is_retrieval"] is is_retrieval
    assert row["reason"] == ("retrieved" if is_retrieval else None)


def cut(record: dict[str, Any], end: int) -> dict[str, Any]:
    return row_of(json.dumps(record).encode()[:end])


def test_a_record_cut_at_the_gateways_limit_is_metered_by_the_usage_before_the_bodies() -> None:
    row = cut(POLICY | {"response": chat(before=f'"x": "{"é" * 150_000}", ')}, 200 * 1024)
    assert known(row, "status", "reason", "total_tokens", "subscription", "user_id", "latency_ms") == {
        "status": "metered",
        "reason": "truncated",
        "total_tokens": 15,
        "subscription": "team-blue",
        "user_id": "6b2f-user",
        "latency_ms": 1834,
    }


def test_a_record_cut_anywhere_invents_nothing() -> None:
    record = without("requestId", requestId="id-1")
    whole = json.dumps(record).encode()
    ends = range(whole.index(b",") + 1, len(whole))
    rows = rows_of_all(whole[:end] for end in ends)
    assert len(rows) == len(ends)
    for row in rows:
        assert row["status"] in ("metered", "unmetered")
        assert row["reason"].startswith("truncated")
        assert row["total_tokens"] in (None, 15)
        assert row["subscription"] in (None, "team-blue")
        assert row["status_code"] in (None, 200)
        assert row["user_id"] in (None, "6b2f-user", "u-1")


def test_a_stream_that_was_cut_before_usage_stays_unmetered() -> None:
    record = without("usage", response=chunk() + chunk(USAGE) + DONE)
    row = cut(record, len(json.dumps(record)) - 20)
    assert (row["status"], row["reason"], row["response_id"]) == ("unmetered", "truncated", "chatcmpl-1")


def test_a_later_version_with_more_fields_is_read_by_what_is_known() -> None:
    later = POLICY | {"recordVersion": 2, "cacheHit": True, "nested": {"api-key": KEY}}
    assert row_of(later) == row_of(POLICY) | {"reason": "record_version_unknown"}


@pytest.mark.parametrize("version", [0, 2, -1, "1", 1.0, True, None, [1], {}])
def test_a_version_that_is_not_known_is_a_remark(version: object) -> None:
    row = row_of(POLICY | {"recordVersion": version})
    assert (row["event_shape"], row["status"], row["total_tokens"]) == ("policy", "metered", 15)
    assert row["reason"] == "record_version_unknown"


def test_the_version_joins_what_else_there_is_to_say() -> None:
    row = row_of(POLICY | {"recordVersion": 2, "response": chat(None), "usage": None})
    assert (row["status"], row["reason"]) == ("unmetered", "usage_missing; record_version_unknown")
