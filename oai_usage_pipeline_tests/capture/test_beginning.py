"""A lake that has lost its table of events isn't taken for a new one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.capture.beginning import refuse_lost_table
from oai_usage_pipeline.capture.commit import Step
from oai_usage_pipeline.capture.gaps import record_gap
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.capture.source import PartitionBounds
from oai_usage_pipeline.errors import LakeDamaged, NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import OPENAI_EVENTS, USAGE_EVENTS
from oai_usage_pipeline_tests.capture.damage import FINGERPRINT, NOW, capture, captured_lake, hub
from oai_usage_pipeline_tests.capture.list_source import ListSource, event

MORE = {"0": 50, "1": 25}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return captured_lake(tmp_path)


def derive(lake: Lake) -> None:
    stale = [each.day for each in stale_days(lake, USAGE_EVENTS_DERIVATION)]
    refresh_days(lake, USAGE_EVENTS_DERIVATION, stale)


def lose(lake: Lake) -> None:
    shutil.rmtree(lake.uri(OPENAI_EVENTS))


def lose_and_make_anew(lake: Lake) -> None:
    lose(lake)
    lake.table(OPENAI_EVENTS)


@pytest.mark.parametrize("harm", [lose, lose_and_make_anew])
def test_events_lost_after_silver_was_made_of_them_are_not_begun_anew(
    harm: Callable[[Lake], None], lake: Lake
) -> None:
    derive(lake)
    harm(lake)
    with pytest.raises(LakeDamaged) as said:
        capture(hub(MORE, first=30), lake)
    for words in ("usage_events has 60 rows", "from a backup", "OAI_USAGE_LAKE_URI", "the other tables"):
        assert words in str(said.value)
    assert not Path(lake.uri(OPENAI_EVENTS)).exists() or lake.existing(OPENAI_EVENTS).row_count() == 0
    assert lake.existing(USAGE_EVENTS).row_count() == 60


def test_events_lost_after_a_gap_was_found_behind_them_are_not_begun_anew(lake: Lake) -> None:
    assert capture(hub(MORE, first=45), lake).errors
    lose(lake)
    with pytest.raises(LakeDamaged, match=r"capture_gaps has [12] gaps that follow a captured event"):
        capture(hub(MORE, first=45), lake)


@pytest.mark.parametrize("harm", [lose, lose_and_make_anew])
@pytest.mark.parametrize("at", ["opened", "appended"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_table_that_is_lost_in_the_middle_of_a_run_is_not_begun_there(
    is_first: bool, at: Step, harm: Callable[[Lake], None], tmp_path: Path
) -> None:
    lake = Lake(str(tmp_path / "lake")) if is_first else captured_lake(tmp_path)
    steps: list[Step] = []

    def harmed(step: Step) -> None:
        steps.append(step)
        if step == at and steps.count(at) == 2:
            harm(lake)

    source = hub({"0": 140, "1": 20})
    run = CaptureRun(source, lake, FINGERPRINT, limits=Limits(rows=25), at_step=harmed, clock=lambda: NOW)
    with pytest.raises(LakeDamaged, match=r"no longer the table that this run began with.*from a backup"):
        run.execute()
    assert not is_begun(lake)


class Losing(ListSource):
    """A source whose table is lost while it is asked what it holds."""

    harm: Callable[[], None]

    def bounds(self, partition_id: str) -> PartitionBounds:
        self.harm()
        return super().bounds(partition_id)


@pytest.mark.parametrize("harm", [lose, lose_and_make_anew])
def test_a_table_that_is_lost_before_the_run_looks_at_it_is_not_begun(
    harm: Callable[[Lake], None], lake: Lake
) -> None:
    source = Losing({"0": [event(n) for n in range(50)]})
    source.harm = lambda: harm(lake)
    with pytest.raises(LakeDamaged, match="no longer the table"):
        capture(source, lake)
    assert not is_begun(lake)


def is_begun(lake: Lake) -> bool:
    """Whether there is a table with rows."""
    try:
        return lake.existing(OPENAI_EVENTS).row_count() > 0
    except NoTable:
        return False


def test_a_table_that_comes_back_is_captured_into(lake: Lake, tmp_path: Path) -> None:
    derive(lake)
    shutil.move(lake.uri(OPENAI_EVENTS), tmp_path / "backup")
    with pytest.raises(LakeDamaged):
        capture(hub(MORE), lake)
    shutil.move(tmp_path / "backup", lake.uri(OPENAI_EVENTS))
    assert capture(hub(MORE), lake).event_count == 15


def test_a_lake_without_the_other_tables_is_begun(lake: Lake) -> None:
    lose(lake)
    assert capture(hub(MORE, first=30), lake).event_count == 20


def test_a_gap_before_the_first_event_ever_captured_is_no_sign_of_a_loss(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    [_] = record_gap(lake, hub({"0": 10}).describe(), "0", 0, 4, None, NOW, NOW)
    refuse_lost_table(lake)


def test_another_capture_that_begins_meanwhile_is_no_sign_of_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(str(tmp_path / "lake"))
    existing = Lake.existing

    def after_a_rival(self: Lake, contract: object) -> object:
        """Silver is asked for when a rival has captured and derived, bronze not being there before."""
        if contract is USAGE_EVENTS:
            monkeypatch.setattr(Lake, "existing", existing)
            capture(hub({"0": 10}), lake)
            derive(lake)
        return existing(self, contract)  # type: ignore[arg-type]  # passed through as it came

    monkeypatch.setattr(Lake, "existing", after_a_rival)
    refuse_lost_table(lake)
    assert lake.existing(USAGE_EVENTS).row_count() == 10
