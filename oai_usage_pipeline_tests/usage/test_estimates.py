"""Estimates where usage is missing: which texts count, how close, and what hostile ones cost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.usage.estimates import LONGEST_COUNTED, encoding_of, estimate
from oai_usage_pipeline.usage.metering import UsageRecord, meter, meter_cut
from oai_usage_pipeline_tests.usage.bodies import DONE, REQUEST, chat, chunk

HELLO = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello world"}]}'


def estimates(record: UsageRecord) -> tuple[int | None, int | None]:
    return record.estimated_input_tokens, record.estimated_output_tokens


def test_a_stream_without_usage_is_estimated_and_nothing_is_reported() -> None:
    record = meter(HELLO, chunk() + chunk() + DONE)
    # Two words, four tokens around the message, three that open the answer; "HelloHello" is two.
    assert estimates(record) == (2 + 4 + 3, 2)
    assert (record.status, record.input_tokens, record.output_tokens, record.total_tokens) == (
        "unmetered",
        None,
        None,
        None,
    )


def answered(text: str) -> str:
    return chunk(choices=json.dumps([{"delta": {"content": text}}])) + DONE


ANSWERS: dict[str, tuple[str, int | None]] = {
    "a plain body": (chat(None), 1),
    "a body with empty usage": (chat("{}"), 1),
    "a stream that was cut": (chunk() + chunk()[:40], 1),
    "a body that was cut": (chat(None)[:-6], 1),
    "nothing written": (answered(""), None),
    "escapes": (answered('"\n\\"'), 3),
    "other scripts": (answered("日本語"), 2),
    "half a character": (chunk(choices='[{"delta": {"content": "Hello\\ud83d"}}]') + DONE, 5),
    "a tool call": (
        chunk(choices='[{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}]') + DONE,
        2,
    ),
}


@pytest.mark.parametrize(("response", "tokens"), ANSWERS.values(), ids=ANSWERS)
def test_the_answer_s_texts_are_counted(response: str, tokens: int | None) -> None:
    record = meter(HELLO, response)
    assert record.status == "unmetered"
    found = record.estimated_output_tokens
    assert found == tokens or (tokens is not None and found is not None and abs(found - tokens) <= 2)
    assert (found is None) == (tokens is None)


def asked(**fields: Any) -> int | None:
    return estimate("chat.completions", "gpt-4o", json.dumps(fields), None)[0]


def test_parts_that_are_no_text_are_passed_over() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
    content = [{"type": "text", "text": "Hello world"}, image]
    assert asked(messages=[{"role": "user", "content": content}]) == 9


def test_tools_are_counted_as_json() -> None:
    messages = [{"role": "user", "content": "Hello world"}]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    more = asked(messages=messages, tools=tools)
    assert more is not None
    assert more > 9 + 10


OTHER_KINDS: dict[str, tuple[str, dict[str, Any], int | None]] = {
    "embeddings of a text": ("embeddings", {"input": "Hello world"}, 2),
    "embeddings of texts": ("embeddings", {"input": ["Hello world", "Hello world"]}, 4),
    "embeddings of tokens": ("embeddings", {"input": [1, 2, 3]}, 3),
    "embeddings of lists of tokens": ("embeddings", {"input": [[1, 2, 3], [4]]}, 4),
    "completions": ("completions", {"prompt": "Hello world"}, 2),
    "Responses of a text": ("responses", {"input": "Hello world", "instructions": "Hello world"}, 4 + 4 + 3),
    "Responses of items": (
        "responses",
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello world"}]}]},
        9,
    ),
    "moderations": ("moderations", {"input": "Hello world"}, None),
    "nothing": ("chat.completions", {}, None),
}


@pytest.mark.parametrize(("operation", "request_body", "tokens"), OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_each_kind_s_request_is_counted(
    operation: str, request_body: dict[str, Any], tokens: int | None
) -> None:
    assert estimate(operation, "gpt-4o", json.dumps(request_body), None)[0] == tokens


NEVER = {
    "metered": chat(),
    "failed": '{"error": {"code": "x"}}',
    "pending": '{"object": "response", "status": "queued", "output": []}',
    "rejected": chat("5"),
    "no usage expected": '{"object": "batch"}',
    "unit billed": '{"created": 1, "data": [{"url": "x"}]}',
}


@pytest.mark.parametrize("response", NEVER.values(), ids=NEVER)
def test_what_is_no_unmetered_success_has_no_estimate(response: str) -> None:
    assert estimates(meter(REQUEST, response)) == (None, None)


def test_without_a_request_only_the_answer_is_estimated() -> None:
    assert estimates(meter(None, chunk() + DONE)) == (None, 1)


def test_a_call_whose_log_was_cut_is_estimated_as_far_as_it_goes() -> None:
    record = meter_cut(HELLO, chat()[:-40])
    assert (record.status, record.reason, record.total_tokens) == ("unmetered", "truncated", None)
    assert estimates(record) == (9, 1)
    assert estimates(meter_cut(HELLO, None)) == (9, None)
    half = meter_cut(HELLO[:-20], None)
    assert (half.status, half.reason) == ("unmetered", "truncated")


MODELS = {
    "gpt-35-turbo": "cl100k_base",
    "gpt-3.5-turbo-0125": "cl100k_base",
    "gpt-4": "cl100k_base",
    "gpt-4-32k": "cl100k_base",
    "gpt-4-turbo-2024-04-09": "cl100k_base",
    "text-embedding-3-large": "cl100k_base",
    "text-embedding-ada-002": "cl100k_base",
    "ft:gpt-3.5-turbo:org::id": "cl100k_base",
    "gpt-4o-mini": "o200k_base",
    "gpt-4.1": "o200k_base",
    "gpt-4.5-preview": "o200k_base",
    "gpt-5": "o200k_base",
    "o3-mini": "o200k_base",
    "chatgpt-4o-latest": "o200k_base",
    "my-deployment": "o200k_base",
    None: "o200k_base",
}


@pytest.mark.parametrize(("model", "encoding"), MODELS.items(), ids=map(str, MODELS))
def test_a_model_has_the_vocabulary_of_its_generation(model: str | None, encoding: str) -> None:
    assert encoding_of(model) == encoding


def test_both_vocabularies_count() -> None:
    text = json.dumps({"messages": [{"content": "日本語日本語日本語日本語"}]})
    old = estimate("chat.completions", "gpt-4", text, None)[0]
    new = estimate("chat.completions", "gpt-4o", text, None)[0]
    assert old is not None
    assert new is not None
    assert old > new > 7


def test_a_long_text_is_estimated_from_parts_of_it() -> None:
    sentence = "The quick brown fox jumps over the lazy dog, again and again. "
    short, long = (
        asked(messages=[{"content": sentence * 10}]),
        asked(messages=[{"content": sentence * 3_000}]),
    )
    assert short is not None
    assert long is not None
    assert abs(long - (short - 7) * 300) < 0.05 * long
    assert len(sentence) * 3_000 > LONGEST_COUNTED


HOSTILE = {
    "one letter": "a" * 1_000_000,
    "spaces": " " * 1_000_000,
    "digits": "1" * 1_000_000,
    "emoji": "\U0001f600" * 250_000,
    "joiners": "\u200d" * 300_000,
    "no words": "aB" * 500_000,
    "special tokens": "<|endoftext|>" * 70_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_take_no_more_than_their_length(text: str) -> None:
    # Were one of them merged pair by pair, this would run into the suite's time limit.
    assert meter(json.dumps({"messages": [{"content": text}]}), answered(text)).estimated_input_tokens


HOSTILE_SHAPES = {
    "half a million messages": '{"messages": [' + '{"content": "x"},' * 500_000 + "1]}",
    "half a million numbers": '{"input": [' + "1," * 500_000 + "1]}",
    "nesting 100,000": '{"messages": ' + "[" * 100_000,
    "nesting 190": '{"messages": ' + "[" * 190 + '"x"' + "]" * 190 + "}",
    "a number of 5,000 digits": '{"messages": [{"content": ' + "1" * 5_000 + "}]}",
}


@pytest.mark.parametrize("request_text", HOSTILE_SHAPES.values(), ids=HOSTILE_SHAPES)
def test_hostile_requests_never_raise(request_text: str) -> None:
    assert meter(request_text, chunk() + DONE).status == "unmetered"


@pytest.mark.parametrize(
    "piece", ['"content":"', '"content":"\\', '"content":"\\"', "\\" * 50, '"content": "a\\a']
)
def test_hostile_deltas_take_no_more_than_their_length(piece: str) -> None:
    text = chunk() + "data: " + piece * (300_000 // len(piece)) + "\n\n" + chunk() + DONE
    assert meter(REQUEST, text).status in ("unmetered", "rejected")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["content", "text", "input", "name", "function", "x"]), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["messages", "input", "prompt", "tools", "model"]), _json, max_size=4))
def test_no_request_raises_and_no_estimate_is_negative(request_body: dict[str, Any]) -> None:
    read, written = estimates(meter(json.dumps(request_body), chunk() + DONE))
    assert read is None or read >= 0
    assert written == 1
