"""Killed at each step of the commit protocol and run again: every event is in bronze once."""

import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.capture.crashing_capture import EVENTS, PARTITIONS, source


def capture(lake: Path, step: str, occurrence: int = 1) -> int:
    module = "oai_usage_pipeline_tests.capture.crashing_capture"
    return subprocess.run([sys.executable, "-m", module, lake, step, str(occurrence)], check=False).returncode


def assert_bronze_is_the_source(lake: Lake) -> None:
    rows = lake.table(OPENAI_EVENTS).scan().sort("partition_id", "sequence_number").collect()
    expected = [(each, number) for each in PARTITIONS for number in range(EVENTS)]
    assert rows.select("partition_id", "sequence_number").rows() == expected
    offsets = {(each, e.sequence_number): e.offset for each in PARTITIONS for e in source().partitions[each]}
    assert rows.select("partition_id", "sequence_number", "offset").rows() == [
        (*key, offsets[key]) for key in expected
    ]
    for invariant in (nothing_lost, nothing_doubled, positions_match):
        assert invariant(lake).holds, invariant(lake).sentence


@pytest.mark.parametrize("occurrence", [1, 2, 4])
@pytest.mark.parametrize("step", ["opened", "checked", "writing", "appended"])
def test_a_process_killed_at_a_step_loses_and_doubles_nothing(
    step: str, occurrence: int, tmp_path: Path
) -> None:
    assert capture(tmp_path, step, occurrence) == -signal.SIGKILL
    assert capture(tmp_path, "never") == 0
    assert_bronze_is_the_source(Lake(str(tmp_path)))


def test_a_run_after_all_is_captured_adds_nothing(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    assert capture(tmp_path, "never") == 0
    version = lake.table(OPENAI_EVENTS).version
    assert capture(tmp_path, "never") == 0
    assert lake.table(OPENAI_EVENTS).version == version
    assert_bronze_is_the_source(lake)


def test_two_processes_on_the_same_partitions_lose_and_double_nothing(tmp_path: Path) -> None:
    module = "oai_usage_pipeline_tests.capture.crashing_capture"
    command = [sys.executable, "-m", module, str(tmp_path), "never", "1"]
    Lake(str(tmp_path)).table(OPENAI_EVENTS)
    rivals = [subprocess.Popen(command) for _ in range(2)]
    assert [rival.wait() for rival in rivals] == [0, 0]
    assert_bronze_is_the_source(Lake(str(tmp_path)))


def test_two_processes_that_both_make_the_table_lose_and_double_nothing(tmp_path: Path) -> None:
    module = "oai_usage_pipeline_tests.capture.crashing_capture"
    command = [sys.executable, "-m", module, str(tmp_path), "never", "1"]
    rivals = [subprocess.Popen(command) for _ in range(3)]
    assert [rival.wait() for rival in rivals] == [0, 0, 0]
    assert_bronze_is_the_source(Lake(str(tmp_path)))


def test_polars_reads_what_delta_committed(tmp_path: Path) -> None:
    assert capture(tmp_path, "never") == 0
    assert pl.read_delta(str(tmp_path / "openai_events")).height == EVENTS * len(PARTITIONS)
