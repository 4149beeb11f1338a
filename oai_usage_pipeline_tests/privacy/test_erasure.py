"""Whoever asks to be forgotten is: in every table and old file, while all numbers stay."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.cli import main
from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.privacy import erasure
from oai_usage_pipeline.privacy.erasure import erase, erasures_of, events_of
from oai_usage_pipeline.privacy.forgetting import Forgetting
from oai_usage_pipeline.privacy.retention import purge
from oai_usage_pipeline.privacy.subject import Subject, subscription, user
from oai_usage_pipeline.tables import KEY_ROTATIONS, OPENAI_EVENTS, TOKEN_USAGE_HOURLY, USAGE_EVENTS
from oai_usage_pipeline_tests.landed import FINGERPRINT
from oai_usage_pipeline_tests.privacy.test_retention import Hub, derive_all, words_in
from oai_usage_pipeline_tests.usage.bodies import chat, envelope
from oai_usage_pipeline_tests.usage.shapes import events as shapes

USER = "ada.lovelace@example.com"
WORD, OTHERS = "xylophone", "kettledrum"
NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
KEY = "fedcba9876543210fedcba9876543210"


def call(user_id: str, word: str, key: str = KEY, **fields: object) -> bytes:
    asked = {"model": "gpt-4o", "user": user_id, "messages": [{"role": "user", "content": word}]}
    return envelope(AppSubscriptionKey=key, Request=json.dumps(asked | fields), Response=chat())


THEIRS = [
    call(USER, WORD),
    call("", WORD, safety_identifier=USER, user=None),
    call(USER, WORD)[:-30],
    json.dumps({**shapes.POLICY, "userClaims": {"oid": USER}, "request": WORD}).encode(),
    # A claim stands before what the request names, and would hide it.
    json.dumps({**shapes.POLICY, "request": json.dumps({"user": USER, "input": WORD})}).encode(),
    json.dumps([json.loads(call(USER, WORD)), json.loads(call("someone", WORD))]).encode(),
]


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """Events of one user on two days, and of others."""
    made = Hub(Lake(str(tmp_path / "lake")))
    made.send(10, *THEIRS[:3], call("someone", OTHERS))
    made.capture()
    made.send(11, *THEIRS[3:], call("someone", OTHERS, key="0123456789abcdef0123456789abcdef"))
    made.capture()
    return made


def everyones(rows: pl.DataFrame) -> pl.DataFrame:
    """Sums without regard to users."""
    numbers = [name for name, kind in rows.schema.items() if kind.is_numeric() and name != "schema_version"]
    others = [name for name in rows.columns if name not in numbers and name not in ("user_id", "hour_at")]
    return rows.group_by(others).agg(pl.col(numbers).sum()).sort(pl.struct(others))


def forget(lake: Lake, whom: Subject) -> erasure.Erasure:
    return erase(lake, whom, events_of(lake, whom), "Grace", "they asked", lambda: NOW)


def test_a_user_is_in_no_byte_any_more_and_totals_are_as_they_were(hub: Hub) -> None:
    before = derive_all(hub.lake)
    assert before[USAGE_EVENTS.name].filter(pl.col("user_id") == USER).height == 5
    forgotten = user(USER, FINGERPRINT)
    assert events_of(hub.lake, forgotten) == {"2026-03-10": 3, "2026-03-11": 3}
    done = forget(hub.lake, forgotten)
    after = derive_all(hub.lake)
    folder = Path(hub.lake.location)
    assert [words_in(folder, word) for word in (USER, USER.upper(), WORD)] == [[], [], []]
    assert words_in(folder, OTHERS), "others keep their texts"
    silver = after[USAGE_EVENTS.name]
    assert silver.filter(pl.col("user_id") == forgotten.pseudonym).height == 5
    assert everyones(after[TOKEN_USAGE_HOURLY.name]).equals(everyones(before[TOKEN_USAGE_HOURLY.name]))
    assert everyones(silver).equals(everyones(before[USAGE_EVENTS.name]))
    assert [each.sentence for each in verify(hub.lake) if not each.holds] == []
    assert erasures_of(hub.lake) == [done]
    assert (done.kind, done.day_count, done.erased_event_count, done.finished_at) == ("user", 2, 6, NOW)
    assert USER not in str(done)
    assert USER not in repr(forgotten)
    assert events_of(hub.lake, forgotten) == {}, "a second time there is nothing to do"


def test_a_subscription_loses_its_texts_under_each_of_its_fingerprints(hub: Hub) -> None:
    before = derive_all(hub.lake)
    mark, renewed = FINGERPRINT.of(KEY), "v2-" + "0" * 32
    hub.lake.table(KEY_ROTATIONS).append(
        pl.DataFrame([(renewed, mark, NOW)], schema=KEY_ROTATIONS.schema, orient="row"), {"test": 1}
    )
    theirs = subscription(hub.lake, renewed, FINGERPRINT)
    found = events_of(hub.lake, theirs)
    assert found == {"2026-03-10": 4, "2026-03-11": 1}
    forget(hub.lake, theirs)
    for name, rows in derive_all(hub.lake).items():
        assert rows.equals(before[name]), name
    bronze = hub.lake.existing(OPENAI_EVENTS).scan().collect()
    assert bronze["payload"].null_count() == len(bronze) - 5
    assert events_of(hub.lake, theirs) == {}


@pytest.mark.parametrize("name", ["u-1", 'O"Brien \\ Müller', "李"])
def test_a_user_of_any_name_is_found(tmp_path: Path, name: str) -> None:
    hub = Hub(Lake(str(tmp_path / "lake")))
    hub.send(10, call(name, WORD), call(f"{name}2", OTHERS))
    hub.capture()
    assert events_of(hub.lake, user(name, FINGERPRINT)) == {"2026-03-10": 1}


def escaped(body: bytes) -> bytes:
    """The same JSON as writers of .NET and Java send it."""
    return body.replace(b"+", rb"\u002B").replace(b"@", rb"\u0040")


WHOLE = call("ada+work@example.com", WORD)
CLAIM = json.dumps({**shapes.POLICY, "userClaims": {"oid": "ada+work@example.com"}, "request": WORD}).encode()


WRITTEN = {
    "escaped": escaped(WHOLE),
    "escaped in the request alone": envelope(
        Request=escaped(json.dumps({"user": "ada+work@example.com", "input": WORD}).encode()).decode()
    ),
    "an escaped claim": escaped(CLAIM),
    "two objects": WHOLE + WHOLE,
    "two escaped objects": escaped(WHOLE) * 2,
    "behind a new line": json.dumps(f"{WORD}: \nada+work@example.com").encode(),
    "garbage behind it": WHOLE + b"garbage",
    "a zero behind it": WHOLE + bytes(1),
    "an envelope within a text": json.dumps(escaped(WHOLE).decode()).encode(),
    "UTF-16 that was cut": WHOLE.decode().encode("utf-16")[:-61],
    "UTF-16 without a mark": (WHOLE + WHOLE).decode().encode("utf-16-be"),
}


def test_a_user_is_forgotten_however_an_event_is_written(tmp_path: Path) -> None:
    hub = Hub(Lake(str(tmp_path / "lake")))
    hub.send(10, *WRITTEN.values(), call("someone", OTHERS), call("someone", OTHERS) * 2)
    hub.capture()
    before = derive_all(hub.lake)[USAGE_EVENTS.name]
    whom = user("ada+work@example.com", FINGERPRINT)
    bronze = hub.lake.existing(OPENAI_EVENTS).scan().sort("sequence_number").collect()
    missed = [name for name, theirs in zip(WRITTEN, whom.is_theirs(bronze), strict=False) if not theirs]
    assert missed == []
    assert forget(hub.lake, whom).erased_event_count == len(WRITTEN)
    after = derive_all(hub.lake)[USAGE_EVENTS.name]
    folder = Path(hub.lake.location)
    assert words_in(folder, WORD) == []
    assert words_in(folder, OTHERS), "others keep their texts"
    assert everyones(after).equals(everyones(before))
    assert whom.names.isdisjoint(after["user_id"])
    assert events_of(hub.lake, whom) == {}


def test_a_name_that_is_part_of_anothers_makes_no_unreadable_event_theirs(tmp_path: Path) -> None:
    hub = Hub(Lake(str(tmp_path / "lake")))
    hub.send(10, call("adam", OTHERS) * 2)
    hub.capture()
    assert events_of(hub.lake, user("ada", FINGERPRINT)) == {}


@pytest.mark.parametrize("payloads", ["all", "accounting"])
def test_a_user_whose_name_no_column_holds_whole_is_forgotten(tmp_path: Path, payloads: str) -> None:
    hub = Hub(Lake(str(tmp_path / "lake")))
    name = "u" * 300 + "@x"
    hub.send(10, call(name, WORD), call(name, WORD)[:-30], call(name, WORD) * 2, call("someone", OTHERS))
    hub.capture(payloads)
    derive_all(hub.lake)
    whom = user(name, FINGERPRINT)
    forget(hub.lake, whom)
    users = derive_all(hub.lake)[USAGE_EVENTS.name]["user_id"].drop_nulls().to_list()
    assert sorted(users) == [whom.pseudonym, whom.pseudonym, "someone"]
    assert [words_in(Path(hub.lake.location), word) for word in (name[:200], WORD)] == [[], []]


def test_a_purge_in_the_middle_of_the_search_makes_it_look_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = LakeTable.scan
    begun: list[int] = []

    def late(self: LakeTable) -> pl.LazyFrame:
        rows = scan(self)
        if self.contract == OPENAI_EVENTS and not begun:
            begun.append(self.version)
            assert purge(hub.lake, date(2026, 3, 11)).removed_files
        return rows

    monkeypatch.setattr(LakeTable, "scan", late)
    assert events_of(hub.lake, user(USER, FINGERPRINT)) == {"2026-03-10": 3, "2026-03-11": 3}


def test_an_erasure_that_dies_is_taken_over_by_the_next(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    derive_all(hub.lake)
    forgotten = user(USER, FINGERPRINT)
    with monkeypatch.context() as dying:
        dying.setattr(erasure, "follow", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget(hub.lake, forgotten)
    assert [each.finished_at for each in erasures_of(hub.lake)] == [None]
    forget(hub.lake, forgotten)
    assert [(each.finished_at, each.erased_event_count) for each in erasures_of(hub.lake)] == [(NOW, 6)]
    assert words_in(Path(hub.lake.location), USER) == []


def test_what_is_landed_while_somebody_is_asked_is_erased_as_well(hub: Hub) -> None:
    whom = user(USER, FINGERPRINT)
    found = events_of(hub.lake, whom)
    hub.send(11, call(USER, WORD))
    hub.send(12, call(USER, WORD))
    hub.capture()
    done = erase(hub.lake, whom, found, "Grace", "they asked", lambda: NOW)
    assert (done.day_count, done.erased_event_count) == (3, 8)
    assert erasures_of(hub.lake) == [done]
    assert events_of(hub.lake, whom) == {}
    assert words_in(Path(hub.lake.location), WORD) == []


def test_a_capture_that_read_the_record_before_an_erasure_reads_it_again(hub: Hub) -> None:
    # Nothing of theirs is there yet: no rewritten day would refuse the capture.
    whom = user("charles@example.com", FINGERPRINT)
    keep = Forgetting(hub.lake, FINGERPRINT)
    erased: list[erasure.Erasure] = []

    def overtaken(rows: pl.DataFrame) -> pl.DataFrame:
        kept = keep(rows)
        if not erased:
            erased.append(forget(hub.lake, whom))
        return kept

    hub.send(12, call("charles@example.com", WORD))
    captured = CaptureRun(hub.source, hub.lake, FINGERPRINT, keep=overtaken).execute()
    assert (captured.errors, captured.event_count) == ([], 1)
    assert events_of(hub.lake, whom) == {}
    assert whom.pseudonym in derive_all(hub.lake)[USAGE_EVENTS.name]["user_id"]


def test_nobody_erases_without_a_name_and_a_reason(hub: Hub) -> None:
    with pytest.raises(ConfigurationError, match="--by or --why"):
        erase(hub.lake, user(USER, FINGERPRINT), {}, " ", "why", lambda: NOW)
    assert erasures_of(hub.lake) == []


def test_the_command_asks_and_never_repeats_the_user(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", hub.lake.location)
    arguments = ["payloads", "erase", "--user", "--by", "Grace", "--why", "they asked"]
    refused = CliRunner().invoke(main, arguments, input=USER + "\n")
    assert refused.exit_code == 1
    assert "Nothing was erased" in refused.output
    assert words_in(Path(hub.lake.location), USER)
    done = CliRunner().invoke(main, [*arguments, "--yes"], input=USER + "\n")
    assert done.exit_code == 0, done.output
    assert "Found the texts of 6 events of 2 days" in done.output
    assert USER not in done.output
    assert words_in(Path(hub.lake.location), USER) == []
    shown = CliRunner().invoke(main, ["payloads"])
    assert "texts stay for ever" in shown.output
    assert "6 events of 2 days, begun by Grace" in shown.output


def test_the_command_purges_what_is_beyond_its_time(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", hub.lake.location)
    assert "RETENTION_DAYS is not set" in CliRunner().invoke(main, ["payloads", "purge"]).output
    monkeypatch.setenv("OAI_USAGE_PAYLOAD_RETENTION_DAYS", "30")
    told = CliRunner().invoke(main, ["payloads", "purge", "--dry-run"])
    assert "8 events before" in told.output
    assert words_in(Path(hub.lake.location), WORD)
    done = CliRunner().invoke(main, ["payloads", "purge"])
    assert done.exit_code == 0, done.output
    assert "Took the texts out of 8 events of 2 days" in done.output
    assert words_in(Path(hub.lake.location), WORD) == []
