"""Streams of events: complete, cut, odd; and the quick way from the tail against the whole way."""

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.usage.answers import Answer, Unreadable
from oai_usage_pipeline.usage.metering import meter
from oai_usage_pipeline.usage.server_events import events
from oai_usage_pipeline.usage.streams import read_tail, read_whole
from oai_usage_pipeline_tests.usage.bodies import DONE, USAGE, chunk

LAST = chunk(USAGE, choices="[]")
OTHER = '{"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}'
AZURE_FIRST = 'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}\n\n'


def response_event(kind: str, status: str, usage: str = "null", error: str = "null") -> str:
    return (
        f'event: {kind}\ndata: {{"type": "{kind}", "response": {{"id": "resp_1", "object": "response", '
        f'"status": "{status}", "model": "gpt-5", "error": {error}, "usage": {usage}}}}}\n\n'
    )


CREATED = response_event("response.created", "in_progress")
DELTA = 'event: response.output_text.delta\ndata: {"type": "response.output_text.delta", "delta": "x"}\n\n'
COUNTED = '{"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}'

STREAMS = {
    "complete": (chunk() + LAST + DONE, "metered", None, 15),
    "without usage": (chunk() + chunk() + DONE, "unmetered", "stream_without_usage", None),
    "Azure's first chunk": (AZURE_FIRST + chunk() + DONE, "unmetered", "stream_without_usage", None),
    "only Azure's first chunk": (AZURE_FIRST, "unmetered", "stream_cut_off", None),
    "cut between events": (chunk() + chunk(), "unmetered", "stream_cut_off", None),
    "cut in a chunk": (chunk() + chunk()[:40], "unmetered", "stream_cut_off", None),
    "cut in the first chunk": (chunk()[:40], "unmetered", "stream_cut_off", None),
    "cut in the usage": (chunk() + LAST[:-20], "unmetered", "stream_cut_off", None),
    "without [DONE]": (chunk() + LAST, "metered", "stream_cut_off", 15),
    "only [DONE]": (DONE, "unmetered", "stream_without_usage", None),
    "CRLF": ((chunk() + LAST + DONE).replace("\n", "\r\n"), "metered", None, 15),
    "CR": ((chunk() + LAST + DONE).replace("\n", "\r"), "metered", None, 15),
    "comments": (": hello\n\n" + chunk() + ": ping\n" + LAST + ":\n\n" + DONE, "metered", None, 15),
    "ids and retries": ("id: 1\nretry: 5\n" + chunk() + "id: 2\n" + LAST + DONE, "metered", None, 15),
    "data in several lines": (
        chunk() + LAST.replace(', "usage"', '\ndata: , "usage"') + DONE,
        "metered",
        None,
        15,
    ),
    "usage in a second line of data": (
        LAST.replace(', "choices"', '\ndata: , "choices"') + DONE,
        "metered",
        None,
        15,
    ),
    "usage twice": (chunk() + LAST + chunk(OTHER, choices="[]") + DONE, "metered", None, 25),
    "usage, then null": (chunk("null") + LAST + chunk("null") + DONE, "metered", None, 15),
    "usage null everywhere": (
        chunk("null") + chunk("null") + DONE,
        "unmetered",
        "stream_without_usage",
        None,
    ),
    "usage empty": (chunk() + chunk("{}") + DONE, "unmetered", "stream_without_usage", None),
    "a word like usage in the answer": (
        chunk(choices='[{"delta": {"content": "\\"usage\\": 1"}}]') + LAST + DONE,
        "metered",
        None,
        15,
    ),
    "white space before": ("\n\n" + chunk() + LAST + DONE, "metered", None, 15),
    "no space after the colon": ((chunk() + LAST + DONE).replace("data: ", "data:"), "metered", None, 15),
    "broken chunk before": ("data: {broken\n\n" + LAST + DONE, "metered", None, 15),
    "lone surrogate": (
        chunk(choices='[{"delta": {"content": "\\ud83d"}}]') + LAST + DONE,
        "metered",
        None,
        15,
    ),
    "lone surrogate beside usage": (chunk(USAGE, choices='["\\ud83d"]') + DONE, "metered", None, 15),
    "an error": (chunk() + 'data: {"error": {"code": "server_error"}}\n\n', "failed", "server_error", None),
    "a count of text": (
        chunk() + LAST.replace(": 10,", ': "10",') + DONE,
        "rejected",
        "tokens_not_integer",
        None,
    ),
    "a count twice": (
        LAST.replace('"total', '"total_tokens": 15, "total') + DONE,
        "rejected",
        "tokens_doubled",
        None,
    ),
    "a contradiction": (LAST.replace("15", "16") + DONE, "metered", "total_tokens 16 != 10 + 5", 16),
    "no events": (": ping\n\n", "rejected", "response_not_json", None),
    "no JSON": ("data: hello\n\n", "rejected", "response_not_json", None),
    "Responses": (
        CREATED + DELTA + response_event("response.completed", "completed", COUNTED),
        "metered",
        None,
        10,
    ),
    "Responses, incomplete": (
        CREATED + response_event("response.incomplete", "incomplete", COUNTED),
        "metered",
        None,
        10,
    ),
    "Responses, cut": (CREATED + DELTA, "unmetered", "stream_cut_off", None),
    "Responses, without usage": (
        CREATED + response_event("response.completed", "completed"),
        "unmetered",
        "stream_without_usage",
        None,
    ),
    "Responses, failed": (
        CREATED + response_event("response.failed", "failed", error='{"code": "server_error"}'),
        "failed",
        "server_error",
        None,
    ),
    "Responses, failed with usage": (
        CREATED + response_event("response.failed", "failed", COUNTED),
        "metered",
        "response_failed",
        10,
    ),
    "Responses, error event": (
        CREATED + 'event: error\ndata: {"type": "error", "code": "boom"}\n\n',
        "failed",
        "boom",
        None,
    ),
    "image": ('data: {"type": "image_generation.completed", "b64_json": "x"}\n\n', "unit_billed", None, None),
    "image with tokens": (
        'data: {"type": "image_generation.completed", "usage": ' + COUNTED + "}\n",
        "metered",
        None,
        10,
    ),
    "image, cut": (
        'data: {"type": "image_generation.partial_image"}\n\n',
        "unmetered",
        "stream_cut_off",
        None,
    ),
    "audio": (
        'data: {"type": "transcript.text.done", "text": "x", "usage": ' + COUNTED + "}\n",
        "metered",
        None,
        10,
    ),
}


