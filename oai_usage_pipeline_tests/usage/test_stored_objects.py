"""Objects that are stored and fetched, or polled until they are done: whatever is fetched is counted once."""

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from oai_usage_pipeline.usage.calls import one_row_per_call
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.metering import meter
from oai_usage_pipeline_tests.usage.bodies import DONE, bronze, chat
from oai_usage_pipeline_tests.usage.shapes.events import POLICY, known, landed, row_of

CREATED_AT = 1777632000
MADE = datetime.fromtimestamp(CREATED_AT, UTC)


def usage_of(total: int) -> dict[str, int]:
    return {"input_tokens": total, "output_tokens": 0, "total_tokens": total}


def batch(status: str | None, total: int | None = None, **others: Any) -> str:
    """A batch as it is polled; its usage grows."""
    fields = {"id": "batch_1", "object": "batch", "created_at": CREATED_AT, "status": status}
    usage = {} if total is None else {"usage": usage_of(total)}
    return json.dumps(fields | usage | others)


STORED = {
    "a response": {"id": "resp_1", "object": "response", "created_at": CREATED_AT, "status": "completed"},
    "a run": {"id": "run_1", "object": "thread.run", "created_at": CREATED_AT, "status": "completed"},
    "a chat completion": {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED_AT},
    "a batch": {"id": "batch_1", "object": "batch", "created_at": CREATED_AT, "status": "completed"},
}
PATHS = {
    "a response": "/openai/v1/responses/resp_1",
    "a run": "/openai/v1/threads/thread_1/runs/run_1",
    "a chat completion": "/openai/v1/chat/completions/chatcmpl-1",
    "a batch": "/openai/v1/batches/batch_1",
}


def stored(name: str) -> str:
    return json.dumps(STORED[name] | {"model": "gpt-4o", "usage": usage_of(7)})


def tokens_charged(*events: dict[str, Any]) -> int:
    return int(one_row_per_call(derive(bronze(*events)))["total_tokens"].sum())


def logged(response: str, request: str | None = None, at: str = "12:00:00") -> dict[str, Any]:
    return {"Request": request, "Response": response, "EventTime": f"2026-05-01T{at}Z"}


@pytest.mark.parametrize("request_text", [None, ""])
@pytest.mark.parametrize("name", STORED)
def test_a_stored_object_without_a_request_was_fetched(name: str, request_text: str | None) -> None:
    (row,) = derive(bronze(logged(stored(name), request_text))).to_dicts()
    assert known(row, "status", "reason", "is_retrieval", "event_at", "response_id", "total_tokens") == {
        "status": "metered",
        "reason": "retrieved",
        "is_retrieval": True,
        "event_at": MADE,
        "response_id": STORED[name]["id"],
        "total_tokens": 7,
    }


@pytest.mark.parametrize("name", STORED)
def test_the_method_tells_for_certain(name: str) -> None:
    record = POLICY | {"path": PATHS[name], "response": stored(name), "usage": None}
    record |= {"eventTime": "2026-05-01T12:00:00Z"}
    fetched = row_of(record | {"method": "GET", "request": "{}"})
    assert (fetched["is_retrieval"], fetched["reason"], fetched["event_at"]) == (True, "retrieved", MADE)
    made = row_of(record | {"method": "POST", "request": None})
    assert (made["is_retrieval"], made["reason"]) == (False, None)
    assert made["event_at"] == MADE.replace(hour=12, minute=0)


@pytest.mark.parametrize("name", STORED)
def test_the_method_tells_of_a_record_without_bodies_too(name: str) -> None:
    record = POLICY | {"path": PATHS[name], "response": None, "request": None, "usage": usage_of(7)}
    fetched = row_of(record | {"method": "GET"})
    # Whether a batch is done is in its body alone.
    expected = ("status_unknown", None) if name == "a batch" else ("retrieved", 7)
    assert (fetched["is_retrieval"], fetched["reason"], fetched["total_tokens"]) == (True, *expected)
    assert row_of(record | {"method": "POST"})["is_retrieval"] is False


@pytest.mark.parametrize("path", ["/openai/v1/models", "/openai/v1/embeddings"])
def test_what_is_not_stored_is_not_fetched(path: str) -> None:
    listed = '{"object": "list", "data": []}'
    row = row_of(POLICY | {"method": "GET", "path": path, "response": listed, "request": None, "usage": None})
    assert (row["is_retrieval"], row["reason"]) == (False, "no_usage_expected")


