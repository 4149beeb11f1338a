"""A remedy that another repair has overtaken is refused; one that lands events keeps no more than capture."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.audit.invariants import nothing_doubled
from oai_usage_pipeline.capture import remedies
from oai_usage_pipeline.capture.commit import commit
from oai_usage_pipeline.capture.landing import bronze_frame, land
from oai_usage_pipeline.capture.remedies import PutBack, Reland, Remedy, Site
from oai_usage_pipeline.capture.repair import Plan, Repair
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.capture.source import HubEvent
from oai_usage_pipeline.errors import PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.privacy.keeping import keep_of
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.capture import damage
from oai_usage_pipeline_tests.capture.damage import FINGERPRINT, NOW, hub
from oai_usage_pipeline_tests.capture.list_source import ListSource, event

MORE = {"0": 50, "1": 25}


def decided(lake: Lake) -> tuple[Remedy, Site]:
    """What a repair would do first, and the table that it decided that on."""
    seen: list[tuple[Site, Plan]] = []

    class Watched(Repair):
        def _look(self) -> tuple[Site, Plan]:
            seen.append(super()._look())
            return seen[-1]

    Watched(hub(MORE), lake, FINGERPRINT, lambda: NOW, lambda _: False).plan()
    site, plan = seen[-1]
    return plan.remedies[0], site


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A hole in each partition, and no positions."""
    lake = Lake(str(tmp_path / "lake"))
    damage.captured_at_once(lake)
    damage.forget_positions(lake)
    damage.delete_middle(lake)
    return lake


def test_of_two_repairs_without_positions_one_puts_rows_back(lake: Lake) -> None:
    (first, site), (second, stale) = decided(lake), decided(lake)
    assert isinstance(first, PutBack)
    first.apply(site)
    with pytest.raises(PositionConflict):
        second.apply(stale)
    assert nothing_doubled(lake).holds


def test_of_two_repairs_without_positions_one_lands_events_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage.delete_change_files(lake)
    damage.forget_old_files(lake)
    (first, site), (second, stale) = decided(lake), decided(lake)
    assert isinstance(first, Reland)
    monkeypatch.setattr(remedies, "bronze_frame", after(lambda: first.apply(site), bronze_frame))
    with pytest.raises(PositionConflict):
        second.apply(stale)
    assert nothing_doubled(lake).holds


def captured(lake: Lake, open_table: Callable[[], LakeTable] | None = None) -> None:
    """What a capture commits that looked at the table before it came to harm: 7 to 12, its first of each."""
    source = hub({"0": 13, "1": 13}, first=7)
    events = {each: source.partitions[each] for each in ("0", "1")}
    rows = [land(of, each, FINGERPRINT) for of, held in events.items() for each in held]
    commit(
        open_table or (lambda: lake.table(OPENAI_EVENTS)),
        source.describe(),
        bronze_frame(source.describe(), rows),
    )


def test_of_a_repair_and_a_capture_of_partitions_without_positions_one_is_refused(lake: Lake) -> None:
    remedy, site = decided(lake)
    assert isinstance(remedy, PutBack)
    captured(lake)
    with pytest.raises(PositionConflict):
        remedy.apply(site)
    assert nothing_doubled(lake).holds


def test_a_capture_that_a_repair_overtakes_where_there_was_no_position_looks_again(lake: Lake) -> None:
    remedy, site = decided(lake)
    stale = [lake.table(OPENAI_EVENTS)]
    remedy.apply(site)
    app_id = site.hub.app_id("0")
    assert lake.table(OPENAI_EVENTS).position(app_id) == 39, "the last row that is there"
    captured(lake, lambda: stale.pop() if stale else lake.table(OPENAI_EVENTS))
    assert stale == []
    assert lake.table(OPENAI_EVENTS).position(app_id) == 39
    assert nothing_doubled(lake).holds


def test_of_a_repair_that_lands_again_and_a_capture_without_positions_one_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage.delete_change_files(lake)
    damage.forget_old_files(lake)
    remedy, site = decided(lake)
    assert isinstance(remedy, Reland)
    monkeypatch.setattr(remedies, "bronze_frame", after(lambda: captured(lake), bronze_frame))
    with pytest.raises(PositionConflict):
        remedy.apply(site)
    assert nothing_doubled(lake).holds


def after(overtake: Callable[[], None], made: Callable[..., pl.DataFrame]) -> Callable[..., pl.DataFrame]:
    """`made`, and once, before it, somebody else's whole work."""
    waiting = [overtake]

    def wrapped(*args: object) -> pl.DataFrame:
        if waiting:
            waiting.pop()()
        return made(*args)

    return wrapped


@pytest.mark.parametrize("harm", [damage.delete_middle, damage.overwrite_with_nothing])
def test_events_that_are_landed_again_keep_what_the_setting_says_and_no_more(
    harm: Callable[[Lake], None], tmp_path: Path
) -> None:
    lake, source = Lake(str(tmp_path / "lake")), ListSource({"0": [of_a_person(n) for n in range(30)]})
    keep = keep_of("accounting")
    assert CaptureRun(source, lake, FINGERPRINT, keep=keep).execute().errors == []
    before = damage.rows(lake).sort("sequence_number")
    harm(lake)
    damage.delete_change_files(lake)
    damage.forget_old_files(lake)
    assert Repair(source, lake, FINGERPRINT, lambda: NOW, lambda _: True, keep=keep).execute().is_sound
    assert damage.rows(lake).sort("sequence_number").equals(before)
    assert not [row for row in damage.rows(lake).rows() if "Ada" in str(row)]


def of_a_person(number: int) -> HubEvent:
    request = json.dumps({"model": "m", "messages": [{"role": "user", "content": "I am Ada"}]})
    return event(number, json.dumps({"EventTime": "2026-01-05T08:00:00Z", "Request": request}).encode())
