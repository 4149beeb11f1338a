"""Erased stays erased when events come again: from the hub, from files that were left, by another pepper."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from oai_usage_pipeline.capture.lost_rows import put_back
from oai_usage_pipeline.capture.repair import Repair
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.cli import main
from oai_usage_pipeline.errors import LakeDamaged
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.privacy.erasure import Erasure, erase, events_of
from oai_usage_pipeline.privacy.forgetting import Forgetting
from oai_usage_pipeline.privacy.keeping import keep_of
from oai_usage_pipeline.privacy.rewriting import rewrite_day
from oai_usage_pipeline.privacy.subject import subscription, user
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.settings import LOCAL_PEPPER
from oai_usage_pipeline.tables import OPENAI_EVENTS, PAYLOAD_ERASURES, USAGE_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture import damage
from oai_usage_pipeline_tests.landed import FINGERPRINT
from oai_usage_pipeline_tests.privacy.test_erasure import (
    KEY,
    NOW,
    OTHERS,
    THEIRS,
    USER,
    WORD,
    call,
    everyones,
    forget,
)
from oai_usage_pipeline_tests.privacy.test_retention import Hub, words_in

LATER = "clavichord"
OTHER_KEY = "0123456789abcdef0123456789abcdef"
RENEWED = KeyFingerprint(b"the second pepper", 2, previous=b"pepper of the tests")
ONLY_NEW = KeyFingerprint(b"the second pepper", 2)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """Events of a user and of others, one of which can't be read."""
    made = Hub(Lake(str(tmp_path / "lake")))
    made.send(10, *THEIRS[:3], call("someone", OTHERS, OTHER_KEY))
    made.send(11, *THEIRS[3:], call("someone", OTHERS, OTHER_KEY), call("someone", OTHERS, OTHER_KEY)[:-30])
    made.capture()
    return made


def silver(lake: Lake) -> pl.DataFrame:
    """What is derived of bronze as it is now."""
    stale = stale_days(lake, USAGE_EVENTS_DERIVATION)
    refresh_days(lake, USAGE_EVENTS_DERIVATION, [each.day for each in stale])
    rows = lake.existing(USAGE_EVENTS).scan().collect()
    return rows.sort(pl.struct(pl.all()))


def lose_all(lake: Lake) -> None:
    """Every row, and the old files that held them; positions stay."""
    damage.overwrite_with_nothing(lake)
    damage.forget_old_files(lake)


def repair(hub: Hub, fingerprint: KeyFingerprint, keep: Forgetting) -> bool:
    """As the command does it; returns whether nothing is left wrong."""
    forget_only = Forgetting(hub.lake, fingerprint)
    made = Repair(
        hub.source,
        hub.lake,
        fingerprint,
        lambda: NOW,
        lambda _: True,
        keep=keep,
        forget=forget_only.by_record,
    )
    return made.execute().is_sound


def brought_back(hub: Hub, fingerprint: KeyFingerprint, payloads: str = "all") -> pl.DataFrame:
    """Silver of what a repair and the capture behind it land again."""
    keep = Forgetting(hub.lake, fingerprint, keep_of(payloads))  # type: ignore[arg-type]  # one of the three
    assert repair(hub, fingerprint, keep)
    assert CaptureRun(hub.source, hub.lake, fingerprint, keep=keep).execute().errors == []
    assert hub.lake.existing(OPENAI_EVENTS).row_count() == len(hub.source.partitions["0"])
    return silver(hub.lake)


def lose_the_tail(lake: Lake) -> None:
    """Rows that then only the hub has: capture itself reads them again."""
    damage.table(lake).delete("sequence_number >= 4")
    damage.forget_old_files(lake)
    damage.delete_change_files(lake)


@pytest.mark.parametrize("lose", [lose_all, lose_the_tail])
def test_what_a_user_had_erased_stays_so_when_the_hub_delivers_it_again(
    hub: Hub, lose: Callable[[Lake], None]
) -> None:
    forget(hub.lake, user(USER, FINGERPRINT))
    before = silver(hub.lake)
    lose(hub.lake)
    after = brought_back(hub, FINGERPRINT)
    folder = Path(hub.lake.location)
    assert [words_in(folder, word) for word in (USER, WORD)] == [[], []]
    assert words_in(folder, OTHERS), "others keep their texts"
    assert after.equals(before), "pseudonyms and numbers are as the erasure left them"


