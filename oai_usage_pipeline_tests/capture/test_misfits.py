"""A value that no column holds loses its event's columns, and nothing else: the batch is committed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.capture import landing
from oai_usage_pipeline.capture.commit import commit
from oai_usage_pipeline.capture.landing import LANDED_COLUMNS, LONGEST_EVENT, bronze_frame, land
from oai_usage_pipeline.capture.misfits import EARLIEST_MS, LATEST_MS
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.envelope import open_envelope
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import FIRST_ENQUEUED_MS, event
from oai_usage_pipeline_tests.usage.bodies import envelope

HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0",))
FINGERPRINT = KeyFingerprint(b"pepper of the tests", 1)
KEY = "0123456789abcdef0123456789abcdef"
MARK = FINGERPRINT.of(KEY)
GOOD = [land("0", event(number), FINGERPRINT) for number in range(3)]

ODD = (
    st.text(st.characters() | st.just("\ud800"), max_size=8)
    | st.binary(max_size=8)
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, -1, 2**63, 2**63 - 1, -(2**63), 253_402_300_800_000, -62_135_596_800_001])
    | st.floats()
    | st.booleans()
    | st.none()
    | st.lists(st.text(max_size=2), max_size=2)
)


def with_odd(**changed: Any) -> list[tuple[Any, ...]]:
    """Three rows, the second of which has other values in the columns named."""
    odd = dict(zip(LANDED_COLUMNS, GOOD[1], strict=True)) | changed
    return [GOOD[0], tuple(odd.values()), GOOD[2]]


@given(st.dictionaries(st.sampled_from(LANDED_COLUMNS[2:]), ODD, min_size=1))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_value_in_any_column_touches_the_other_rows(changed: dict[str, Any]) -> None:
    frame = bronze_frame(HUB, with_odd(**changed))
    assert frame.schema == pl.Schema(OPENAI_EVENTS.schema)
    assert frame[[0, 2]].equals(bronze_frame(HUB, [GOOD[0], GOOD[2]]))
    odd = frame.row(1, named=True)
    assert (odd["partition_id"], odd["sequence_number"]) == ("0", 1)
    assert odd["enqueued_date"] == odd["enqueued_at"].date()
    assert frame.to_arrow().num_rows == 3
    silver = derive(frame)
    assert silver["sequence_number"].to_list() == [0, 1, 2]
    assert silver["reason"][1]


@pytest.mark.parametrize("enqueued_ms", [2**63, -(2**63), 2**63 - 1, 10**16, LATEST_MS, EARLIEST_MS - 1, 0])
def test_an_absurd_time_of_the_hub_does_not_stop_the_partition(tmp_path: Path, enqueued_ms: int) -> None:
    lake = Lake(str(tmp_path / "lake"))
    rows = [land("0", event(number), FINGERPRINT) for number in (0, 2)]
    odd = land("0", HubEvent(1, "100", enqueued_ms, envelope(AppSubscriptionKey=KEY)), FINGERPRINT)
    (added,) = commit(lambda: lake.table(OPENAI_EVENTS), HUB, bronze_frame(HUB, [rows[0], odd, rows[1]]))
    assert (added.first, added.last) == (0, 2)
    bronze = lake.table(OPENAI_EVENTS).scan().sort("sequence_number").collect()
    assert bronze["reason"].to_list() == [None, "value_not_held", None]
    silver = derive(bronze).row(1, named=True)
    assert (silver["status"], silver["reason"]) == ("rejected", "value_not_held")


@pytest.mark.parametrize("enqueued_ms", [EARLIEST_MS, LATEST_MS - 1])
def test_the_first_and_the_last_time_that_there_was_are_kept(enqueued_ms: int) -> None:
    frame = bronze_frame(HUB, [land("0", HubEvent(0, "0", enqueued_ms, envelope()), FINGERPRINT)])
    assert frame["reason"].to_list() == [None]
    assert frame["enqueued_at"].dt.epoch("ms").to_list() == [enqueued_ms]


def test_a_misfit_keeps_what_it_was_without_its_key() -> None:
    odd = land("0", HubEvent(1, "1", 2**63, envelope(AppSubscriptionKey=KEY, Request=f"{KEY}!")), FINGERPRINT)
    kept = json.loads(bronze_frame(HUB, [odd])["body"][0])
    assert (kept["enqueued_at"], kept["AppSubscriptionKey"], kept["Request"]) == (2**63, MARK, f"{MARK}!")
    unreadable = land("0", HubEvent(1, "1", 2**63, b'{"api-key": "%s' % KEY.encode()), FINGERPRINT)
    assert bronze_frame(HUB, [unreadable])["body"][0] == b'{"api-key": "%s' % MARK.encode()


def test_a_number_that_is_none_is_no_misfit_but_an_error() -> None:
    # Such a row would have no place, and be lost in silence.
    with pytest.raises(TypeError):
        bronze_frame(HUB, with_odd(sequence_number="1"))


def test_an_event_longer_than_the_hub_takes_is_cut_and_not_opened() -> None:
    body = b'{"api-key": "%s", "x": "' % KEY.encode() + b"x" * LONGEST_EVENT + b'"}'
    values: Sequence[Any] = land("0", event(0, body), FINGERPRINT)
    row = dict(zip(LANDED_COLUMNS, values, strict=True))
    assert (row["reason"], row["Request"]) == ("event_too_large", None)
    assert KEY.encode() not in row["body"]
    assert len(row["body"]) <= LONGEST_EVENT + len(MARK)


def test_what_stands_at_the_start_of_too_long_an_event_is_accounted_for_as_of_one_that_was_cut() -> None:
    policy = {"recordVersion": 1, "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
    body = json.dumps(policy | {"request": "x" * LONGEST_EVENT}).encode()
    silver = derive(bronze_frame(HUB, [land("0", HubEvent(0, "0", FIRST_ENQUEUED_MS, body), FINGERPRINT)]))
    (row,) = silver.to_dicts()
    assert (row["status"], row["total_tokens"]) == ("metered", 3)
    assert "truncated" in row["reason"]


def test_the_longest_event_that_the_hub_takes_is_opened() -> None:
    body = envelope(Request="")
    body = envelope(Request="x" * (LONGEST_EVENT - len(body)))
    assert len(body) == LONGEST_EVENT
    assert land("0", HubEvent(0, "0", FIRST_ENQUEUED_MS, body), FINGERPRINT)[-1] is None


def test_a_bug_that_one_event_reaches_loses_that_event_alone(monkeypatch: pytest.MonkeyPatch) -> None:

    def failing(body: bytes) -> Any:
        if b"boom" in body:
            raise RecursionError
        return open_envelope(body)

    monkeypatch.setattr(landing, "open_envelope", failing)
    bodies = [envelope(), b'{"api-key": "%s", "x": "boom"}' % KEY.encode(), envelope()]
    rows = [land("0", event(number, body), FINGERPRINT) for number, body in enumerate(bodies)]
    frame = bronze_frame(HUB, rows)
    assert frame["reason"].to_list() == [None, "parser_failed", None]
    assert frame["body"][1] == bodies[1].replace(KEY.encode(), MARK.encode())
    monkeypatch.undo()
    assert derive(frame)["status"].to_list() == ["metered", "rejected", "metered"]


def test_nothing_is_kept_of_bytes_that_can_not_be_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: KeyFingerprint, body: bytes) -> bytes:
        raise RecursionError

    monkeypatch.setattr(KeyFingerprint, "scrub_unreadable", failing)
    frame = bronze_frame(HUB, [land("0", event(0, b"not JSON " + KEY.encode()), FINGERPRINT)])
    assert (frame["reason"][0], frame["body"][0]) == ("parser_failed", None)
    monkeypatch.undo()
    assert derive(frame).row(0, named=True)["reason"] == "parser_failed"
