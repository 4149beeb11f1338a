"""A partition without a position begins where it stood when its hub was seen first, not where it is now."""

from pathlib import Path

import pytest

from oai_usage_pipeline.audit.invariants import nothing_lost
from oai_usage_pipeline.capture.acknowledgement import acknowledge_gap
from oai_usage_pipeline.capture.backlog import backlog
from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.capture.commit import Step
from oai_usage_pipeline.capture.gaps import gaps_of
from oai_usage_pipeline.capture.run import Captured, CaptureRun
from oai_usage_pipeline.capture.source import PartitionBounds
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.capture import damage
from oai_usage_pipeline_tests.capture.list_source import ListSource, event
from oai_usage_pipeline_tests.landed import FINGERPRINT, START


class Emptied(ListSource):
    """Partitions from which everything below `first` expired, be they empty now or not."""

    def __init__(self, partitions: dict[str, tuple[int, int]], **options: object) -> None:
        held = {
            name: [event(n) for n in range(first, last + 1)] for name, (first, last) in partitions.items()
        }
        super().__init__(held, **options)  # type: ignore[arg-type]  # those of a ListSource
        self._bounds = {name: PartitionBounds(*bounds) for name, bounds in partitions.items()}

    def bounds(self, partition_id: str) -> PartitionBounds:
        return self._bounds[partition_id]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def capture(lake: Lake, source: ListSource, only: tuple[str, ...] = ()) -> Captured:
    return CaptureRun(source, lake, FINGERPRINT, only=only).execute()


def numbers(lake: Lake) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for partition_id, number in (
        damage.rows(lake)
        .select("partition_id", "sequence_number")
        .sort("partition_id", "sequence_number")
        .iter_rows()
    ):
        found.setdefault(partition_id, []).append(number)
    return found


def assert_stopped(lake: Lake, result: Captured, partition_id: str, first: int, last: int) -> None:
    assert "are missing" in str(result.partitions[partition_id].error)
    assert [(each.partition_id, each.range) for each in gaps_of(lake)] == [(partition_id, (first, last))]
    assert partition_id not in numbers(lake)


def test_a_partition_that_was_empty_at_first_and_lost_events_since_stops(lake: Lake) -> None:
    assert capture(lake, Emptied({"0": (0, 9), "1": (0, -1)})).errors == []
    result = capture(lake, Emptied({"0": (0, 9), "1": (150, 199)}))
    assert_stopped(lake, result, "1", 0, 149)


def test_an_emptied_partition_begins_with_the_number_that_comes_next(lake: Lake) -> None:
    assert capture(lake, Emptied({"0": (0, 9), "1": (40, 39)})).errors == []
    assert capture(lake, Emptied({"0": (0, 9), "1": (40, 44)})).errors == []
    assert numbers(lake)["1"] == [40, 41, 42, 43, 44]


def test_a_partition_that_could_not_be_read_at_first_stops_where_it_lost_events(lake: Lake) -> None:
    assert capture(lake, Emptied({"0": (0, 9), "1": (0, 99)}, failing={"1"})).errors
    result = capture(lake, Emptied({"0": (0, 9), "1": (100, 109)}))
    assert_stopped(lake, result, "1", 0, 99)


def test_a_run_that_died_before_its_first_commit_has_begun(lake: Lake) -> None:
    def die(step: Step) -> None:
        if step == "checked":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CaptureRun(Emptied({"0": (0, 99)}), lake, FINGERPRINT, at_step=die).execute()
    result = capture(lake, Emptied({"0": (50, 99)}))
    assert "0 to 49 are missing" in str(result.partitions["0"].error)
    assert [each.range for each in gaps_of(lake)] == [(0, 49)]


def test_a_partition_that_was_added_begins_with_0(lake: Lake) -> None:
    assert capture(lake, Emptied({"0": (20, 29)})).errors == []
    assert numbers(lake) == {"0": list(range(20, 30))}
    result = capture(lake, Emptied({"0": (20, 29), "1": (50, 59)}))
    assert_stopped(lake, result, "1", 0, 49)


def test_processes_that_share_a_hub_begin_together(lake: Lake) -> None:
    source = Emptied({"0": (20, 29), "1": (30, 39)})
    assert capture(lake, source, only=("0",)).errors == []
    assert capture(lake, source, only=("1",)).errors == []
    assert capture(lake, Emptied({"0": (20, 29), "1": (30, 39), "2": (5, 9)}), only=("2",)).errors != []


def test_a_partition_that_was_added_begins_with_0_where_nothing_else_was_captured_yet(lake: Lake) -> None:
    assert capture(lake, Emptied({"0": (20, 19)})).errors == []
    result = capture(lake, Emptied({"0": (20, 19), "1": (50, 59)}), only=("1",))
    assert "0 to 49 are missing" in str(result.partitions["1"].error)


def test_it_is_on_record_once_and_acknowledging_goes_on(lake: Lake) -> None:
    capture(lake, Emptied({"0": (0, 9), "1": (0, -1)}))
    version = lake.existing(OPENAI_EVENTS).version
    assert capture(lake, Emptied({"0": (0, 9), "1": (0, -1)})).errors == []
    assert lake.existing(OPENAI_EVENTS).version == version, "a run with nothing to do made a commit"
    source = Emptied({"0": (0, 9), "1": (150, 199)})
    assert capture(lake, source).errors
    acknowledge_gap(source, lake, "1", 0, 149, "Ada", "an outage", START)
    assert capture(lake, source).errors == []
    assert numbers(lake)["1"] == list(range(150, 200))
    assert nothing_lost(lake).holds
    assert [each.event_count for each in backlog(source, lake)] == [0, 0]


def test_a_position_that_is_lost_in_mid_run_is_no_beginning(lake: Lake) -> None:
    log = Path(lake.uri(OPENAI_EVENTS), "_delta_log")
    done = 0

    def lose_the_first_commit(step: Step) -> None:
        nonlocal done
        if step == "appended" and not done:
            done = 1
            max(log.glob("*.json")).unlink()

    run = CaptureRun(
        Emptied({"0": (0, 99)}, chunk=10),
        lake,
        FINGERPRINT,
        limits=Limits(rows=30),
        at_step=lose_the_first_commit,
    )
    with pytest.raises(PipelineError):
        run.execute()
    assert "0" not in numbers(lake)
