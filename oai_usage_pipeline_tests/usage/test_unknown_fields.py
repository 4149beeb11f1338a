"""Fields that no contract knows: found by their paths, without values, and never among what is known."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from oai_usage_pipeline.traffic.generator import generate
from oai_usage_pipeline.usage.derive import PAYLOAD_COLUMNS
from oai_usage_pipeline.usage.payload import without_texts
from oai_usage_pipeline.usage.unknown_fields import NOT_SHOWN, unknown_fields
from oai_usage_pipeline_tests.landed import START
from oai_usage_pipeline_tests.usage.bodies import bronze, chat, envelope
from oai_usage_pipeline_tests.usage.shapes.events import EVENTS, KEY, landed
from oai_usage_pipeline_tests.usage.test_corpus import CORPUS, calls

Event = dict[str, Any]


def found(event: Mapping[str, Any] | bytes) -> set[str]:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    [row] = bronze(landed(body)).select(PAYLOAD_COLUMNS).iter_rows()
    return unknown_fields(row)


def answered(text: str) -> set[str]:
    return found(envelope(Response=text))


def with_usage(**more: Any) -> str:
    body = json.loads(chat())
    return json.dumps(body | {"usage": body["usage"] | more})


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_nothing_is_unknown_in_events_as_they_are_today(event: Event) -> None:
    assert found(event) == set()
    assert found(json.dumps([event, event]).encode()) == set()


@pytest.mark.skipif(not CORPUS.exists(), reason="the recorded calls are not beside this checkout")
def test_nothing_is_unknown_in_recorded_answers() -> None:
    for call in calls():
        assert answered(call["response"]) == set(), call["endpoint"]


def test_nothing_is_unknown_in_generated_traffic_nor_in_what_is_kept_of_it_without_texts() -> None:
    rows = bronze(*(landed(each.body) for each in generate(3, START, 300, 0)))
    for each in (rows, without_texts(rows)):
        assert {
            path for row in each.select(PAYLOAD_COLUMNS).iter_rows() for path in unknown_fields(row)
        } == set()


@pytest.mark.parametrize("name", ["reference", "policy", "camel_case", "metered"])
def test_a_field_that_the_gateway_adds_is_found(name: str) -> None:
    changed = EVENTS[name] | {"tenantRegion": "its value"}
    assert found(changed) == {"event.tenantRegion"}
    assert found(json.dumps([EVENTS["reference"], changed]).encode()) == {"event.tenantRegion"}


def test_all_fields_of_an_unknown_event_are_found() -> None:
    assert found({"when": 1, "tokensUsed": 5}) == {"event.when", "event.tokensUsed"}
    assert found(b"no JSON") == set()


def test_a_field_that_the_provider_adds_is_found_in_answers_of_every_form() -> None:
    body = json.loads(chat()) | {"tier_note": "its value"}
    assert answered(json.dumps(body)) == {"response.tier_note"}
    chunks = "".join(f"data: {json.dumps(each)}\n\n" for each in (json.loads(chat()), body))
    assert answered(chunks + "data: [DONE]\n\n") == {"response.tier_note"}
    event = {"type": "response.completed", "response": body | {"usage": {"video_tokens": 3}}}
    assert answered(f"event: response.completed\ndata: {json.dumps(event)}\n\n") == {
        "response.tier_note",
        "usage.video_tokens",
    }


def test_new_counts_are_found_wherever_usage_is() -> None:
    assert answered(with_usage(video_tokens=3)) == {"usage.video_tokens"}
    details = {"prompt_tokens_details": {"cached_tokens": 1, "video_tokens": 3}}
    assert answered(with_usage(**details)) == {"usage.prompt_tokens_details.video_tokens"}
    policy = EVENTS["policy"]
    told = policy | {"usage": policy["usage"] | {"reasoning_tokens": 1}}
    assert found(told) == {"usage.reasoning_tokens"}, "known among the details, and nobody reads it here"


@pytest.mark.parametrize("name", [KEY, "what did I ask?", "a" * 65, "=cmd()", "\x1b[31m", "naïve"])
def test_a_name_that_may_be_somebodys_text_is_not_shown(name: str) -> None:
    assert answered(json.dumps(json.loads(chat()) | {name: 1})) == {f"response.{NOT_SHOWN}"}
