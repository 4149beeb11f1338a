"""The ledger's numbers against an independent reading of the bodies: standard library only."""

import json
from typing import Any

from oai_usage_pipeline.traffic.generator import GeneratedEvent
from oai_usage_pipeline.traffic.ledger import LedgerEntry


def response_of(event: GeneratedEvent) -> dict[str, Any]:
    """The body that tells the usage; for a stream its last event that does, or else its last event."""
    text = json.loads(event.body)["Response"]
    if not event.entry.is_stream:
        body: dict[str, Any] = json.loads(text)
        return body
    payloads = [line[6:] for line in text.split("\n") if line.startswith("data: ") and line != "data: [DONE]"]
    events = [json.loads(payload) for payload in payloads]
    events = [event.get("response", event) for event in events]
    return next((event for event in reversed(events) if event.get("usage")), events[-1])


def counts_of(usage: dict[str, Any]) -> tuple[int | None, ...]:
    inputs = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    outputs = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    return (
        usage.get("prompt_tokens", usage.get("input_tokens")),
        usage.get("completion_tokens", usage.get("output_tokens")),
        usage.get("total_tokens"),
        inputs.get("cached_tokens"),
        outputs.get("reasoning_tokens"),
    )


def counts_in(entry: LedgerEntry) -> tuple[int | None, ...]:
    return (
        entry.input_tokens,
        entry.output_tokens,
        entry.total_tokens,
        entry.cached_input_tokens,
        entry.reasoning_output_tokens,
    )


def undamaged(events: list[GeneratedEvent]) -> list[GeneratedEvent]:
    return [event for event in events if event.entry.response_sha256 is not None]


def test_token_counts_and_status_agree_with_the_bodies(events: list[GeneratedEvent]) -> None:
    for event in undamaged(events):
        body = response_of(event)
        usage = body.get("usage") or {}
        assert counts_in(event.entry) == counts_of(usage), event.entry.kind
        assert (event.entry.status == "metered") == bool(usage)
        assert (event.entry.status == "failed") == bool(body.get("error"))
        assert (event.entry.status == "pending") == (body.get("status") in ("queued", "in_progress"))


def test_model_is_what_the_response_names_or_else_the_request(events: list[GeneratedEvent]) -> None:
    for event in undamaged(events):
        body = response_of(event)
        asked = json.loads(json.loads(event.body)["Request"])
        assert event.entry.model == body.get("model", asked["model"])
        assert event.entry.response_id == body.get("id")


def test_requested_model_and_user_are_those_that_the_request_names(events: list[GeneratedEvent]) -> None:
    for event in undamaged(events):
        request = json.loads(json.loads(event.body)["Request"])
        assert event.entry.requested_model == request["model"]
        assert event.entry.user == request.get("user")
        assert event.entry.is_stream == request.get("stream", False)


def test_totals_are_sums_and_parts_are_not_larger_than_the_whole(events: list[GeneratedEvent]) -> None:
    for event in events:
        entry = event.entry
        if entry.status == "metered":
            assert entry.input_tokens is not None
            assert entry.total_tokens == entry.input_tokens + (entry.output_tokens or 0)
            assert (entry.cached_input_tokens or 0) <= entry.input_tokens
            assert (entry.reasoning_output_tokens or 0) <= (entry.output_tokens or 0)
        else:
            assert counts_in(entry) == (None,) * 5


def test_some_calls_report_cached_and_reasoning_tokens(events: list[GeneratedEvent]) -> None:
    assert sum((event.entry.cached_input_tokens or 0) > 0 for event in events) > 20
    assert sum((event.entry.reasoning_output_tokens or 0) > 0 for event in events) > 200


def test_a_stream_begins_with_azures_nameless_chunk(events: list[GeneratedEvent]) -> None:
    streams = [event for event in events if event.entry.kind.startswith("chat_stream")]
    for event in streams:
        text = json.loads(event.body)["Response"]
        first = json.loads(text.split("\n\n")[0].removeprefix("data: "))
        assert (first["id"], first["model"], first["object"], first["choices"]) == ("", "", "", [])
        assert first["prompt_filter_results"]
        assert text.endswith("data: [DONE]\n\n")


def test_usage_of_a_chat_stream_stands_in_one_chunk_without_choices(events: list[GeneratedEvent]) -> None:
    for event in events:
        if event.entry.kind == "chat_stream_with_usage":
            payloads = json.loads(event.body)["Response"].split("\n\n")[:-2]
            chunks = [json.loads(payload.removeprefix("data: ")) for payload in payloads]
            with_usage = [chunk for chunk in chunks if chunk.get("usage")]
            assert len(with_usage) == 1
            assert with_usage[0]["choices"] == []


def test_a_blocked_answer_is_billed_and_a_blocked_prompt_is_not(events: list[GeneratedEvent]) -> None:
    for event in events:
        if event.entry.kind == "chat_filtered":
            assert response_of(event)["choices"][0]["finish_reason"] == "content_filter"
            assert event.entry.status == "metered"
        if event.entry.kind == "blocked_prompt":
            assert response_of(event)["error"]["code"] == "content_filter"
            assert event.entry.status == "failed"


def test_what_a_cut_message_still_shows_is_expected(events: list[GeneratedEvent]) -> None:
    cut = [event for event in events if event.entry.kind.startswith("truncated")]
    assert {event.entry.kind for event in cut} == {
        "truncated_prompt",
        "truncated_stream",
        "truncated_embeddings",
    }
    for event in cut:
        text = event.body.decode(errors="replace")
        for shown in (
            event.entry.team and event.entry.event_time,
            event.entry.model,
            event.entry.response_id,
        ):
            assert shown is None or shown in text
        assert (event.entry.model is None) == (event.entry.kind == "truncated_prompt")


def test_without_a_response_the_request_still_tells_who_asked_for_what(events: list[GeneratedEvent]) -> None:
    for event in events:
        if event.entry.kind == "null_response":
            asked = json.loads(json.loads(event.body)["Request"])
            assert (event.entry.model, event.entry.user) == (asked["model"], asked.get("user"))
            assert event.entry.status == "rejected"