def test_a_cancelled_response_repeats_the_usage_of_its_call() -> None:
    cancelled = POLICY | {"path": PATHS["a response"] + "/cancel", "method": "POST", "request": None}
    row = row_of(cancelled | {"response": stored("a response"), "usage": None})
    assert (row["is_retrieval"], row["event_at"]) == (True, MADE)


def test_a_batch_is_counted_once_by_the_usage_of_its_end() -> None:
    polled = [
        logged(batch("in_progress", 1_000), at="12:10:00"),
        logged(batch("finalizing", 50_000), at="13:00:00"),
        logged(batch("completed", 100_000), at="14:00:00"),
        logged(batch("completed", 100_000), at="20:00:00"),
    ]
    made = logged(batch("validating", 0), '{"input_file_id": "file-1"}', at="10:40:00")
    assert tokens_charged(made, *polled) == 100_000
    assert derive(bronze(made, *polled))["status"].to_list() == [*["pending"] * 3, *["metered"] * 2]


def test_a_batch_polled_every_minute_of_a_day_is_still_one() -> None:
    polls = [
        logged(batch("in_progress", 10 * n), at=f"{n // 60:02}:{n % 60:02}:00") for n in range(640, 1_400, 20)
    ]
    assert tokens_charged(*polls, logged(batch("completed", 20_000), at="23:59:00")) == 20_000


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing", "cancelling", "novel", None])
def test_a_batch_is_pending_until_it_is_done(status: str | None) -> None:
    record = meter(None, batch(status, 1_000))
    assert (record.status, record.total_tokens, record.response_id) == ("pending", None, "batch_1")
    assert record.reason == (status if status not in ("novel", None) else "status_unknown")


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired"])
def test_a_batch_that_is_done_is_metered_by_its_counts(status: str) -> None:
    record = meter(None, batch(status, 1_000))
    assert (record.status, record.total_tokens, record.is_retrieval) == ("metered", 1_000, True)


@pytest.mark.parametrize("name", ["a response", "a run"])
def test_an_object_in_the_making_is_pending_even_with_a_usage(name: str) -> None:
    growing = json.loads(stored(name)) | {"status": "in_progress"}
    record = meter(None, json.dumps(growing))
    assert (record.status, record.reason, record.total_tokens) == ("pending", "in_progress", None)


def test_a_step_of_a_run_is_not_charged_beside_its_run() -> None:
    step = {"id": "step_1", "object": "thread.run.step", "run_id": "run_1", "status": "completed"}
    record = meter(None, json.dumps(step | {"usage": usage_of(7)}))
    assert (record.status, record.reason, record.total_tokens) == ("unmetered", "no_usage_expected", None)
    assert tokens_charged(logged(stored("a run")), logged(json.dumps(step | {"usage": usage_of(7)}))) == 7


def test_a_streamed_run_is_charged_by_its_run_alone() -> None:
    step = {"id": "step_1", "object": "thread.run.step", "status": "completed", "usage": usage_of(5)}
    of_step = f"event: thread.run.step.completed\ndata: {json.dumps(step)}\n\n"
    of_run = f"event: thread.run.completed\ndata: {stored('a run')}\n\n"
    for text in (of_step + of_run, of_run + of_step):
        record = meter('{"assistant_id": "a", "stream": true}', text + "event: done\n" + DONE)
        assert (record.status, record.total_tokens, record.response_id) == ("metered", 7, "run_1")
    cut = meter('{"assistant_id": "a", "stream": true}', of_step)
    assert (cut.status, cut.total_tokens) == ("unmetered", None)


def test_a_stored_chat_completion_that_is_fetched_a_month_later_is_the_call_itself() -> None:
    answer = chat(before=f'"created": {CREATED_AT}, ')
    later = {"Request": None, "Response": answer, "EventTime": "2026-05-01T12:00:00Z"}
    request = '{"model": "gpt-4o", "messages": [], "store": true}'
    made = {"Request": request, "Response": answer, "EventTime": "2026-05-01T10:40:03Z"}
    assert tokens_charged(made, later, later) == 15


def test_records_of_one_object_in_different_shapes_are_one_call() -> None:
    policy = POLICY | {"path": PATHS["a batch"], "method": "GET", "request": None, "usage": None}
    fetched = landed(json.dumps(policy | {"response": batch("completed", 100_000)}).encode())
    rows = derive(bronze(fetched, logged(batch("completed", 100_000))))
    assert one_row_per_call(rows)["total_tokens"].to_list() == [100_000]
    assert rows["event_at"].unique().to_list() == [MADE]
    assert isinstance(rows, pl.DataFrame)
