"""The log of a partition, without a broker around it: positions, kills at any byte, retention, memory."""

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.broker.errors import BrokerError
from oai_usage_pipeline.broker.log import PartitionLog
from oai_usage_pipeline.broker.selector import FROM_THE_START, Start

By = Literal["offset", "sequence-number", "enqueued-time"]


class Note:
    """A message that only tells its place."""

    def __init__(self, padding: int = 20) -> None:
        self._padding = padding

    def placed(self, sequence_number: int, offset: int, enqueued_ms: int) -> bytes:
        return f"{sequence_number},{offset},{enqueued_ms},".encode() + b"." * self._padding


def places(log: PartitionLog, start: Start = FROM_THE_START, limit: int = 7) -> list[tuple[int, int, int]]:
    """Return (sequence number, offset, enqueued) of all events from a start on."""
    cursor, found = log.cursor(start), []
    while batch := cursor.read(limit):
        found += [tuple(map(int, bytes(message).split(b",")[:3])) for message in batch]
    assert cursor.at_end
    return [(sequence, offset, enqueued) for sequence, offset, enqueued in found]


def fill(log: PartitionLog, batches: Sequence[int], padding: int = 20) -> None:
    for number, size in enumerate(batches):
        log.append([Note(padding)] * size, now_ms=1000 + 10 * number)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PartitionLog]:
    """Thirty events in ten batches, spread over several segments."""
    opened = PartitionLog(tmp_path / "log", segment_size=500)
    fill(opened, [1, 2, 3, 4, 5] * 2)
    yield opened
    opened.close()


@pytest.mark.parametrize("by", ["sequence-number", "offset", "enqueued-time"])
@pytest.mark.parametrize("inclusive", [True, False])
def test_reading_from_any_position_gives_exactly_what_follows(
    log: PartitionLog, by: By, inclusive: bool
) -> None:
    everything = places(log)
    assert [sequence for sequence, _, _ in everything] == list(range(30))
    column = ("sequence-number", "offset", "enqueued-time").index(by)
    for value in range(-1, max(place[column] for place in everything) + 2):
        expected = [p for p in everything if p[column] > value or (inclusive and p[column] == value)]
        assert places(log, Start(by, value, inclusive)) == expected


def test_the_end_is_after_everything(log: PartitionLog) -> None:
    cursor = log.cursor(Start("offset", None, inclusive=False))
    assert cursor.read(10) == []
    log.append([Note()], now_ms=5000)
    assert len(cursor.read(10)) == 1


def test_the_enqueued_time_never_goes_back(log: PartitionLog) -> None:
    log.append([Note()], now_ms=3)
    times = [enqueued for _, _, enqueued in places(log)]
    assert all(earlier <= later for earlier, later in pairwise(times))


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 2000), with_index=st.booleans())
def test_a_log_cut_at_any_byte_reopens_with_whole_batches(
    tmp_path_factory: pytest.TempPathFactory, cut: int, with_index: bool
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    log = PartitionLog(folder)
    fill(log, [1, 2, 3, 4, 5] * 2)
    whole = places(log)
    log.close()
    (file,) = folder.glob("*.log")
    cut = min(cut, file.stat().st_size)
    os.truncate(file, cut)
    if not with_index:
        file.with_suffix(".index").unlink()
    log = PartitionLog(folder)
    ends = [0, 1, 3, 6, 10, 15, 16, 18, 21, 25, 30]
    kept = places(log)
    assert (
        kept
        == whole[: max(end for end in ends if end == 0 or whole[end - 1][1] + record_size(whole, end) <= cut)]
    )
    log.append([Note()], now_ms=9000)
    assert places(log)[-1][0] == len(kept)
    log.close()


def record_size(places: list[tuple[int, int, int]], end: int) -> int:
    sequence, offset, enqueued = places[end - 1]
    return 28 + len(Note().placed(sequence, offset, enqueued))


@pytest.mark.parametrize("damage", [b"", b"x" * 48, b"\xff" * 100])
def test_a_damaged_index_is_made_anew(log: PartitionLog, tmp_path: Path, damage: bytes) -> None:
    everything = places(log)
    for file in (tmp_path / "log").glob("*.index"):
        file.write_bytes(damage)
    again = PartitionLog(tmp_path / "log", segment_size=500)
    assert places(again) == everything
    assert places(again, Start("sequence-number", 17, inclusive=True)) == everything[17:]
    again.close()


def test_a_flipped_byte_at_the_end_costs_the_last_batch_and_in_the_middle_is_refused(
    log: PartitionLog, tmp_path: Path
) -> None:
    files = sorted((tmp_path / "log").glob("*.log"))
    flip(files[-1])
    again = PartitionLog(tmp_path / "log", segment_size=500)
    assert len(places(again)) < 30
    again.close()
    flip(files[0])
    with pytest.raises(BrokerError, match="is damaged"):
        PartitionLog(tmp_path / "log", segment_size=500)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def test_retention_drops_the_start_and_its_files(log: PartitionLog, tmp_path: Path) -> None:
    everything = places(log)
    slow = log.cursor(FROM_THE_START)
    assert len(slow.read(2)) == 2
    before = len(list((tmp_path / "log").glob("*.log")))
    log.trim(keep_events=7, older_than_ms=None)
    assert len(list((tmp_path / "log").glob("*.log"))) < before
    assert places(log) == everything[23:]
    # A reader that was further back goes on with the first event held.
    assert slow.next_sequence == 2
    slow.read(1)
    assert slow.next_sequence == 24
    again = PartitionLog(tmp_path / "log", segment_size=500)
    assert places(again) == everything[23:]
    again.close()


def test_retention_by_age_may_drop_everything_but_never_the_numbering(
    log: PartitionLog, tmp_path: Path
) -> None:
    log.trim(keep_events=None, older_than_ms=1050)
    assert [enqueued for _, _, enqueued in places(log)] == [1050] + [1060] * 2 + [1070] * 3 + [1080] * 4 + [
        1090
    ] * 5
    log.trim(keep_events=None, older_than_ms=9999)
    assert log.is_empty
    again = PartitionLog(tmp_path / "log", segment_size=500)
    assert again.is_empty
    again.append([Note()], now_ms=2000)
    assert [sequence for sequence, _, _ in places(again)] == [30]
    again.close()


def test_a_failed_write_leaves_a_whole_log(
    log: PartitionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = places(log)
    write = os.write

    def full(file: int, data: bytes) -> int:
        written = write(file, bytes(data)[:10])
        monkeypatch.setattr(os, "write", refuse)
        return written

    def refuse(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        log.append([Note()] * 3, now_ms=2000)
    monkeypatch.undo()
    assert places(log) == everything
    log.append([Note()], now_ms=2000)
    assert [sequence for sequence, _, _ in places(log)] == list(range(31))


def test_memory_does_not_grow_with_the_events_held(tmp_path: Path) -> None:
    process = psutil.Process()
    log = PartitionLog(tmp_path / "log")
    batch = [Note(2000)] * 500
    log.append(batch, now_ms=1)
    before = process.memory_info().rss
    for number in range(200):
        log.append(batch, now_ms=number)
    held = log.end
    assert held > 200_000_000
    grown = process.memory_info().rss - before
    log.close()
    assert grown < held / 20
