"""Many that commit, and maintenance beside them: all finish, and each event is in bronze once."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from deltalake import DeltaTable

from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.capture.commit import commit
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.capture.test_commit import HUB, batch
from oai_usage_pipeline_tests.faults.conftest import Store
from oai_usage_pipeline_tests.faults.rival_committer import COMMITS, EVENTS, RIVALS


def assert_whole(lake: Lake, event_count: int) -> None:
    for invariant in (nothing_lost, nothing_doubled, positions_match):
        assert invariant(lake).holds, invariant(lake).sentence
    assert lake.existing(OPENAI_EVENTS).row_count() == event_count


def test_eight_committers_at_once_all_finish_in_a_folder_and_in_a_store(store: Store, tmp_path: Path) -> None:
    lakes = [Lake(str(tmp_path / "lake")), store.direct]
    for lake in lakes:
        lake.table(OPENAI_EVENTS)
    told = json.dumps([(lake.location, lake.storage_options) for lake in lakes])
    command = [sys.executable, "-m", "oai_usage_pipeline_tests.faults.rival_committer"]

    def rival(partition_id: int) -> subprocess.CompletedProcess[str]:
        asked = [*command, str(partition_id)]
        return subprocess.run(asked, input=told, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(RIVALS) as rivals:
        ended = list(rivals.map(rival, range(RIVALS)))
    assert [each.returncode for each in ended] == [0] * RIVALS, ended
    for lake in lakes:
        assert_whole(lake, (RIVALS + 1) * COMMITS * EVENTS)


def test_vacuum_compaction_and_checkpoints_beside_the_writer_change_no_event(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    commit(lambda: lake.table(OPENAI_EVENTS), HUB, batch({"0": range(1)}))
    uri = lake.uri(OPENAI_EVENTS)
    done = threading.Event()
    chores: list[Callable[[], object]] = [
        lambda: DeltaTable(uri).optimize.compact(),
        lambda: DeltaTable(uri).vacuum(dry_run=False),
        lambda: lake.existing(OPENAI_EVENTS).checkpoint(),
    ]

    def repeat(chore: Callable[[], object]) -> int:
        for times in count(1):
            chore()
            if done.is_set():
                return times
        raise AssertionError("unreachable: it counts for ever")

    with ThreadPoolExecutor(len(chores)) as maintenance:
        running = [maintenance.submit(repeat, chore) for chore in chores]
        try:
            for first in range(1, 121, 4):
                numbers = range(first, first + 4)
                commit(lambda: lake.table(OPENAI_EVENTS), HUB, batch({"0": numbers, "1": numbers}))
        finally:
            done.set()
    assert all(each.result() > 0 for each in running)
    assert_whole(lake, 1 + 2 * 120)


def test_two_compactions_at_once_double_rows_and_the_check_sees_it(tmp_path: Path) -> None:
    """delta-rs 1.6.6 doesn't hold compactions against each other: a table may have one at a time."""
    lake = Lake(str(tmp_path / "lake"))
    for first in (0, 3):
        commit(lambda: lake.table(OPENAI_EVENTS), HUB, batch({"0": range(first, first + 3)}))
    one, other = (DeltaTable(lake.uri(OPENAI_EVENTS)) for _ in range(2))
    one.optimize.compact()
    other.optimize.compact()
    assert nothing_doubled(lake).sentence == "namespace/hub partition 0: 6 rows too many"


def test_a_writer_whose_rows_are_compacted_under_it_still_commits_once(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    for first in range(0, 12, 3):
        commit(lambda: lake.table(OPENAI_EVENTS), HUB, batch({"0": range(first, first + 3)}))
    steps: list[str] = []

    def compact_once(step: str) -> None:
        if step == "checked" and "checked" not in steps:
            DeltaTable(lake.uri(OPENAI_EVENTS)).optimize.compact()
        steps.append(step)

    commit(lambda: lake.table(OPENAI_EVENTS), HUB, batch({"0": range(12, 15)}), compact_once)
    assert steps == ["opened", "checked", "appended"]
    assert_whole(lake, 15)
