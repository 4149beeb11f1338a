"""How answers ended: finish reasons, tool calls, the content filter, for plain bodies and streams."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.usage.metering import UsageRecord, meter
from oai_usage_pipeline.usage.streams import read_tail, read_whole
from oai_usage_pipeline_tests.usage.bodies import DONE, REQUEST, USAGE, chunk

CALLS = [{"id": "call_1", "function": {"name": "f", "arguments": "{}"}}, {"id": "call_2"}]


def chat_of(*choices: dict[str, Any], **more: Any) -> str:
    body = {"id": "c", "object": "chat.completion", "model": "m", "choices": choices}
    return json.dumps(body | {"usage": json.loads(USAGE)} | more)


def response_of(status: str, output: list[Any] | None = None, **more: Any) -> str:
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    body = {"id": "r", "object": "response", "model": "m", "status": status, "output": output or []}
    return json.dumps(body | {"usage": usage} | more)


def ending(record: UsageRecord) -> tuple[str | None, int | None, bool | None]:
    return record.finish_reasons, record.tool_call_count, record.is_content_filtered


def stop(**message: Any) -> dict[str, Any]:
    return {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}


PLAIN = {
    "stop": (chat_of(stop()), ("stop", 0, False)),
    "several answers": (chat_of(stop(), {"finish_reason": "length"}, stop()), ("stop,length", 0, False)),
    "tool calls": (
        chat_of({"finish_reason": "tool_calls", "message": {"tool_calls": CALLS}}),
        ("tool_calls", 2, False),
    ),
    "a tool call that was forced": (chat_of(stop(tool_calls=CALLS[:1])), ("stop", 1, False)),
    "a function call": (
        chat_of({"finish_reason": "function_call", "message": {"function_call": {"name": "f"}}}),
        ("function_call", 1, False),
    ),
    "filtered": (chat_of({"finish_reason": "content_filter"}), ("content_filter", 0, True)),
    "a prompt's verdict": (
        chat_of(stop(), prompt_filter_results=[{"content_filter_results": {"hate": {"filtered": True}}}]),
        ("stop", 0, True),
    ),
    "a verdict in the answer's own words": (chat_of(stop(content='{"filtered": true}')), ("stop", 0, False)),
    "a reason of foreign text": (chat_of({"finish_reason": "<b>x</b>"}), (None, 0, False)),
    "a reason of another type": (chat_of({"finish_reason": 5}), (None, None, False)),
    "choices of another type": (
        '{"object": "chat.completion", "choices": {"0": 1}, "usage": ' + USAGE + "}",
        (None, None, False),
    ),
    "completed": (response_of("completed"), ("completed", 0, False)),
    "incomplete": (
        response_of("incomplete", incomplete_details={"reason": "max_output_tokens"}),
        ("max_output_tokens", 0, False),
    ),
    "a filtered response": (
        response_of("incomplete", incomplete_details={"reason": "content_filter"}),
        ("content_filter", 0, True),
    ),
    "a response that calls": (
        response_of(
            "completed", [{"type": "function_call"}, {"type": "web_search_call"}, {"type": "message"}]
        ),
        ("completed", 2, False),
    ),
    "queued": (response_of("queued", usage=None), (None, None, None)),
    "a blocked prompt": ('{"error": {"code": "content_filter"}}', (None, None, True)),
    "another failure": ('{"error": {"code": "429"}}', (None, None, False)),
}


@pytest.mark.parametrize(("response", "wanted"), PLAIN.values(), ids=PLAIN)
def test_a_body_says_how_it_ended(response: str, wanted: tuple[str | None, int | None, bool | None]) -> None:
    record = meter(REQUEST, response)
    assert ending(record) == wanted
    assert record.status != "rejected"


@pytest.mark.parametrize("indent", [None, 2])
def test_a_verdict_is_seen_however_the_body_is_indented(indent: int | None) -> None:
    tree = json.loads(PLAIN["a prompt's verdict"][0])
    separators = (",", ":") if indent is None else None
    assert meter(REQUEST, json.dumps(tree, indent=indent, separators=separators)).is_content_filtered is True


def last(reason: str) -> str:
    return chunk(choices=f'[{{"index": 0, "delta": {{}}, "finish_reason": "{reason}"}}]')


def tool(call: str, text: str = "") -> str:
    told = f'"id": "{call}", "type": "function", ' if call else ""
    called = f'{{{told}"function": {{"arguments": "{text}"}}}}'
    return chunk(choices=f'[{{"delta": {{"tool_calls": [{called}]}}, "finish_reason": null}}]')


COUNTED = chunk(USAGE, choices="[]")
BLOCKED = 'data: {"choices":[],"id":"","prompt_filter_results":[{"hate":{"filtered":true}}]}\n\n'
STREAMED = {
    "stop": (chunk() + last("stop") + COUNTED + DONE, ("stop", None, False)),
    "without usage": (chunk() + last("length") + DONE, ("length", None, False)),
    "tool calls": (
        tool("call_1") + tool("", "{}") + tool("call_2") + last("tool_calls") + COUNTED + DONE,
        ("tool_calls", 2, False),
    ),
    "a function call": (last("function_call") + DONE, ("function_call", 1, False)),
    "filtered": (chunk() + last("content_filter") + DONE, ("content_filter", None, True)),
    "a prompt's verdict": (BLOCKED + chunk() + last("stop") + DONE, ("stop", None, True)),
    "cut off": (chunk(), (None, None, None)),
    "a reason of foreign text": (last("<b>") + DONE, (None, None, False)),
    "completed": (
        'data: {"type": "response.completed", "response": ' + response_of("completed", CALLS) + "}\n\n",
        ("completed", 0, False),
    ),
}


@pytest.mark.parametrize(("response", "wanted"), STREAMED.values(), ids=STREAMED)
def test_a_stream_says_how_it_ended(
    response: str, wanted: tuple[str | None, int | None, bool | None]
) -> None:
    assert ending(meter(REQUEST, response)) == wanted
    assert read_tail(response) in (None, read_whole(response))


@pytest.mark.parametrize("tier", [None, "", "default", "auto", "standard"])
def test_the_default_tier_is_null(tier: str | None) -> None:
    assert meter(REQUEST, chat_of(stop(), service_tier=tier)).service_tier is None


def test_another_tier_is_kept_plain_and_streamed() -> None:
    assert meter(REQUEST, chat_of(stop(), service_tier="priority")).service_tier == "priority"
    streamed = COUNTED.replace('"usage"', '"service_tier": "flex", "usage"')
    assert meter(REQUEST, chunk() + streamed + DONE).service_tier == "flex"


_reason = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "<b>"])


@given(st.lists(_reason.map(last) | st.sampled_from([chunk(), tool("call_1"), BLOCKED]), max_size=5))
def test_quick_and_whole_reading_agree_on_the_ending(pieces: list[str]) -> None:
    for end in (DONE, COUNTED + DONE, COUNTED):
        text = "".join(pieces) + end
        assert read_tail(text) in (None, read_whole(text))


def test_a_stored_response_that_is_fetched_says_when_it_was_made() -> None:
    body = response_of("completed", created_at=1_750_000_000)
    fetched, made = meter(None, body), meter(REQUEST, body)
    assert (fetched.is_retrieval, fetched.created_at, fetched.reason) == (True, 1_750_000_000, "retrieved")
    assert (made.is_retrieval, made.created_at, made.reason) == (False, 1_750_000_000, None)


def test_a_stored_response_may_be_fetched_as_a_stream() -> None:
    body = response_of("completed", created_at=1_750_000_000)
    record = meter(
        "", f'event: response.completed\ndata: {{"type": "response.completed", "response": {body}}}\n\n'
    )
    assert (record.is_retrieval, record.created_at, record.reason) == (True, 1_750_000_000, "retrieved")


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_response_that_is_not_ready_is_pending_however_often_it_is_fetched(status: str) -> None:
    record = meter(None, response_of(status, usage=None))
    assert (record.status, record.reason, record.is_retrieval) == ("pending", status, True)


def test_a_background_response_that_was_asked_for_is_no_retrieval() -> None:
    record = meter('{"input": "x", "background": true}', response_of("completed", background=True))
    assert (record.is_retrieval, record.reason) == (False, None)


@pytest.mark.parametrize("created_at", ["-1", '"now"', "1e400", "true", "9" * 20])
def test_an_impossible_instant_is_none(created_at: str) -> None:
    body = response_of("completed").replace('"status"', f'"created_at": {created_at}, "status"')
    assert meter(None, body).created_at is None
