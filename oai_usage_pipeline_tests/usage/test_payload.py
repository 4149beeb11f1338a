"""What is left of events without their texts: no word of them, and every number."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.capture.landing import bronze_frame, land
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.traffic.generator import generate
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.masking import Rename
from oai_usage_pipeline.usage.payload import is_accounting, without_texts
from oai_usage_pipeline_tests.usage.bodies import DONE, bronze, chat, chunk, envelope, unreadable
from oai_usage_pipeline_tests.usage.shapes import events as shapes

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "recorded.jsonl"
HUB = Hub("hub", "2026-01-01T00:00:00Z", ("0",))
MS = int(datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp() * 1000)
CANARY = "xylophone"


def landed(*bodies: bytes) -> pl.DataFrame:
    rows = [land("0", HubEvent(at, str(at), MS + at, body), shapes.KEYS) for at, body in enumerate(bodies)]
    return bronze_frame(HUB, rows)


def numbers_survive(frame: pl.DataFrame) -> pl.DataFrame:
    """The law; returns the rows without their texts."""
    masked = without_texts(frame)
    expected, found = derive(frame), derive(masked)
    unlike = [
        (row["sequence_number"], name, row[name], other[name])
        for row, other in zip(expected.to_dicts(), found.to_dicts(), strict=True)
        for name in row
        if row[name] != other[name]
    ]
    assert unlike == []
    assert expected.equals(found)
    assert masked.select(is_accounting().all()).item()
    again = without_texts(masked)
    assert derive(again).equals(expected), "taking out what is out already changes the numbers"
    return masked


def frozen_count(masked: pl.DataFrame) -> int:
    return int(masked["payload"].str.contains('"lines":', literal=True).sum())


def written(masked: pl.DataFrame) -> str:
    return repr(masked.drop("AppSubscriptionKey").rows())


@cache
def recorded() -> pl.DataFrame:
    calls = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    return bronze(*({"Request": call["request"], "Response": call["response"]} for call in calls))


def texts_in(value: object) -> Iterator[str]:
    """Every text of a body that is a sentence: what people wrote, never a name."""
    if isinstance(value, dict):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, str) and value.count(" ") > 1:
        yield value


@pytest.mark.skipif(not CORPUS.exists(), reason="the recorded calls are not beside this checkout")
def test_recorded_calls_come_to_the_same_without_their_texts() -> None:
    masked = numbers_survive(recorded())
    assert frozen_count(masked) < 0.02 * len(masked), "most bodies keep their shape"
    left = written(masked)
    for body in (*recorded()["Request"], *recorded()["Response"]):
        try:
            texts = list(texts_in(json.loads(body or "")))
        except ValueError:
            continue
        assert [text for text in texts if text in left] == []


@pytest.mark.skipif(not CORPUS.exists(), reason="the recorded calls are not beside this checkout")
def test_recorded_calls_that_the_gateway_cut_come_to_the_same() -> None:
    calls = recorded().select("Request", "Response").rows()[::4]
    whole = [envelope(Request=request, Response=response) for request, response in calls]
    numbers_survive(landed(*(body[: len(body) * 7 // 8] for body in whole)))


def test_generated_traffic_comes_to_the_same_without_its_texts() -> None:
    sent = [each.body for each in generate(7, datetime(2026, 5, 1, tzinfo=UTC), 400, 0)]
    masked = numbers_survive(landed(*sent))
    # What is cut or unreadable keeps nothing but what it came to.
    assert frozen_count(masked) < 0.1 * len(masked)


MESSAGE = {"role": "user", "content": f"a {CANARY} in a prompt", "name": CANARY}
ASKED: dict[str, Any] = {
    "model": "gpt-4o",
    "user": "u-1",
    "messages": [
        MESSAGE,
        {
            "role": CANARY,
            "content": [
                {"type": "text", "text": CANARY},
                {"type": "image_url", "image_url": {"url": CANARY}},
            ],
        },
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": CANARY,
                    "type": CANARY,
                    "function": {"name": CANARY, "arguments": json.dumps({CANARY: CANARY})},
                }
            ],
        },
    ],
    "metadata": {CANARY: CANARY, "n": CANARY},
    "tools": [
        {
            "type": "function",
            "function": {"name": CANARY, "parameters": {"properties": {CANARY: {"description": CANARY}}}},
        }
    ],
    "logit_bias": {CANARY: 1},
    "stop": [CANARY],
    "input": [CANARY, [CANARY]],
    "instructions": CANARY,
    "prompt": CANARY,
    CANARY: {"model": CANARY},
    "usage": {CANARY: 3},
    "size": f"{CANARY} {CANARY}",
    **dict.fromkeys(("purpose", "encoding_format", "service_tier", "reasoning_effort"), CANARY),
    "response_format": {"json_schema": {"schema": {CANARY: CANARY}}},
}
ANSWERED: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": f"a {CANARY} in an answer",
                "refusal": CANARY,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": CANARY, "arguments": f'{{"{CANARY}": 1}}'},
                    }
                ],
                "audio": {"data": CANARY, "transcript": CANARY},
                "annotations": [{"url_citation": {"title": CANARY}}],
                CANARY: CANARY,
            },
            "logprobs": {"content": [{"token": CANARY, "bytes": [120, 121]}]},
            "content_filter_results": {
                "hate": {"filtered": False, "severity": "safe"},
                CANARY: {"filtered": False},
            },
        }
    ],
    "usage": {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        CANARY: CANARY,
        "prompt_tokens_details": {"cached_tokens": 3, CANARY: 4},
    },
    "system_fingerprint": CANARY,
    CANARY: [CANARY],
}
ERROR = {
    "error": {
        "message": CANARY,
        "code": "content_filter",
        "param": CANARY,
        "innererror": {"revised_prompt": CANARY, CANARY: 1},
    }
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-4o",
    "instructions": CANARY,
    "user": CANARY,
    "metadata": {CANARY: CANARY},
    "output": [
        {
            "type": "message",
            "content": [{"type": "output_text", "text": CANARY, "annotations": [{"title": CANARY}]}],
        },
        {"type": "web_search_call", "action": {"query": CANARY}},
        {"type": "reasoning", "summary": [{"text": CANARY}], "encrypted_content": CANARY},
    ],
    "tools": [{"type": "function", "name": CANARY, "parameters": {CANARY: CANARY}}],
    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
}
REQUEST, ANSWER = json.dumps(ASKED), json.dumps(ANSWERED)
STREAM = chunk(choices=json.dumps([{"index": 0, "delta": {"role": "assistant", "content": CANARY}}])) + chunk(
    choices=json.dumps([{"index": 0, "delta": {"content": f"{CANARY} "}, "finish_reason": "stop"}])
)
RESPONSE_STREAM = (
    f'event: response.output_text.delta\ndata: {{"type":"response.output_text.delta","delta":"{CANARY}"}}\n\n'
    f"event: response.completed\ndata: {json.dumps({'type': 'response.completed', 'response': RESPONSE})}\n\n"
)
FORM = (
    f'--b\r\nContent-Disposition: form-data; name="file"; filename="{CANARY}"\r\n\r\n{CANARY}\r\n'
    f'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n{CANARY}\r\n'
    '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--'
)

CHUNKS: list[dict[str, Any]] = [
    {"requestMessages": [MESSAGE]},
    {"responseMessages": f'[{{"role":"assistant","content":"{CANARY}'},
    {"responseMessages": f'{CANARY}"}}]'},
]

PLANTED: dict[str, bytes] = {
    "in a chat": envelope(Request=REQUEST, Response=ANSWER),
    "in a chat without usage": envelope(Request=REQUEST, Response=json.dumps({**ANSWERED, "usage": None})),
    "in a stream without usage": envelope(Request=REQUEST, Response=STREAM + DONE),
    "in a stream that was cut off": envelope(Request=REQUEST, Response=STREAM + STREAM[:150]),
    "in a comment of a stream": envelope(
        Request=REQUEST, Response=f": {CANARY}\nid: {CANARY}\n{STREAM}{DONE}"
    ),
    "in a stream of events with names of their own": envelope(
        Response=f"event: {CANARY} {CANARY}\n{STREAM}{DONE}"
    ),
    "in a stream with garbage": envelope(Request=REQUEST, Response=f"{STREAM}data: {CANARY}\n\n{DONE}"),
    "in a response": envelope(
        Request=json.dumps({"model": "gpt-4o", "input": CANARY}), Response=json.dumps(RESPONSE)
    ),
    "in a stream of a response": envelope(Response=RESPONSE_STREAM),
    "in an error": envelope(Request=REQUEST, Response=json.dumps(ERROR)),
    "in an error that is a text": envelope(Request=REQUEST, Response=json.dumps({"error": CANARY})),
    "in an error of a code that is a text": envelope(Response=json.dumps({"error": {"code": f"{CANARY}!"}})),
    "as plain text": envelope(Request=CANARY, Response=CANARY),
    "in a body that was made text twice": envelope(Request=json.dumps(REQUEST), Response=json.dumps(ANSWER)),
    "in a form": envelope(
        Request=FORM, Response=json.dumps({"text": CANARY, "segments": [{"text": CANARY}]})
    ),
    "in what is spoken": envelope(
        Request=json.dumps({"input": CANARY, "voice": "alloy", "model": "tts"}), Response=CANARY
    ),
    "in the prompt of an image": envelope(
        Request=json.dumps({"prompt": CANARY, "size": "1024x1024"}),
        Response=json.dumps({"created": 1, "data": [{"revised_prompt": CANARY, "b64_json": CANARY}]}),
    ),
    "in what is embedded": envelope(
        Request=json.dumps({"input": [CANARY, CANARY]}),
        Response=json.dumps(
            {
                "object": "list",
                "data": [{"embedding": CANARY}],
                "usage": {"prompt_tokens": 2, "total_tokens": 2},
            }
        ),
    ),
    "in counts": envelope(Response=json.dumps({**ANSWERED, "usage": {"prompt_tokens": CANARY}})),
    "in a body with a count twice": envelope(
        Response=f'{{"usage": {{"prompt_tokens": 1, "prompt_tokens": 2}}, "x": "{CANARY}"}}'
    ),
    "in a body with a lone surrogate": envelope(Response=ANSWER.replace(CANARY, f"{CANARY}\\ud800", 1)),
    "in a body that is no JSON": envelope(Request=f"{{{CANARY}", Response=f'{{"a": {CANARY}}}'),
    "in a body that is a list": envelope(Request=f'["{CANARY}"]', Response=f'["{CANARY}"]'),
    "in other fields": envelope(headers={CANARY: CANARY}, note=CANARY),
    "in the time": envelope(EventTime=f"{CANARY} o'clock"),
    "in an envelope that was cut": envelope(Request=REQUEST, Response=ANSWER)[:-300],
    "in an envelope cut in the request": envelope(Request=REQUEST * 3)[:900],
    "in what is no envelope": CANARY.encode(),
    "in an object of no known shape": json.dumps({"x": CANARY}).encode(),
    "in wrong types": envelope(Request={"a": CANARY}),
    "in a policy's record": json.dumps(
        {
            **shapes.POLICY,
            "request": REQUEST,
            "response": ANSWER,
            CANARY: CANARY,
            "path": f"/openai/deployments/d/chat/completions?q={CANARY}",
            "userClaims": {"oid": "o", "name": CANARY},
        }
    ).encode(),
    "in a policy's record of wrong types": json.dumps(
        {**shapes.POLICY, "statusCode": CANARY, "usage": {"prompt_tokens": CANARY}, "isStream": CANARY}
    ).encode(),
    "in camel case": json.dumps(
        {**shapes.CAMEL_CASE, "request": REQUEST, "response": STREAM, "x": CANARY}
    ).encode(),
    "in a metered record": json.dumps({**shapes.METERED, "totalTokens": CANARY, "prompt": CANARY}).encode(),
    "in an array of events": json.dumps(
        [
            {**shapes.REFERENCE, "Request": REQUEST},
            {**shapes.CAMEL_CASE, "response": ANSWER},
            CANARY,
            {CANARY: 1},
            {**shapes.REFERENCE, "Request": {"a": CANARY}},
            {**shapes.METERED, CANARY: CANARY},
        ]
    ).encode(),
    "in diagnostics": json.dumps(
        {
            "records": [
                shapes.llm_log(requestMessages=[MESSAGE], responseMessages=json.dumps([MESSAGE])),
                {
                    "category": "GatewayLogs",
                    "correlationId": "c",
                    "properties": json.dumps(
                        {
                            "url": f"https://h/openai/deployments/d/completions?api-version=2024&q={CANARY}",
                            "lastErrorMessage": CANARY,
                        }
                    ),
                },
                {"category": CANARY, "x": CANARY},
                {"category": "GatewayLogs", "properties": CANARY},
                CANARY,
            ]
        }
    ).encode(),
    "in messages without tokens": json.dumps(
        {
            "records": [
                {
                    "category": "GatewayLlmLogs",
                    "correlationId": "c",
                    "properties": {"sequenceNumber": number, "modelName": "gpt-4o", **messages},
                }
                for number, messages in enumerate(CHUNKS)
            ]
        }
    ).encode(),
}


@pytest.mark.parametrize("where", PLANTED)
def test_no_word_survives(where: str) -> None:
    frame = landed(PLANTED[where])
    if where == "in messages without tokens":
        assert "llm_log_without_tokens" in derive(frame)["reason"][0]
    masked = numbers_survive(frame)
    assert CANARY in written(frame) or frame["body"].is_not_null().any(), "nothing was there to take out"
    assert CANARY not in written(masked)
    assert "120" not in str(masked["Response"][0]), "tokens as bytes are text, too"


def test_the_shape_of_a_body_stays() -> None:
    masked = without_texts(landed(PLANTED["in a chat"]))
    request, response = json.loads(masked["Request"][0]), json.loads(masked["Response"][0])
    assert [each.get("content") for each in request["messages"]] == [
        "",
        [{"type": "text", "text": ""}, {"type": "image_url", "image_url": {}}],
        None,
    ]
    assert response["choices"][0]["message"]["tool_calls"][0]["function"] == {"name": "", "arguments": ""}
    assert response["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 3},
    }


def test_estimates_are_those_of_the_texts_that_are_gone() -> None:
    frame = landed(PLANTED["in a stream without usage"])
    masked = without_texts(frame)
    assert frozen_count(masked) == 0, "its body is kept, without the texts"
    (row,) = derive(masked).to_dicts()
    assert row["reason"] == "stream_without_usage"
    assert row["estimated_input_tokens"] > 20
    assert row["estimated_output_tokens"] > 0


def test_a_later_contract_reads_lines_that_have_fields_it_no_longer_knows() -> None:
    masked = without_texts(bronze(unreadable(b"x", "envelope_not_json")))
    payload = masked["payload"].str.replace("[{", '[{"former":1,', literal=True)
    assert derive(masked.with_columns(payload)).equals(derive(masked))


NAMED = {
    "in the request": envelope(),
    "as the safety identifier": envelope(Request='{"model": "m", "safety_identifier": "u-1"}'),
    "in an envelope that was cut": envelope(Response=chat(before='"x": 1, '))[:-40],
    "in a claim": json.dumps({**shapes.POLICY, "userClaims": {"oid": "u-1"}}).encode(),
    "in an array": json.dumps([shapes.REFERENCE, shapes.CAMEL_CASE]).encode(),
}


@pytest.mark.parametrize("where", NAMED)
def test_a_user_who_is_forgotten_is_another_name_for_the_same_numbers(where: str) -> None:
    frame = landed(NAMED[where])
    masked = without_texts(frame, Rename("u-1", "erased-1"))
    before, after = derive(frame), derive(masked)
    assert "u-1" in before["user_id"].to_list()
    assert after["user_id"].to_list() == ["erased-1" if each == "u-1" else each for each in before["user_id"]]
    assert after.drop("user_id").equals(before.drop("user_id"))
    assert not re.search(r"\bu-1\b", written(masked))


TEXT = st.text(max_size=20)
NAMES = st.sampled_from(
    (
        *(
            "id",
            "object",
            "model",
            "usage",
            "choices",
            "message",
            "content",
            "delta",
            "error",
            "code",
            "type",
        ),
        *(
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "finish_reason",
            "tool_calls",
            "output",
            "data",
        ),
        *("input", "messages", "voice", "user", "stream", "response", "statusCode", "created", "seconds"),
        *("filtered", "status", "text"),
    )
)
VALUES = st.sampled_from(
    (
        "chat.completion",
        "chat.completion.chunk",
        "response",
        "list",
        "embedding",
        "stop",
        "completed",
        "queued",
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10**6) | st.floats(0, 1e6) | TEXT | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | TEXT, inner, max_size=5),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES | TEXT, JSON, max_size=6)


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """JSON objects, streams of them, cut ones, and any text."""
    kind = draw(st.sampled_from(("object", "object", "stream", "text", "twice")))
    if kind == "text":
        return draw(TEXT)
    if kind == "stream":
        ending = draw(st.sampled_from(("", DONE, "data: {")))
        return (
            "".join(f"data: {json.dumps(each)}\n\n" for each in draw(st.lists(OBJECTS, max_size=3))) + ending
        )
    text = json.dumps(draw(OBJECTS), separators=draw(st.sampled_from(((",", ":"), (", ", ": ")))))
    text = json.dumps(text) if kind == "twice" else text
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 5)) == 0 else text


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.none() | bodies(), st.none() | bodies(), st.integers(0, 400)), min_size=1, max_size=8
    )
)
@example([('{"input": "é", "voice": "v"}', "x", 0), (None, '{"error": [0]}', 0), ("{}", '{"model": 5}', 0)])
def test_whatever_an_event_holds_it_comes_to_the_same(
    calls: list[tuple[str | None, str | None, int]],
) -> None:
    whole = [envelope(Request=request, Response=response) for request, response, _ in calls]
    numbers_survive(
        landed(*(body[:-cut] if cut else body for body, (*_, cut) in zip(whole, calls, strict=True)))
    )
    elements = [
        {**shapes.CAMEL_CASE, "request": request, "response": response} for request, response, _ in calls
    ]
    numbers_survive(landed(json.dumps(elements).encode()))


@settings(max_examples=20)
@given(st.lists(OBJECTS, min_size=1, max_size=4), st.sampled_from(("policy", "metered", "diagnostics")))
def test_whatever_a_record_holds_it_comes_to_the_same(changes: list[dict[str, Any]], shape: str) -> None:
    if shape == "diagnostics":
        records = [
            shapes.llm_log(requestMessages=change.get("messages"), responseMessages=[change])
            for change in changes
        ]
        numbers_survive(landed(json.dumps({"records": [*records, *changes]}).encode()))
        return
    usual = shapes.POLICY if shape == "policy" else shapes.METERED
    numbers_survive(landed(*(json.dumps({**usual, **change}).encode() for change in changes)))