@pytest.mark.parametrize(("text", "status", "reason", "total"), STREAMS.values(), ids=STREAMS)
def test_a_stream_has_the_status_of_what_it_tells(
    text: str, status: str, reason: str | None, total: int | None
) -> None:
    record = meter('{"messages": [], "stream": true}', text)
    assert (record.status, record.reason, record.total_tokens) == (status, reason, total)
    assert record.is_stream is True


def test_the_names_come_from_the_stream() -> None:
    record = meter('{"model": "my-deployment"}', AZURE_FIRST + chunk() + DONE)
    assert record[1:4] == ("chat.completions", "chat.completion.chunk", "gpt-4o-2024-08-06")
    assert record.response_id == "chatcmpl-1"


def test_names_missing_beside_the_usage_come_from_the_other_events() -> None:
    bare = 'data: {"choices": [], "usage": ' + USAGE + "}\n\n"
    record = meter(None, chunk() + bare + DONE)
    assert (record.operation, record.model, record.total_tokens) == (
        "chat.completions",
        "gpt-4o-2024-08-06",
        15,
    )


@pytest.mark.parametrize(
    "text", [chunk() * 3 + LAST + DONE, chunk() * 3 + DONE, CREATED + STREAMS["Responses"][0]]
)
def test_the_usual_streams_are_read_from_the_tail(text: str) -> None:
    assert read_tail(text) is not None


def test_events_are_split_as_the_standard_says() -> None:
    text = (
        'event: a\ndata: 1\ndata:2\n\n: comment\n\ndata\nid: x\n\nevent: b\r\ndata:  3\r\n\r\ndata: "\u2028"'
    )
    assert list(events(text)) == [("a", "1\n2"), ("", ""), ("b", " 3"), ("", '"\u2028"')]


_piece = st.sampled_from(
    [
        chunk(),
        chunk("null"),
        LAST,
        chunk(OTHER),
        AZURE_FIRST,
        DONE,
        CREATED,
        DELTA,
        response_event("response.completed", "completed", COUNTED),
        ": ping\n\n",
        "event: x\n",
        "id: 3\n",
        "\n",
        'data: {"error": {"code": "x"}}\n\n',
        'data: {"usage": 5}\n\n',
        'data: {"id": 7, "usage": {"total_tokens": 1}}\n\n',
        'data: {"metadata": {"usage": {"total_tokens": 3}}}\n\n',
        "data: {broken\n\n",
        "data: plain\n",
        chunk()[:50],
        LAST[:-3],
        LAST[:-1],
    ]
)


def outcome(read: Callable[[str], Answer | None], text: str) -> Answer | str | None:
    try:
        return read(text)
    except Unreadable as refusal:
        return refusal.reason


@settings(max_examples=500)
@given(st.lists(_piece, min_size=1, max_size=6), st.sampled_from(["\n", "\n", "\r\n", "\r"]))
def test_the_quick_way_says_what_the_whole_way_says(pieces: Sequence[str], line_end: str) -> None:
    text = "".join(pieces).replace("\n", line_end)
    quick = outcome(read_tail, text)
    assert quick is None or quick == outcome(read_whole, text)


@given(st.integers(min_value=1, max_value=len(chunk() + LAST + DONE)))
def test_a_stream_cut_anywhere_never_counts_what_is_not_whole(end: int) -> None:
    text = (chunk() + LAST + DONE)[:end]
    record = meter(None, text)
    is_counted = len(text) >= len(chunk() + LAST) - 2
    assert record.total_tokens == (15 if is_counted else None)
    assert record.status in ({"metered"} if is_counted else {"unmetered", "rejected"})


HOSTILE = {
    "line ends": LAST + "\n" * 500_000 + "x",
    "line ends and [DONE]": LAST + "\n" * 500_000 + DONE + " " * 500_000 + "x",
    "usage everywhere": chunk() + 'data: "usage" ' * 30_000,
    "empty events": "data: {}\n\n" * 50_000,
    "one event of many lines": "data: [\n" * 100_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_streams_take_no_more_than_their_length(text: str) -> None:
    # Were one of them tried in every way, this would run into the suite's time limit.
    assert meter(None, text).status in ("metered", "unmetered", "rejected")


@given(st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    assert meter(None, "data: " + text).status
    assert meter(None, "data: {" + json.dumps(text) + ": 1}\n\n").status
