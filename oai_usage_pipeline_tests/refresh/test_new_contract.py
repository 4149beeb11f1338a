"""A contract changes on a lake that has a history: what becomes stale, and what readers see meanwhile."""

from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.audit.invariants import silver_equals_rebuild, verify
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY, USAGE_EVENTS
from oai_usage_pipeline_tests.landed import Landing
from oai_usage_pipeline_tests.refresh.next_version import CORRECTED, LIGHT, NEXT, install

DAYS = ("2026-03-10", "2026-03-11", "2026-03-12")


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    landed = Landing(Lake(str(tmp_path / "lake")))
    for day in (10, 11, 12):
        landed.send(60, day=day)
    refresh_all(landed.lake)
    return landed


def refresh_all(lake: Lake) -> None:
    for derivation in DERIVATIONS:
        refresh_days(lake, derivation, [each.day for each in stale_days(lake, derivation)])


def silver(lake: Lake) -> pl.DataFrame:
    return lake.existing(NEXT).scan().collect().sort(pl.all())


def tokens_of(lake: Lake, operation: str) -> int:
    gold = lake.existing(TOKEN_USAGE_HOURLY).scan().filter(pl.col("operation") == operation)
    return int(gold.select(pl.col("input_tokens").sum()).collect().item())


def test_a_version_that_rebuilds_nothing_makes_no_day_stale_and_old_rows_stay_right(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch.setattr, LIGHT, corrects=False)
    assert stale_days(landing.lake, USAGE_EVENTS_DERIVATION) == []
    landing.send(30, day=11)
    [done] = refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, ["2026-03-11"])
    assert done.mode == "extended"
    rows = silver(landing.lake)
    assert rows.filter(pl.col("schema_version") == USAGE_EVENTS.version)["is_large"].null_count() == 180
    assert not rows.filter(pl.col("schema_version") == LIGHT.version)["is_large"].is_null().all()
    assert silver_equals_rebuild(landing.lake).holds
    refresh_all(landing.lake)
    assert [each.sentence for each in verify(landing.lake) if not each.holds] == []


def test_old_rows_that_hold_what_only_newer_ones_may_are_no_rebuild(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch.setattr, LIGHT, corrects=False)
    day = pl.col("enqueued_date").cast(pl.String)
    target = landing.lake.table(LIGHT)
    rows = target.scan().filter(day == DAYS[0]).with_columns(is_large=True).collect()
    target.replace_day(DAYS[0], rows.select(*LIGHT.schema), {})
    assert not silver_equals_rebuild(landing.lake).holds


def test_a_day_is_the_old_or_the_new_one_until_all_are_new_and_equal_a_rebuild_from_nothing(
    landing: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(_tokens_by_day(landing.lake))
    old_embeddings = tokens_of(landing.lake, CORRECTED)
    install(monkeypatch.setattr)
    assert [each.day for each in stale_days(landing.lake, USAGE_EVENTS_DERIVATION)] == list(DAYS)
    refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, [DAYS[1]])
    found = silver(landing.lake).group_by("enqueued_date").agg(pl.col("schema_version").unique())
    assert {str(day): versions for day, versions in found.iter_rows()} == {
        DAYS[0]: [USAGE_EVENTS.version],
        DAYS[1]: [NEXT.version],
        DAYS[2]: [USAGE_EVENTS.version],
    }
    assert dict(_tokens_by_day(landing.lake)) != before
    # What was made for the older version reads both kinds of days.
    as_before = NEXT.read_as(landing.lake.existing(NEXT).scan(), USAGE_EVENTS.version).collect()
    assert dict(as_before.schema) == dict(USAGE_EVENTS.schema)
    refresh_all(landing.lake)
    assert [each.sentence for each in verify(landing.lake) if not each.holds] == []
    again = Lake(str(tmp_path / "again"))
    landing.capture_into(again)
    refresh_all(again)
    assert silver(again).equals(silver(landing.lake))
    assert 0 < tokens_of(landing.lake, CORRECTED) == tokens_of(again, CORRECTED) < old_embeddings


def _tokens_by_day(lake: Lake) -> list[tuple[object, int]]:
    rows = lake.existing(NEXT).scan().group_by("enqueued_date").agg(pl.col("total_tokens").sum())
    return list(rows.collect().iter_rows())
