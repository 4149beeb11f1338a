"""Bringing days up to date: incremental or rebuilt, once or twice, alone or not, the result is the same."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from oai_usage_pipeline.audit.invariants import (
    days_are_current,
    gold_equals_silver,
    silver_accounts_for_bronze,
    silver_equals_rebuild,
)
from oai_usage_pipeline.errors import LakeDamaged, LakeUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import RefreshedDay, refresh_days, stale_days
from oai_usage_pipeline.refresh.gold import TOKEN_USAGE_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import OPENAI_EVENTS, TOKEN_USAGE_HOURLY, USAGE_EVENTS, TableContract
from oai_usage_pipeline_tests.landed import Landing


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(Lake(str(tmp_path / "lake")))


def refresh_all(lake: Lake) -> list[str]:
    """Every stale day of silver, then of gold; returns how each was done."""
    done: list[str] = []
    for derivation in DERIVATIONS:
        days = [each.day for each in stale_days(lake, derivation)]
        done += [each.mode for each in refresh_days(lake, derivation, days)]
    return done


def assert_sound(lake: Lake) -> None:
    checks = (days_are_current, silver_accounts_for_bronze, silver_equals_rebuild, gold_equals_silver)
    for invariant in checks:
        assert invariant(lake).holds, invariant(lake).sentence


def table(lake: Lake, contract: TableContract) -> pl.DataFrame:
    return lake.table(contract).scan().collect().sort(pl.all())


def total(lake: Lake, column: str) -> int:
    return int(table(lake, TOKEN_USAGE_HOURLY)[column].sum())


def test_a_day_is_rebuilt_first_and_extended_then(landing: Landing) -> None:
    landing.send(100)
    assert refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, ["2026-03-10"]) == [
        RefreshedDay("2026-03-10", "rebuilt", 100)
    ]
    landing.send(30)
    assert refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, ["2026-03-10"]) == [
        RefreshedDay("2026-03-10", "extended", 30)
    ]
    refresh_all(landing.lake)
    assert_sound(landing.lake)


def test_twice_in_a_row_changes_nothing(landing: Landing) -> None:
    landing.send(100)
    refresh_all(landing.lake)
    versions = [landing.lake.table(each).version for each in (USAGE_EVENTS, TOKEN_USAGE_HOURLY)]
    assert refresh_all(landing.lake) == []
    for derivation in DERIVATIONS:
        [done] = refresh_days(landing.lake, derivation, ["2026-03-10"])
        assert done.mode == "unchanged"
    assert [landing.lake.table(each).version for each in (USAGE_EVENTS, TOKEN_USAGE_HOURLY)] == versions


def test_gold_follows_late_events_to_their_own_days(landing: Landing) -> None:
    landing.send(200, spread_days=3)
    refresh_all(landing.lake)
    landing.send(100, day=11, spread_days=3)
    assert "extended" in refresh_all(landing.lake)
    assert_sound(landing.lake)
    assert total(landing.lake, "request_count") == 300
    assert total(landing.lake, "total_tokens") == sum(each.total_tokens or 0 for each in landing.entries)


def test_only_the_days_that_changed_are_stale(landing: Landing) -> None:
    landing.send(50, day=10)
    landing.send(50, day=11)
    refresh_all(landing.lake)
    landing.send(20, day=11)
    assert [each.day for each in stale_days(landing.lake, USAGE_EVENTS_DERIVATION)] == ["2026-03-11"]


def test_days_are_brought_up_to_date_one_by_one_in_any_order(landing: Landing) -> None:
    for number in (10, 11, 12):
        landing.send(20, day=number)
    for day in ("2026-03-12", "2026-03-10"):
        refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, [day])
    assert [each.day for each in stale_days(landing.lake, USAGE_EVENTS_DERIVATION)] == ["2026-03-11"]
    refresh_all(landing.lake)
    assert_sound(landing.lake)


def test_the_increments_equal_a_rebuild_from_nothing(landing: Landing, tmp_path: Path) -> None:
    for size in (50, 1, 30):
        landing.send(size, spread_days=2)
        refresh_all(landing.lake)
    again = Lake(str(tmp_path / "again"))
    landing.capture_into(again)
    assert set(refresh_all(again)) == {"rebuilt"}
    for contract in (OPENAI_EVENTS, USAGE_EVENTS, TOKEN_USAGE_HOURLY):
        assert_frame_equal(table(again, contract), table(landing.lake, contract))


def test_a_new_contract_version_makes_every_day_stale_and_rebuilds_it(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.send(60, day=10)
    landing.send(40, day=11)
    refresh_all(landing.lake)
    monkeypatch.setattr(USAGE_EVENTS_DERIVATION, "target", replace(USAGE_EVENTS, version=99))
    stale = stale_days(landing.lake, USAGE_EVENTS_DERIVATION)
    assert [(each.day, each.must_rebuild) for each in stale] == [("2026-03-10", True), ("2026-03-11", True)]
    assert refresh_all(landing.lake)[:2] == ["rebuilt", "rebuilt"]
    assert stale_days(landing.lake, USAGE_EVENTS_DERIVATION) == []
    assert len(table(landing.lake, USAGE_EVENTS)) == 100


def test_gold_is_rebuilt_when_silver_was_replaced(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    landing.send(60, spread_days=1)
    refresh_all(landing.lake)
    monkeypatch.setattr(USAGE_EVENTS_DERIVATION, "target", replace(USAGE_EVENTS, version=99))
    refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, ["2026-03-10"])
    gold = stale_days(landing.lake, TOKEN_USAGE_HOURLY_DERIVATION)
    assert gold
    assert all(each.must_rebuild for each in gold)
    refresh_all(landing.lake)
    assert total(landing.lake, "request_count") == 60


def test_compaction_is_no_change(landing: Landing) -> None:
    for _ in range(3):
        landing.send(20)
        refresh_all(landing.lake)
    for contract in (OPENAI_EVENTS, USAGE_EVENTS):
        landing.lake.table(contract)._handle.optimize.compact()
    assert refresh_all(landing.lake) == []
    landing.send(10)
    # Silver and gold; cost and chargeback are made of whole days and months.
    assert refresh_all(landing.lake) == ["extended", "extended", "rebuilt", "rebuilt"]
    assert_sound(landing.lake)


def test_a_cleaned_up_log_leads_to_a_rebuild_and_not_to_a_loss(landing: Landing) -> None:
    for _ in range(4):
        landing.send(20)
    log = Path(landing.lake.uri(OPENAI_EVENTS), "_delta_log")
    landing.lake.table(OPENAI_EVENTS)._handle.create_checkpoint()
    (log / f"{1:020}.json").unlink()
    assert set(refresh_all(landing.lake)) == {"rebuilt"}
    assert_sound(landing.lake)


def test_a_contract_version_reaches_days_whose_old_files_were_vacuumed(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (10, 10, 11):
        landing.send(20, day=number)
    refresh_all(landing.lake)
    bronze = landing.lake.table(OPENAI_EVENTS)._handle
    bronze.optimize.compact()
    bronze.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    monkeypatch.setattr(USAGE_EVENTS_DERIVATION, "target", replace(USAGE_EVENTS, version=99))
    refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, ["2026-03-10"])
    landing.send(5, day=12)
    stale = [each.day for each in stale_days(landing.lake, USAGE_EVENTS_DERIVATION)]
    assert stale == ["2026-03-11", "2026-03-12"]
    refresh_all(landing.lake)
    assert stale_days(landing.lake, USAGE_EVENTS_DERIVATION) == []
    assert len(table(landing.lake, USAGE_EVENTS)) == 65


def test_a_day_that_fails_does_not_keep_the_others_from_being_done(landing: Landing) -> None:
    for number in (10, 11, 12):
        landing.send(20, day=number)
    [damaged] = Path(landing.lake.uri(OPENAI_EVENTS)).glob("enqueued_date=2026-03-11/*.parquet")
    damaged.write_bytes(damaged.read_bytes()[:-100])
    days = ["2026-03-10", "2026-03-11", "2026-03-12"]
    with pytest.raises(LakeUnavailable, match="usage_events of 2026-03-11 can't be brought up to date"):
        refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, days)
    assert landing.lake.table(USAGE_EVENTS).days() == {"2026-03-10", "2026-03-12"}


def test_a_source_made_anew_leaves_no_rows_of_the_old_one(landing: Landing, tmp_path: Path) -> None:
    landing.send(30, day=10)
    refresh_all(landing.lake)
    anew = Lake(str(tmp_path / "anew"))
    Landing(anew).send(20, day=12)
    shutil.rmtree(landing.lake.uri(OPENAI_EVENTS))
    shutil.move(anew.uri(OPENAI_EVENTS), landing.lake.uri(OPENAI_EVENTS))
    refresh_all(landing.lake)
    assert_sound(landing.lake)
    assert total(landing.lake, "request_count") == 20


def test_a_source_that_was_lost_empties_nothing_and_is_not_made_anew(landing: Landing) -> None:
    landing.send(30)
    refresh_all(landing.lake)
    shutil.rmtree(landing.lake.uri(OPENAI_EVENTS))
    with pytest.raises(LakeDamaged, match=r"openai_events is not there.* but usage_events has 30 rows"):
        refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, ["2026-03-10"])
    assert landing.lake.table(USAGE_EVENTS).row_count() == 30
    assert not Path(landing.lake.uri(OPENAI_EVENTS)).exists()


def test_without_a_source_nothing_follows_and_nothing_is_made(landing: Landing) -> None:
    done = refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, ["2026-03-10"])
    assert done == [RefreshedDay("2026-03-10", "unchanged", 0)]
    assert not Path(landing.lake.uri(USAGE_EVENTS)).exists()


def test_of_two_at_once_one_wins_and_the_other_looks_again(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.send(50)
    refresh_all(landing.lake)
    landing.send(50)
    append = LakeTable.append
    rival_is_due = iter([True])

    def append_after_a_rival(self: LakeTable, *args: object) -> None:
        if next(rival_is_due, False):
            refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, ["2026-03-10"])
        append(self, *args)  # type: ignore[arg-type]  # passed through as they came

    monkeypatch.setattr(LakeTable, "append", append_after_a_rival)
    [done] = refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, ["2026-03-10"])
    assert done.mode == "unchanged"
    assert len(table(landing.lake, USAGE_EVENTS)) == 100
    refresh_all(landing.lake)
    assert_sound(landing.lake)


def test_processes_that_refresh_the_same_days_at_once_double_nothing(landing: Landing) -> None:
    landing.send(300, spread_days=3)
    script = (
        "import sys; from oai_usage_pipeline.lake.lake import Lake;"
        "from oai_usage_pipeline.refresh.day import refresh_days, stale_days;"
        "from oai_usage_pipeline.refresh.chain import DERIVATIONS;"
        "lake = Lake(sys.argv[1]);"
        "[refresh_days(lake, d, [s.day for s in stale_days(lake, d)]) for d in DERIVATIONS]"
    )
    rivals = [subprocess.Popen([sys.executable, "-c", script, landing.lake.location]) for _ in range(3)]
    assert [rival.wait() for rival in rivals] == [0, 0, 0]
    refresh_all(landing.lake)
    assert_sound(landing.lake)
    assert total(landing.lake, "request_count") == 300
