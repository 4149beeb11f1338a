"""A table whose files were cut, emptied, flipped or lost: a clear error, or a consistent step back."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.capture.commit import commit
from oai_usage_pipeline.errors import LakeDamaged, LakeUnavailable
from oai_usage_pipeline.lake.failures import meaning_of_any
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.capture.test_commit import HUB, batch

COMMITS = 13
EVENTS = 5
"""Events of each of two partitions in each commit."""

CHECKPOINT = 9
NEWEST = COMMITS


@pytest.fixture(scope="module")
def whole_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bronze with a checkpoint at version 9 and entries up to 13."""
    folder = tmp_path_factory.mktemp("whole") / "lake"
    for first in range(0, COMMITS * EVENTS, EVENTS):
        capture(Lake(str(folder)), range(first, first + EVENTS))
    return folder


@pytest.fixture
def lake(whole_lake: Path, tmp_path: Path) -> Lake:
    return Lake(str(shutil.copytree(whole_lake, tmp_path / "lake")))


def capture(lake: Lake, numbers: range) -> None:
    both = batch({"0": numbers, "1": numbers})
    commit(lambda: lake.table(OPENAI_EVENTS), HUB, both, pause=lambda _: None)


def folder(lake: Lake) -> Path:
    return Path(lake.uri(OPENAI_EVENTS))


def entry(lake: Lake, version: int) -> Path:
    return folder(lake) / "_delta_log" / f"{version:020}.json"


def checkpoint(lake: Lake) -> Path:
    return folder(lake) / "_delta_log" / f"{CHECKPOINT:020}.checkpoint.parquet"


def last_checkpoint(lake: Lake) -> Path:
    return folder(lake) / "_delta_log" / "_last_checkpoint"


def newest_data_file(lake: Lake) -> Path:
    return max(folder(lake).glob("*/*.parquet"), key=lambda path: path.stat().st_mtime_ns)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_in_a_line(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def keep_lines(path: Path, count: int) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:count]))


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    for index in range(at, at + 20):
        content[index] ^= 0xFF
    path.write_bytes(content)


def assert_whole(lake: Lake, event_count: int) -> None:
    """I1 and I3: each event once, and the positions are those of the last."""
    for invariant in (nothing_lost, nothing_doubled, positions_match):
        assert invariant(lake).holds, invariant(lake).sentence
    assert lake.existing(OPENAI_EVENTS).row_count() == 2 * event_count


ROLLED_BACK: dict[str, Callable[[Lake], object]] = {
    "newest entry empty": lambda lake: empty(entry(lake, NEWEST)),
    "newest entry cut after its first line": lambda lake: keep_lines(entry(lake, NEWEST), 1),
    "newest entry missing": lambda lake: entry(lake, NEWEST).unlink(),
}


@pytest.mark.parametrize("damage", ROLLED_BACK.values(), ids=ROLLED_BACK.keys())
def test_a_commit_that_is_gone_as_a_whole_is_captured_again(
    damage: Callable[[Lake], object], lake: Lake
) -> None:
    damage(lake)
    table = lake.existing(OPENAI_EVENTS)
    last = COMMITS * EVENTS - 1
    assert [table.position(HUB.app_id(each)) for each in ("0", "1")] == [last - EVENTS] * 2
    capture(lake, range(last + 1 - EVENTS, last + 1))
    capture(lake, range(last + 1, last + 4))
    assert_whole(lake, last + 4)


UNHARMED: dict[str, Callable[[Lake], object]] = {
    "entry below the checkpoint empty": lambda lake: empty(entry(lake, 5)),
    "_last_checkpoint is garbage": lambda lake: last_checkpoint(lake).write_bytes(b"{not json"),
    "_last_checkpoint is empty": lambda lake: empty(last_checkpoint(lake)),
    "_last_checkpoint is missing": lambda lake: last_checkpoint(lake).unlink(),
    "_last_checkpoint is behind": lambda lake: last_checkpoint(lake).write_bytes(b'{"version":5,"size":9}'),
}


@pytest.mark.parametrize("damage", UNHARMED.values(), ids=UNHARMED.keys())
def test_damage_where_nothing_is_read_does_no_harm(damage: Callable[[Lake], object], lake: Lake) -> None:
    damage(lake)
    capture(lake, range(COMMITS * EVENTS - 3, COMMITS * EVENTS + 4))
    assert_whole(lake, COMMITS * EVENTS + 4)
    assert lake.existing(OPENAI_EVENTS).damaged_files() == []


REFUSED: dict[str, tuple[Callable[[Lake], object], str]] = {
    "newest entry cut in a line": (lambda lake: cut_in_a_line(entry(lake, NEWEST)), r"0013\.json is cut"),
    "entry cut in a line": (lambda lake: cut_in_a_line(entry(lake, 11)), r"0011\.json is cut within a line"),
    "entry missing": (lambda lake: entry(lake, 12).unlink(), r"0012\.json is missing"),
    "checkpoint flipped": (lambda lake: flip(checkpoint(lake), 900), r"0009\.checkpoint\.parquet can't be"),
    "checkpoint cut": (lambda lake: cut_in_a_line(checkpoint(lake)), r"0009\.checkpoint\.parquet can't be"),
    "checkpoint empty": (lambda lake: empty(checkpoint(lake)), r"0009\.checkpoint\.parquet can't be read"),
    "checkpoint missing": (
        lambda lake: checkpoint(lake).unlink(),
        "names version 9, which has no checkpoint",
    ),
    "_last_checkpoint is ahead": (
        lambda lake: last_checkpoint(lake).write_bytes(b'{"version":999,"size":9}'),
        "_last_checkpoint names version 999, which has no checkpoint",
    ),
}


