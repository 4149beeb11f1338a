"""Disk full, read-only, out of file handles, out of memory: a clear end, a whole table, and recovery."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.capture.commit import commit
from oai_usage_pipeline.errors import LakeUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.capture.test_commit import HUB, batch
from oai_usage_pipeline_tests.faults import limited_capture
from oai_usage_pipeline_tests.faults.limited_capture import large_batch


class Disk:
    """A small file system of its own, which can be made full, read-only, and large again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = Lake(str(folder / "lake"))

    def mount(self, *options: str) -> str:
        """Mount it, or again with other options; what went wrong, or nothing."""
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system to fill up")
    disk = Disk(tmp_path)
    if error := disk.mount("size=1m"):
        pytest.skip(f"a file system can't be mounted here: {error.strip()}")
    yield disk
    disk.unmount()


def capture(lake: Lake, numbers: range) -> None:
    commit(lambda: lake.table(OPENAI_EVENTS), HUB, batch({"0": numbers}), pause=lambda _: None)


def assert_whole(lake: Lake, event_count: int) -> None:
    for invariant in (nothing_lost, nothing_doubled, positions_match):
        assert invariant(lake).holds, invariant(lake).sentence
    assert lake.existing(OPENAI_EVENTS).row_count() == event_count


def test_a_full_disk_is_said_and_the_batch_is_captured_once_there_is_room(disk: Disk) -> None:
    """Rust's `Already shut down` on the console can't be helped: arrow-rs-object-store issue 810."""

    def table() -> LakeTable:
        return disk.lake.table(OPENAI_EVENTS)

    with pytest.raises(LakeUnavailable, match="No space left on device"):
        commit(table, limited_capture.HUB, large_batch(), pause=lambda _: None)
    assert disk.lake.existing(OPENAI_EVENTS).row_count() == 0
    assert disk.mount("remount", "size=64m") == ""
    commit(table, limited_capture.HUB, large_batch())
    assert_whole(disk.lake, limited_capture.EVENTS)


def test_a_disk_too_full_for_the_log_entry_leaves_the_table_as_it_was(disk: Disk) -> None:
    capture(disk.lake, range(5))
    filler = disk.folder / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * 2**21)
    with pytest.raises(LakeUnavailable, match="No space left on device"):
        capture(disk.lake, range(10))
    assert_whole(disk.lake, 5)
    filler.unlink()
    capture(disk.lake, range(10))
    assert_whole(disk.lake, 10)


def test_a_read_only_folder_is_said_and_readable(disk: Disk) -> None:
    capture(disk.lake, range(5))
    assert disk.mount("remount", "ro") == ""
    with pytest.raises(LakeUnavailable, match="Read-only file system"):
        capture(disk.lake, range(10))
    assert_whole(disk.lake, 5)
    assert disk.mount("remount", "rw") == ""
    capture(disk.lake, range(10))
    assert_whole(disk.lake, 10)


def test_a_lake_that_cannot_be_made_is_said(disk: Disk) -> None:
    assert disk.mount("remount", "ro") == ""
    with pytest.raises(LakeUnavailable, match="can't be made: Read-only file system"):
        disk.lake.table(OPENAI_EVENTS)


def limited(lake: Lake, what: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", limited_capture.__name__, lake.location, what]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_process_without_file_handles_says_so_and_the_next_run_goes_on(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    ended = limited(lake, "files")
    assert (ended.returncode, "Too many open files" in ended.stdout) == (3, True), ended
    assert "Traceback" not in ended.stdout + ended.stderr
    assert lake.existing(OPENAI_EVENTS).row_count() == 0
    commit(lambda: lake.table(OPENAI_EVENTS), limited_capture.HUB, large_batch())
    assert_whole(lake, limited_capture.EVENTS)


def test_a_process_without_memory_dies_and_the_next_run_goes_on(tmp_path: Path) -> None:
    """Rust ends a process that gets no memory: there is nothing to explain it with but its last words."""
    lake = Lake(str(tmp_path / "lake"))
    ended = limited(lake, "memory")
    assert ended.returncode == -signal.SIGABRT, ended
    assert "memory allocation" in ended.stderr
    commit(lambda: lake.table(OPENAI_EVENTS), limited_capture.HUB, large_batch())
    assert_whole(lake, limited_capture.EVENTS)
