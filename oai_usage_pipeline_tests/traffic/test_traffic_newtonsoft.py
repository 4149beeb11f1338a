import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.traffic.ledger import instant_of
from oai_usage_pipeline.traffic.newtonsoft import (
    Json,
    JsonTemplate,
    envelope,
    event_time,
    hole,
    json_text,
    ticks_of,
)


@pytest.mark.parametrize(
    ("ticks", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1, "1970-01-01T00:00:00.0000001Z"), (5_000_000, "1970-01-01T00:00:00.5Z")],
)
def test_event_time_has_as_many_digits_as_needed(ticks: int, text: str) -> None:
    assert event_time(ticks) == text


@given(st.integers(min_value=0, max_value=2**57))
def test_event_time_reads_back_to_the_microsecond_below(ticks: int) -> None:
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
    assert instant_of(event_time(ticks)) == expected
    assert ticks_of(expected) == ticks // 10 * 10


@given(st.text(), st.text())
def test_an_envelope_is_json_whatever_the_bodies_hold(request_text: str, response_text: str) -> None:
    message = json.loads(envelope("2025-06-01T00:00:00Z", "key", request_text, response_text, "\r\n"))
    assert (message["Request"], message["Response"]) == (request_text, response_text)


@given(st.text(), st.integers())
def test_a_template_renders_what_the_standard_library_would(text: str, number: int) -> None:
    shape: Json = {"text": hole("text"), "list": [hole("number"), "100%"], "empty": {}}
    rendered = JsonTemplate(shape).render(text=json_text(text), number=number)
    whole = {"text": text, "list": [number, "100%"], "empty": {}}
    assert rendered == json.dumps(whole, indent=2, ensure_ascii=False)
