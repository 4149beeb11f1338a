"""Recorded calls against the bodies' own words: an extractor that shares no code with the parser."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from genai_prices import extract_usage

from oai_usage_pipeline.tables import TOKEN_COLUMNS
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.estimates import estimate
from oai_usage_pipeline.usage.streams import is_stream, read_tail, read_whole
from oai_usage_pipeline_tests.usage.bodies import bronze

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "recorded.jsonl"
TABLE = Path(__file__).with_name("corpus_table.txt")
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


def expected(usage: Call) -> dict[str, int | None]:
    """What a usage object says, name by name; nothing here is shared with the parser."""

    def first(*names: str) -> Any:
        return next((usage[name] for name in names if usage.get(name) is not None), None)

    read = first(*(f"{word}_{s}_details" for word in ("prompt", "input") for s in ("tokens", "token"))) or {}
    made = first(*(f"{w}_{s}_details" for w in ("completion", "output") for s in ("tokens", "token"))) or {}
    return {
        "input_tokens": first("prompt_tokens", "input_tokens"),
        "output_tokens": first("completion_tokens", "output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "cached_input_tokens": read.get("cached_tokens"),
        "text_input_tokens": read.get("text_tokens"),
        "audio_input_tokens": read.get("audio_tokens"),
        "image_input_tokens": read.get("image_tokens"),
        "reasoning_output_tokens": made.get("reasoning_tokens"),
        "text_output_tokens": made.get("text_tokens"),
        "audio_output_tokens": made.get("audio_tokens"),
        "image_output_tokens": made.get("image_tokens"),
        "accepted_prediction_tokens": made.get("accepted_prediction_tokens"),
        "rejected_prediction_tokens": made.get("rejected_prediction_tokens"),
    }


def accounted() -> list[tuple[Call, Call]]:
    return [(call, row) for call, row in zip(calls(), rows(), strict=True) if call["endpoint"] in ACCOUNTED]


def is_documentation(call: Call) -> bool:
    """Examples in a specification that are abridged with dots or show several chunks at once."""
    return call["repo"] == "openai/openai-openapi" and not bodies_of(call["response"])


def reported() -> list[tuple[Call, Call, Call]]:
    """Every 2xx call of any kind whose body reports tokens: the call, its row, the usage."""
    pairs = zip(calls(), rows(), strict=True)
    found = [(call, row, usage_of(call["response"])) for call, row in pairs if call["status"] < 300]
    return [
        (call, row, usage)
        for call, row, usage in found
        if usage and usage.get("type") != "duration" and not is_zero(usage)
    ]


def is_zero(usage: Call) -> bool:
    return usage.get("type") != "duration" and not any(expected(usage).values())


def test_zeros_alone_are_estimated_not_metered() -> None:
    """One recorded response asked for two tools and says that it took no tokens for it."""
    pairs = zip(calls(), rows(), strict=True)
    zeros = [row for call, row in pairs if (usage := usage_of(call["response"])) and is_zero(usage)]
    assert [(row["status"], row["reason"], row["total_tokens"]) for row in zeros] == [
        ("unmetered", "usage_of_zero", None)
    ]
    assert zeros[0]["estimated_input_tokens"]
    assert zeros[0]["estimated_output_tokens"]


def test_every_reported_count_is_metered_to_the_token() -> None:
    assert len(reported()) > 500
    kinds = {call["endpoint"] for call, _, _ in reported()}
    assert kinds >= {*ACCOUNTED, "responses.compact", "images", "audio.transcriptions", "assistants/threads"}
    for _, row, usage in reported():
        found = {name: row[name] for name in TOKEN_COLUMNS}
        assert (row["status"], found) == ("metered", expected(usage))


FLAVOURS = {
    "chat.completions": "chat",
    "completions": "chat",
    "responses": "responses",
    "responses.compact": "responses",
    "images": "images",
    "embeddings": "embeddings",
}
"""What genai-prices calls the shapes of usage; it has none for audio and assistants."""

SAME = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_input_tokens": "cache_read_tokens",
    "audio_input_tokens": "input_audio_tokens",
    "audio_output_tokens": "output_audio_tokens",
    "text_input_tokens": "input_text_tokens",
    "image_input_tokens": "input_image_tokens",
    "reasoning_output_tokens": "output_reasoning_tokens",
}


def test_genai_prices_extracts_the_same_counts() -> None:
    compared = 0
    for call, row, usage in reported():
        flavour = FLAVOURS.get(call["endpoint"])
        if flavour is None:
            continue
        body = {"model": "gpt-4o", "usage": usage}
        theirs = extract_usage(body, provider_id="openai", api_flavor=flavour).usage
        for ours, name in SAME.items():
            count = getattr(theirs, name, None)
            # It takes null for zero, and has not every part for every shape.
            assert not count or row[ours] == count, (call["endpoint"], ours)
        assert (row["input_tokens"] or 0) == (theirs.input_tokens or 0)
        assert (row["output_tokens"] or 0) == (theirs.output_tokens or 0)
        compared += 1
    assert compared > 500


def test_every_unit_is_what_the_body_says() -> None:
    seen = set()
    for call, row in zip(calls(), rows(), strict=True):
        for body in bodies_of(call["response"]) if call["status"] < 300 else []:
            if row["operation"] == "images" and "data" in body:
                assert row["image_count"] == len(body["data"])
                seen.add("images")
            seconds = (body.get("usage") or {}).get("seconds")
            if seconds is not None:
                assert row["audio_duration_ms"] == seconds * 1000
                seen.add("seconds")
    assert seen == {"images", "seconds"}


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


EXCEPTIONS = {
    ("other", 204, "response_empty"): (14, "telemetry that answers with nothing: no call of a model"),
    ("chat.completions", 200, "response_not_json"): (1, "documentation, abridged with dots"),
    ("completions", 200, "response_not_json"): (1, "documentation, abridged with dots"),
    ("embeddings", 200, "response_not_json"): (1, "documentation, abridged with dots"),
    ("audio.transcriptions", 200, "response_not_json"): (
        3,
        "documentation: two abridged with dots, one a sentence; their requests were not recorded",
    ),
}
"""Every success that is rejected, by hand: how often, and why that is right."""


def test_nothing_is_rejected_that_a_person_would_accept() -> None:
    rejected = Counter(
        (call["endpoint"], call["status"], row["reason"])
        for call, row in zip(calls(), rows(), strict=True)
        if row["status"] == "rejected"
    )
    assert rejected == {key: count for key, (count, _) in EXCEPTIONS.items()}


def test_the_table_of_kinds_and_results_is_the_one_checked_in() -> None:
    counted = Counter(
        (
            call["endpoint"],
            call["method"],
            str(call["status"]),
            "stream" if call["stream"] else "plain",
            row["status"],
            row["reason"] or "-",
        )
        for call, row in zip(calls(), rows(), strict=True)
    )
    table = "".join(f"{' | '.join(key)} | {count}\n" for key, count in sorted(counted.items()))
    assert table.splitlines() == TABLE.read_text(encoding="utf-8").splitlines(), f"now it is\n{table}"


def tokens_estimated(call: Call, row: Call) -> tuple[int | None, int | None]:
    return estimate(row["operation"], row["model"], call["request"], call["response"])


def test_estimates_of_plain_text_are_close_to_what_was_reported() -> None:
    off: list[float] = []
    for call, row, _ in reported():
        request = call["request"] or ""
        plain = row["operation"] in ("chat.completions", "completions", "embeddings")
        # How tools, pictures and sound are counted is not public; those estimates are rough.
        if plain and not any(word in request for word in ('"tools"', '"functions"', "_url", "audio", "file")):
            read, _ = tokens_estimated(call, row)
            off.append(abs((read or 0) - row["input_tokens"]) / max(row["input_tokens"], 1))
    off.sort()
    assert len(off) > 200
    assert off[len(off) // 2] < 0.02
    assert off[len(off) * 3 // 4] < 0.1


def test_estimates_of_written_text_are_close_to_what_was_reported() -> None:
    read = written = 0
    for call, row, _ in reported():
        if row["operation"] in ("chat.completions", "completions"):
            _, estimated = tokens_estimated(call, row)
            written += estimated or 0
            read += row["output_tokens"] - (row["reasoning_output_tokens"] or 0)
    assert 0.9 < written / read < 1.02


def test_every_success_without_usage_that_wrote_something_has_estimates() -> None:
    silent = [row for row in rows() if row["reason"] == "stream_without_usage"]
    assert len(silent) > 80
    assert all(row["estimated_input_tokens"] for row in silent)
    assert sum(row["estimated_output_tokens"] is None for row in silent) == 0
    others = [row for row in rows() if row["status"] != "unmetered"]
    assert all(row["estimated_input_tokens"] is None for row in others)


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