@pytest.mark.parametrize(("damage", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_log_that_cannot_be_read_is_refused_with_its_file_and_whole_again_with_it(
    damage: Callable[[Lake], object], message: str, lake: Lake
) -> None:
    log = folder(lake) / "_delta_log"
    copies = {path: path.read_bytes() for path in log.iterdir()}
    damage(lake)
    before = {path: path.read_bytes() for path in log.iterdir()}
    for use in (lambda: lake.existing(OPENAI_EVENTS), lambda: capture(lake, range(60, 70))):
        with pytest.raises(LakeDamaged, match=message) as refused:
            use()
        assert "<unknown>" not in str(refused.value)
    assert {path: path.read_bytes() for path in log.iterdir()} == before
    for path, content in copies.items():
        path.write_bytes(content)
    capture(lake, range(60, 70))
    assert_whole(lake, 70)


def test_a_damaged_checkpoint_moved_away_costs_nothing(lake: Lake) -> None:
    flip(checkpoint(lake), 900)
    with pytest.raises(LakeDamaged, match="move it away together with _last_checkpoint"):
        lake.existing(OPENAI_EVENTS)
    checkpoint(lake).unlink()
    last_checkpoint(lake).unlink()
    capture(lake, range(60, 70))
    assert_whole(lake, 70)


@pytest.mark.parametrize("lines", [0, 1])
def test_rows_lost_with_an_entry_amid_the_log_are_told_by_file_and_by_number(lines: int, lake: Lake) -> None:
    keep_lines(entry(lake, 11), lines)
    # delta-rs itself says nothing: it takes this for a commit of nothing.
    assert lake.existing(OPENAI_EVENTS).row_count() == 2 * (COMMITS - 1) * EVENTS
    assert "00011.json is" in lake.existing(OPENAI_EVENTS).damaged_files()[0]
    assert "50 to 54" in nothing_lost(lake).sentence


def test_an_entry_cut_between_rows_and_position_is_seen_in_the_positions(lake: Lake) -> None:
    """The lake layer accepts it, as delta-rs does; capture's preflight compares positions and rows."""
    keep_lines(entry(lake, NEWEST), 2)
    table = lake.existing(OPENAI_EVENTS)
    assert table.row_count() == 2 * COMMITS * EVENTS
    assert table.position(HUB.app_id("0")) == (COMMITS - 1) * EVENTS - 1
    assert table.damaged_files() == []
    assert not positions_match(lake).holds


CUT_DATA: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": empty,
    "cut": cut_in_a_line,
}


@pytest.mark.parametrize("damage", CUT_DATA.values(), ids=CUT_DATA.keys())
def test_a_data_file_that_is_gone_or_cut_is_named_before_it_is_read(
    damage: Callable[[Path], object], lake: Lake
) -> None:
    file = newest_data_file(lake)
    content = file.read_bytes()
    damage(file)
    table = lake.existing(OPENAI_EVENTS)
    with pytest.raises(LakeDamaged, match=rf"{file.name} (is missing|has \d+ bytes, the log says \d+)"):
        table.refuse_cut_files()
    file.write_bytes(content)
    table.refuse_cut_files()


def test_flipped_bytes_that_no_reader_accepts_are_explained(lake: Lake) -> None:
    file = newest_data_file(lake)
    flip(file, file.stat().st_size - 40)
    table = lake.existing(OPENAI_EVENTS)
    with pytest.raises(LakeUnavailable, match=file.name):
        table.changes(NEWEST - 1, NEWEST, "true").read_all()
    with pytest.raises(Exception, match="parquet") as failed:
        table.scan().collect()
    assert "can't be read" in str(meaning_of_any(failed.value))


def test_a_missing_file_met_while_reading_is_named(lake: Lake) -> None:
    file = newest_data_file(lake)
    file.unlink()
    table: LakeTable = lake.existing(OPENAI_EVENTS)
    with pytest.raises(LakeUnavailable, match=file.name):
        table.changes(NEWEST - 1, NEWEST, "true").read_all()
    with pytest.raises(FileNotFoundError) as failed:
        table.scan().collect()
    assert file.name in str(meaning_of_any(failed.value))


def test_errors_of_others_are_not_taken_for_those_of_the_lake() -> None:
    assert meaning_of_any(FileNotFoundError(2, "No such file or directory")) is None
    assert meaning_of_any(ValueError("parquet")) is None


def test_a_command_that_meets_a_damaged_file_says_so_in_one_message(lake: Lake) -> None:
    file = newest_data_file(lake)
    flip(file, file.stat().st_size - 40)
    command = [str(Path(sys.executable).parent / "oai-usage"), "verify"]
    environment = {**os.environ, "OAI_USAGE_LAKE_URI": lake.location}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Error: The lake can't be read: parquet" in ended.stderr
    assert "Traceback" not in ended.stderr