def test_what_a_deletion_left_in_files_is_put_back_without_what_was_erased_since(hub: Hub) -> None:
    before = silver(hub.lake)
    damage.table(hub.lake).delete("sequence_number IN (0, 3)")
    whom = user(USER, FINGERPRINT)
    forget(hub.lake, whom)
    after = brought_back(hub, FINGERPRINT)
    rows = damage.rows(hub.lake).sort("sequence_number")
    assert WORD not in repr(rows.to_dicts())
    assert OTHERS in rows["Request"][3]
    assert USER not in after["user_id"]
    assert after["user_id"].to_list().count(whom.pseudonym) == 5
    assert everyones(after).equals(everyones(before))


def test_what_was_accepted_after_an_erasure_is_as_the_setting_says(hub: Hub) -> None:
    forget(hub.lake, user(USER, FINGERPRINT))
    hub.send(10, call("someone", OTHERS, OTHER_KEY)[:-30])
    hub.send(12, call(USER, LATER))
    late = hub.source.partitions["0"].pop()
    hub.source.partitions["0"].append(late._replace(enqueued_ms=int(NOW.timestamp() * 1000) + 1))
    CaptureRun(hub.source, hub.lake, FINGERPRINT, keep=Forgetting(hub.lake, FINGERPRINT)).execute()
    rows = hub.lake.existing(OPENAI_EVENTS).scan().sort("sequence_number").collect()
    assert rows["sequence_number"].to_list() == list(range(11))
    assert LATER in rows["Request"][-1]
    assert rows["payload"][-1] is None
    assert rows["body"][-2] is None, "whose it is can't be told, and it was accepted before"


def test_an_erasure_goes_no_further_than_its_own_time(hub: Hub) -> None:
    whom, first = user(USER, FINGERPRINT), datetime(2026, 3, 10, 18, tzinfo=UTC)
    rows = damage.rows(hub.lake)
    records = [
        Erasure(first, first, "Grace", "they asked", "user", whom.mark, 1, 3),
        Erasure(NOW, NOW, "Grace", "they asked", "user", user("a third", FINGERPRINT).mark, 1, 0),
    ]
    table = hub.lake.table(PAYLOAD_ERASURES)
    table.append(pl.DataFrame([asdict(each) for each in records], PAYLOAD_ERASURES.schema), {"test": 1})
    landed = Forgetting(hub.lake, FINGERPRINT)(rows.filter(pl.col("body").is_null()))
    of_day = landed.group_by("enqueued_date", maintain_order=True).agg(pl.col("payload").is_not_null().sum())
    assert sorted(of_day.rows()) == [(date(2026, 3, 10), 2), (date(2026, 3, 11), 0)]


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_nothing_is_written_where_the_record_of_erasures_was_lost(hub: Hub, is_made_anew: bool) -> None:
    whom = user(USER, FINGERPRINT)
    forget(hub.lake, whom)
    shutil.rmtree(hub.lake.uri(PAYLOAD_ERASURES))
    if is_made_anew:
        hub.lake.table(PAYLOAD_ERASURES)
    lose_the_tail(hub.lake)
    keep = Forgetting(hub.lake, FINGERPRINT)
    for write in (
        lambda: repair(hub, FINGERPRINT, keep),
        lambda: CaptureRun(hub.source, hub.lake, FINGERPRINT, keep=keep).execute(),
        lambda: forget(hub.lake, whom),
    ):
        with pytest.raises(LakeDamaged, match="payload_erasures is not there, or was made anew or set back"):
            write()
    assert words_in(Path(hub.lake.location), WORD) == []


def test_a_record_of_erasures_whose_file_is_gone_is_named(hub: Hub) -> None:
    forget(hub.lake, user(USER, FINGERPRINT))
    for each in Path(hub.lake.uri(PAYLOAD_ERASURES)).glob("*.parquet"):
        each.unlink()
    hub.send(12, call(USER, LATER))
    with pytest.raises(LakeDamaged, match=r"payload_erasures.* lacks what its log names"):
        CaptureRun(hub.source, hub.lake, FINGERPRINT, keep=Forgetting(hub.lake, FINGERPRINT)).execute()


