"""After a pepper was renewed, every new fingerprint has its pair in the lake before its first event."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.capture import rotations
from oai_usage_pipeline.capture.commit import Step
from oai_usage_pipeline.capture.landing import land
from oai_usage_pipeline.capture.repair import Repair
from oai_usage_pipeline.capture.rotations import Rotations
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.capture.source import HubEvent
from oai_usage_pipeline.errors import ConfigurationError, NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import KEY_ROTATIONS, OPENAI_EVENTS, SUBSCRIPTIONS, USAGE_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture import damage
from oai_usage_pipeline_tests.capture.list_source import ListSource, event

OLD = KeyFingerprint(b"the first pepper", 1)
KEYS = [f"{number:032x}" for number in range(1, 4)]


class Crash(BaseException):
    """Nothing in the code under test handles it."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def renewed() -> KeyFingerprint:
    return KeyFingerprint(b"the second pepper", 2, previous=b"the first pepper")


def of_caller(number: int, key: str) -> HubEvent:
    fields = {"EventTime": "2026-11-01T10:00:00Z", "AppSubscriptionKey": key, "Request": "{}"}
    return event(number, json.dumps(fields).encode())


def pairs(lake: Lake) -> list[tuple[str, str]]:
    rows = lake.existing(KEY_ROTATIONS).scan().collect()
    return rows.select("subscription", "previous_subscription").sort("subscription").rows()


def expected(*keys: str) -> list[tuple[str, str]]:
    return sorted((renewed().of(key), OLD.of(key)) for key in keys)


def capture(lake: Lake, events: list[HubEvent], fingerprint: KeyFingerprint) -> None:
    assert CaptureRun(ListSource({"0": events}), lake, fingerprint).execute().errors == []


def test_each_callers_key_gets_its_pair_once(lake: Lake) -> None:
    events = [of_caller(number, KEYS[number % 2]) for number in range(10)]
    capture(lake, events, renewed())
    assert pairs(lake) == expected(*KEYS[:2])
    version = lake.existing(KEY_ROTATIONS).version
    capture(lake, [*events, of_caller(10, KEYS[0])], renewed())
    assert lake.existing(KEY_ROTATIONS).version == version
    capture(lake, [*events, of_caller(10, KEYS[0]), of_caller(11, KEYS[2])], renewed())
    assert pairs(lake) == expected(*KEYS)


def test_without_a_previous_pepper_there_are_no_pairs_and_no_table(lake: Lake) -> None:
    capture(lake, [of_caller(0, KEYS[0])], KeyFingerprint(b"the second pepper", 2))
    with pytest.raises(NoTable):
        lake.existing(KEY_ROTATIONS)


def test_a_crash_right_after_the_first_commit_leaves_no_event_without_its_pair(lake: Lake) -> None:
    def crash(step: Step) -> None:
        if step == "appended":
            raise Crash

    run = CaptureRun(ListSource({"0": [of_caller(0, KEYS[0])]}), lake, renewed(), at_step=crash)
    with pytest.raises(Crash):
        run.execute()
    assert lake.existing(OPENAI_EVENTS).row_count() == 1
    assert pairs(lake) == expected(KEYS[0])


def test_a_key_logged_in_place_of_an_id_has_its_pair_and_other_secrets_in_bodies_have_none(
    lake: Lake,
) -> None:
    record = {"model": "m", "promptTokens": 1, "responseTokens": 1, "totalTokens": 2}
    by_id = json.dumps(record | {"subscriptionId": KEYS[0]}).encode()
    request = json.dumps({"model": "m", "api-key": "password-of-somebody-1", "x": "Bearer a.b.c123456789"})
    other = json.dumps({"AppSubscriptionKey": KEYS[1], "Request": request}).encode()
    capture(lake, [event(0, by_id), event(1, other)], renewed())
    assert pairs(lake) == expected(*KEYS[:2])


