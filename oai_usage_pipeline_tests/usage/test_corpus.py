"""Recorded calls against the bodies' own words: an extractor that shares no code with the parser."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.streams import is_stream, read_tail, read_whole
from oai_usage_pipeline_tests.usage.bodies import bronze

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "recorded.jsonl"
ACCOUNTED = ("chat.completions", "completions", "embeddings", "responses")

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the recorded calls are not beside this checkout")

Call = dict[str, Any]


@cache
def calls() -> list[Call]:
    return [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]


@cache
def rows() -> list[Call]:
    return derive(
        bronze(*({"Request": call["request"], "Response": call["response"]} for call in calls()))
    ).to_dicts()


def bodies_of(text: str) -> list[Call]:
    """Every JSON object of a response: the body itself, or those in the data lines of a stream."""
    try:
        found = [json.loads(text)]
    except ValueError:
        found = []
        for line in text.splitlines():
            if line.startswith("data: {"):
                found.append(json.loads(line[6:]))
    return [body.get("response") or body for body in found if isinstance(body, dict)]


def usage_of(text: str) -> Call | None:
    usages = [body["usage"] for body in bodies_of(text) if body.get("usage")]
    return usages[-1] if usages else None


def expected(usage: Call) -> tuple[int | None, ...]:
    detail = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    written = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    return (
        usage["prompt_tokens"] if "prompt_tokens" in usage else usage["input_tokens"],
        usage.get("completion_tokens", usage.get("output_tokens")),
        usage["total_tokens"],
        detail.get("cached_tokens"),
        written.get("reasoning_tokens"),
    )


def accounted() -> list[tuple[Call, Call]]:
    return [(call, row) for call, row in zip(calls(), rows(), strict=True) if call["endpoint"] in ACCOUNTED]


def is_documentation(call: Call) -> bool:
    """Examples in a specification that are abridged with dots or show several chunks at once."""
    return call["repo"] == "openai/openai-openapi" and not bodies_of(call["response"])


def test_every_reported_count_is_metered_to_the_token() -> None:
    reported = [(row, usage) for call, row in accounted() if (usage := usage_of(call["response"]))]
    assert len(reported) > 500
    for row, usage in reported:
        counts = tuple(row[name] for name in ("input_tokens", "output_tokens", "total_tokens"))
        details = (row["cached_input_tokens"], row["reasoning_output_tokens"])
        assert (row["status"], *counts, *details) == ("metered", *expected(usage))


def test_every_success_without_usage_says_why() -> None:
    silent = [
        (call, row)
        for call, row in accounted()
        if call["status"] < 300 and usage_of(call["response"]) is None and not is_documentation(call)
    ]
    assert len(silent) > 80
    for call, row in silent:
        first = bodies_of(call["response"])[0]
        if first.get("error"):
            assert row["status"] == "failed"
        elif call["stream"]:
            assert (row["status"], row["reason"]) == ("unmetered", "stream_without_usage")
        else:
            assert (row["status"], row["reason"]) == ("pending", first["status"])


def test_every_error_is_failed() -> None:
    errors = [row for call, row in accounted() if call["status"] >= 400]
    assert len(errors) > 5
    assert {row["status"] for row in errors} == {"failed"}


def test_nothing_is_rejected_that_a_person_would_accept() -> None:
    rejected = [
        call for call, row in accounted() if row["status"] == "rejected" and not is_documentation(call)
    ]
    assert rejected == []


def test_names_are_those_of_the_bodies() -> None:
    for call, row in accounted():
        bodies = bodies_of(call["response"])
        if row["status"] == "metered":
            assert row["operation"] == call["endpoint"]
            assert row["model"] == next(body["model"] for body in reversed(bodies) if body.get("model"))
            assert row["is_stream"] is call["response"].startswith(("data:", "event:"))
            ids = {body["id"] for body in bodies if body.get("id")}
            assert row["response_id"] in (ids or {None})


def test_no_other_kind_of_call_crashes_the_parser() -> None:
    assert "parser_failed" not in {row["reason"] for row in rows()}
    assert not [
        row for row in rows() if row["status"] not in ("metered", "unit_billed") and not row["reason"]
    ]


def test_recorded_streams_read_the_same_from_the_tail_and_whole() -> None:
    streams = [call["response"] for call in calls() if is_stream(call["response"])]
    quick = [(read_tail(text), read_whole(text)) for text in streams]
    assert all(tail in (None, whole) for tail, whole in quick)
    assert sum(tail is not None for tail, _ in quick) > 130


def test_indentation_and_line_ends_change_nothing() -> None:
    plain = [call for call in calls() if bodies_of(call["response"]) and not is_stream(call["response"])]
    again = [
        {"Request": c["request"], "Response": json.dumps(json.loads(c["response"]), indent=2)} for c in plain
    ]
    windows = [event | {"Response": str(event["Response"]).replace("\n", "\r\n")} for event in again]
    once = derive(bronze(*({"Request": call["request"], "Response": call["response"]} for call in plain)))
    assert derive(bronze(*again)).equals(once)
    assert derive(bronze(*windows)).equals(once)