def test_a_subscriptions_texts_stay_away_under_its_renewed_key(hub: Hub) -> None:
    forget(hub.lake, subscription(hub.lake, FINGERPRINT.of(KEY), FINGERPRINT))
    lose_all(hub.lake)
    brought_back(hub, RENEWED)
    rows = damage.rows(hub.lake)
    theirs = rows.filter(pl.col("AppSubscriptionKey") == RENEWED.of(KEY))
    assert theirs.height == 2
    assert WORD not in repr(theirs.to_dicts())
    others = rows.filter(pl.col("AppSubscriptionKey") == RENEWED.of(OTHER_KEY))
    assert OTHERS in repr(others.to_dicts()), "others keep their texts"


def test_a_user_keeps_one_pseudonym_through_a_rotation(hub: Hub) -> None:
    first = user(USER, FINGERPRINT)
    forget(hub.lake, first)
    lose_all(hub.lake)
    after = brought_back(hub, RENEWED)
    assert after.filter(pl.col("user_id") == first.pseudonym).height == 5
    hub.send(12, call(USER, WORD))
    hub.capture()
    assert forget(hub.lake, user(USER, RENEWED)).subject == first.mark
    users = silver(hub.lake)["user_id"].drop_nulls()
    assert users.to_list().count(first.pseudonym) == 6
    assert words_in(Path(hub.lake.location), WORD) == []


def test_a_clock_behind_the_hubs_takes_nothing_out_of_an_erasure(hub: Hub) -> None:
    whom = user(USER, FINGERPRINT)
    slow = datetime(2026, 3, 1, tzinfo=UTC)
    rows = damage.rows(hub.lake)
    done = erase(hub.lake, whom, events_of(hub.lake, whom), "Grace", "they asked", lambda: slow)
    assert (done.begun_at, done.finished_at) == (slow, rows["enqueued_at"].max())
    assert WORD not in repr(Forgetting(hub.lake, FINGERPRINT)(rows).to_dicts())


def test_where_the_pepper_of_an_erasure_is_gone_no_texts_come_back(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    forget(hub.lake, user(USER, FINGERPRINT))
    rows = damage.rows(hub.lake)
    with caplog.at_level(logging.WARNING):
        landed = Forgetting(hub.lake, ONLY_NEW)(rows)
    assert landed.height == rows.height
    assert not landed["payload"].is_null().any()
    assert OTHERS not in repr(landed.to_dicts())
    assert "No texts are kept of 9 events from before an erasure" in caplog.text
    assert "the pepper of version 1" in caplog.text


def test_a_repair_that_began_before_texts_went_looks_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    damage.table(hub.lake).delete("sequence_number = 0")
    tries: list[object] = []

    def late(*arguments: object) -> object:
        tries.append(arguments)
        if len(tries) == 1:
            rewrite_day(hub.lake, "2026-03-11", lambda rows: rows)
        return put_back(*arguments)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr("oai_usage_pipeline.capture.remedies.put_back", late)
    assert Repair(hub.source, hub.lake, FINGERPRINT, lambda: NOW, lambda _: True).execute().is_sound
    assert len(tries) == 2
    assert hub.lake.existing(OPENAI_EVENTS).row_count() == 9


def test_every_capture_and_repair_of_ours_goes_by_the_record(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = hub.lake.existing(OPENAI_EVENTS).scan().collect()
    forget(hub.lake, user(USER, KeyFingerprint(LOCAL_PEPPER.encode())))
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", hub.lake.location)
    landed = Pipeline().keep()(rows)
    assert WORD not in repr(landed.to_dicts())
    assert OTHERS in repr(landed.to_dicts())
    assert landed["sequence_number"].equals(rows["sequence_number"])


def test_the_command_says_whose_erasures_it_cant_tell(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(hub.lake, user("someone", FINGERPRINT))
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", hub.lake.location)
    arguments = ["payloads", "erase", "--user", "--by", "Grace", "--why", "they asked", "--yes"]
    told = CliRunner().invoke(main, arguments, input=USER + "\n")
    assert "can't be told" not in told.output
    monkeypatch.setenv("OAI_USAGE_KEY_PEPPER", "the third pepper of all")
    monkeypatch.setenv("OAI_USAGE_KEY_PEPPER_VERSION", "3")
    told = CliRunner().invoke(main, arguments, input="a third\n")
    assert told.exit_code == 0, told.output
    assert "2 erasures of users on record were made with the pepper of version 1" in told.output