def test_what_is_no_key_has_no_pair(lake: Lake) -> None:
    capture(lake, [of_caller(0, ""), of_caller(1, OLD.of(KEYS[0]))], renewed())
    with pytest.raises(NoTable):
        lake.existing(KEY_ROTATIONS)


def test_guessed_keys_fill_no_table_and_known_callers_get_their_pair_all_the_same(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listed = dict.fromkeys(SUBSCRIPTIONS.schema, None) | {"subscription": OLD.of(KEYS[0])}
    lake.table(SUBSCRIPTIONS).append(pl.DataFrame([listed], schema=SUBSCRIPTIONS.schema), {"test": 1})
    called = dict.fromkeys(USAGE_EVENTS.schema, None) | {"subscription": OLD.of(KEYS[1])}
    called["enqueued_date"] = now().date()
    lake.table(USAGE_EVENTS).append(pl.DataFrame([called], schema=USAGE_EVENTS.schema), {"test": 1})
    monkeypatch.setattr(rotations, "MOST_PAIRS", 5)
    monkeypatch.setattr(rotations, "MOST_REMEMBERED", 12)
    fingerprint = renewed()
    maker = Rotations(lake, fingerprint, now)
    for batch in range(3):
        for number in range(10):
            land("0", of_caller(number, f"{batch}-guess-{number}"), fingerprint)
        land("0", of_caller(10, KEYS[batch]), fingerprint)
        maker.land()
    assert set(expected(KEYS[0], KEYS[1])) < set(pairs(lake))
    assert len(pairs(lake)) == 6, "five, and the known one that came behind them"
    assert "10 new keys get no row in key_rotations, which holds 5" in caplog.text
    assert len(fingerprint.rotated) <= 12
    again = renewed()
    land("0", of_caller(0, KEYS[0]), again)
    assert Rotations(lake, again, now).land() == 0


def test_two_runs_that_see_the_same_keys_land_each_pair_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = renewed(), renewed()
    for each in (first, second):
        capture_nothing_but_seal(each)
    table, others = Lake.table, [second]

    def overtaken(self: Lake, contract: object) -> object:
        handle = table(self, contract)  # type: ignore[arg-type]  # as it came
        if others:
            Rotations(self, others.pop(), now).land()
        return handle

    monkeypatch.setattr(Lake, "table", overtaken)
    assert Rotations(lake, first, now).land() == 0
    assert pairs(lake) == expected(*KEYS)


def capture_nothing_but_seal(fingerprint: KeyFingerprint) -> None:
    for number, key in enumerate(KEYS):
        land("0", of_caller(number, key), fingerprint)


def now() -> datetime:
    return datetime(2026, 11, 25, tzinfo=UTC)


def test_events_that_a_repair_lands_again_have_their_pairs_too(tmp_path: Path) -> None:
    lake = damage.captured_lake(tmp_path)
    damage.overwrite_with_nothing(lake)
    damage.forget_old_files(lake)
    fingerprint = KeyFingerprint(b"the second pepper", 2, previous=b"pepper of the tests")
    source = damage.hub({"0": 40, "1": 20})
    assert Repair(source, lake, fingerprint, now, lambda _: True).execute().is_sound
    landed = set(lake.existing(OPENAI_EVENTS).scan().collect()["AppSubscriptionKey"])
    assert {new for new, _ in pairs(lake)} == landed


def test_a_repair_with_a_wrong_pepper_lands_nothing(tmp_path: Path) -> None:
    lake = damage.captured_lake(tmp_path)
    damage.overwrite_with_nothing(lake)
    damage.forget_old_files(lake)
    source = damage.hub({"0": 40, "1": 20})
    with pytest.raises(ConfigurationError, match="OAI_USAGE_KEY_PEPPER is not the pepper"):
        Repair(source, lake, KeyFingerprint(b"another pepper", 1), now, lambda _: True).execute()
    assert lake.existing(OPENAI_EVENTS).row_count() == 0
