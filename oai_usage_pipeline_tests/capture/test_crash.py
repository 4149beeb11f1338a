"""Killed at each step of the commit protocol, overtaken, run twice: every event is in bronze once.

Real processes with the real SDK against a broker of their own, by the rounds that `make stress` runs by
the hundred.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.broker.process import BrokerProcess
from oai_usage_pipeline.embedded.hub_files import HubFiles
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from stress.capture_worker import CaptureWorker
from stress.judgement import Tally, judge_events, judge_invariants
from stress.kills import STEPS, KillFigures, KillRound, chosen_kills

EVENTS = 300
HUBS = (*STEPS, "moments", "signals", "overtaken", "rivals")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("broker") / "hub", HUBS, partitions=2) as running:
        yield running


@pytest.fixture(scope="module")
def worker(broker: BrokerProcess) -> Iterator[CaptureWorker]:
    with CaptureWorker(broker.connection_string) as running:
        yield running


@pytest.fixture
def folder(broker: BrokerProcess) -> Path:
    """Beside the hub's files, where a round looks for them."""
    return broker.data.parent


def round_of(folder: Path, hub: str, broker: BrokerProcess, worker: CaptureWorker) -> KillRound:
    own = folder / f"round-{hub}"
    own.mkdir()
    return KillRound(own, broker, hub, worker, seed=1 + HUBS.index(hub), events=EVENTS, rows=30)


def assert_clean(figures: KillFigures) -> None:
    assert figures.tally.is_clean, figures.tally.faults
    assert figures.event_count == EVENTS


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_a_step_loses_and_doubles_nothing(
    step: str, folder: Path, broker: BrokerProcess, worker: CaptureWorker
) -> None:
    figures = round_of(folder, step, broker, worker).run(iter([(step, 1), (step, 2)]))
    assert_clean(figures)
    assert figures.kills == {step: 2}
    # On a busy machine a kill may come when the log entry is there already.
    assert figures.orphan_count in ((1, 2) if step == "writing" else (0,))


def test_a_process_killed_at_any_moment_loses_and_doubles_nothing(
    folder: Path, broker: BrokerProcess, worker: CaptureWorker
) -> None:
    figures = round_of(folder, "moments", broker, worker).run(
        iter([("moment", 1), ("moment", 4), ("random", 1)])
    )
    assert_clean(figures)
    assert figures.kill_count


def test_a_process_that_is_terminated_once_or_twice_leaves_whole_batches(
    folder: Path, broker: BrokerProcess, worker: CaptureWorker
) -> None:
    figures = round_of(folder, "signals", broker, worker).run(iter([("terminated", 1), ("terminated", 2)]))
    assert_clean(figures)


def test_a_run_that_stood_still_while_another_overtook_it_doubles_nothing(
    folder: Path, broker: BrokerProcess, worker: CaptureWorker
) -> None:
    figures = round_of(folder, "overtaken", broker, worker).run(iter([("paused", 1)]))
    assert_clean(figures)
    assert figures.kills["paused"] == 1


def test_runs_that_make_the_table_and_capture_the_same_events_at_once_double_nothing(
    folder: Path, broker: BrokerProcess, worker: CaptureWorker
) -> None:
    rivals = round_of(folder, "rivals", broker, worker)
    rivals.send()
    lake, tally = Lake(str(rivals.folder / "lake")), Tally()
    pids = [worker.start("rivals", rivals.folder / "lake", rows=30) for _ in range(3)]
    assert [worker.wait(pid).status for pid in pids] == [0, 0, 0]
    judge_invariants(lake, tally, "after three at once")
    hub = HubFiles("127.0.0.1/rivals", broker.data / "rivals")
    assert judge_events(lake, hub, [rivals.folder / "ledger.jsonl"], tally, "after three at once") == EVENTS
    assert tally.is_clean, tally.faults
    assert pl.read_delta(lake.uri(OPENAI_EVENTS)).height == EVENTS


def test_kills_are_chosen_by_the_seed_and_of_every_kind() -> None:
    kills = [list(chosen_kills(seed)) for seed in range(20)]
    assert kills == [list(chosen_kills(seed)) for seed in range(20)]
    assert {kind for each in kills for kind, _ in each} >= {
        *STEPS,
        "moment",
        "random",
        "terminated",
        "paused",
    }
