"""The log of one partition: segments on disk, sequence numbers, retention, and readers' cursors.

Belongs here: what is kept and where a reader stands. Memory does not grow with the events held: only
the sparse index of the segments and a chunk for each active reader are in it. Writes reach the page
cache before they are acknowledged; they survive a kill of the broker, not a loss of power.
"""

import os
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from oai_usage_pipeline.broker.errors import BrokerError
from oai_usage_pipeline.broker.record import encode_record, messages
from oai_usage_pipeline.broker.segment import Segment
from oai_usage_pipeline.broker.selector import Start

SEGMENT_SIZE = 64 * 1024 * 1024

_START = struct.Struct(">q")


class Placeable(Protocol):
    """A message that can be written once its place is known."""

    def placed(self, sequence_number: int, offset: int, enqueued_ms: int) -> bytes:
        """Return the message as readers get it."""


class PartitionLog:
    """The events of a partition. Sequence numbers have no gaps; offsets are bytes."""

    def __init__(self, folder: Path, first_sequence: int = 0, segment_size: int = SEGMENT_SIZE) -> None:
        """Open the log in a folder, mending what a kill left half-written.

        The first event of a new log gets the number `first_sequence`; an old log goes on as it was.
        Raises BrokerError when a file in the middle of the log is damaged.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._segment_size = folder, segment_size
        self._segments = _recovered(folder)
        self._start_file = os.open(folder / "start", os.O_RDWR | os.O_CREAT, 0o644)
        kept = os.pread(self._start_file, 8, 0)
        self.start_sequence: int = _START.unpack(kept)[0] if kept else 0
        if not kept and self._segments[-1].is_empty and first_sequence:
            self._start_at(first_sequence)
        if self._segments[-1].is_empty:
            # Nothing has ever been appended, else the last event would still be there.
            self._segments[-1].last_sequence = self.start_sequence - 1
        self._waiting: list[Callable[[], None]] = []

    def close(self) -> None:
        """Close the files."""
        self._segments[-1].close()
        os.close(self._start_file)

    @property
    def end(self) -> int:
        """The offset that the next event will have."""
        return self._segments[-1].end

    @property
    def next_sequence(self) -> int:
        """The sequence number that the next event will have."""
        return self._segments[-1].last_sequence + 1

    @property
    def last_offset(self) -> int:
        """The offset of the last event, -1 when there has been none."""
        return self._segments[-1].last_offset

    @property
    def last_enqueued_ms(self) -> int:
        """When the last event was enqueued; 0 when there has been none."""
        return self._segments[-1].last_enqueued_ms

    @property
    def is_empty(self) -> bool:
        """Whether no event is held (any more)."""
        return self.next_sequence == self.start_sequence

    def append(self, batch: Sequence[Placeable], now_ms: int) -> None:
        """Write a batch, all of it or nothing; raises OSError when the disk refuses it.

        The enqueued time never goes back, even if the clock does.
        """
        if not batch:
            return
        first, offset = self.next_sequence, self.end
        enqueued_ms = max(now_ms, self.last_enqueued_ms)
        encoded = []
        for place, message in enumerate(batch):
            placed = message.placed(first + place, offset, enqueued_ms)
            encoded.append(encode_record(first + place, enqueued_ms, len(batch) - place - 1, placed))
            offset += len(encoded[-1])
        self._writable().append(encoded, first, enqueued_ms)
        self._wake()

    def when_more(self, callback: Callable[[], None]) -> None:
        """Call back once, when something has been appended."""
        self._waiting.append(callback)

    def trim(self, keep_events: int | None, older_than_ms: int | None) -> None:
        """Drop the start: all but the last `keep_events`, and what was enqueued before `older_than_ms`."""
        start = self.start_sequence
        if keep_events is not None:
            start = max(start, self.next_sequence - keep_events)
        if older_than_ms is not None:
            start = max(start, self._sequence_of_time(older_than_ms))
        self.drop_before(start)

    def drop_before(self, sequence_number: int) -> None:
        """Drop the events with lower numbers; those to come are never dropped."""
        start = min(sequence_number, self.next_sequence)
        if start > self.start_sequence:
            self._start_at(start)
            self._delete_passed()

    def cursor(self, start: Start) -> "Cursor":
        """Return a cursor at a starting position, or at the first event held if that is later."""
        offset = self._offset_of(start)
        segment = self._segment_of(offset)
        cursor = Cursor(self, offset, segment.sequence_at(offset))
        cursor.skip_dropped()
        return cursor

    def read(self, offset: int) -> bytes:
        """Read a chunk of records from an offset on."""
        return self._segment_of(offset).read(offset)

    def offset_of_sequence(self, sequence_number: int) -> int:
        """Return the offset of the first record with at least this sequence number, or the end."""
        last = len(self._segments) - 1
        place = next((i for i, s in enumerate(self._segments) if s.last_sequence >= sequence_number), last)
        return self._segments[place].offset_of_sequence(sequence_number)

    def _start_at(self, sequence_number: int) -> None:
        self.start_sequence = sequence_number
        os.pwrite(self._start_file, _START.pack(sequence_number), 0)

    def _offset_of(self, start: Start) -> int:
        if start.value is None:
            return self.end
        value = start.value if start.inclusive else start.value + 1
        if start.by == "offset":
            return self._segment_of(value).offset_from(value)
        if start.by == "sequence-number":
            return self.offset_of_sequence(value)
        return self._segment_of_time(value).offset_of_time(value)

    def _segment_of(self, offset: int) -> Segment:
        place = bisect_right(self._segments, offset, key=lambda segment: segment.base)
        return self._segments[max(0, place - 1)]

    def _segment_of_time(self, enqueued_ms: int) -> Segment:
        found = (segment for segment in self._segments if segment.last_enqueued_ms >= enqueued_ms)
        return next(found, self._segments[-1])

    def _sequence_of_time(self, enqueued_ms: int) -> int:
        segment = self._segment_of_time(enqueued_ms)
        return segment.sequence_at(segment.offset_of_time(enqueued_ms))

    def _writable(self) -> Segment:
        last = self._segments[-1]
        if last.end - last.base < self._segment_size:
            return last
        fresh = Segment(self._folder, last.end)
        fresh.last_sequence, fresh.last_offset = last.last_sequence, last.last_offset
        fresh.last_enqueued_ms = last.last_enqueued_ms
        last.close()
        self._segments.append(fresh)
        return fresh

    def _delete_passed(self) -> None:
        # The last event stays on disk even when it is dropped: the next sequence number follows from it.
        while len(self._segments) > 1 and not self._segments[1].is_empty:
            if self._segments[0].last_sequence >= self.start_sequence:
                return
            self._segments.pop(0).delete()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()


class Cursor:
    """A reader's place in a log."""

    def __init__(self, log: PartitionLog, offset: int, sequence_number: int) -> None:
        """Stand before the record at an offset, which has this sequence number."""
        self._log = log
        self._offset = offset
        self.next_sequence = sequence_number
        self._chunk, self._at = b"", 0

    @property
    def at_end(self) -> bool:
        """Whether everything there is has been read."""
        return self._offset + self._at >= self._log.end

    def read(self, limit: int) -> list[memoryview]:
        """Return the next messages: at least one unless at the end, at most `limit` and one chunk."""
        self.skip_dropped()
        if self.at_end:
            return []
        found, at = messages(self._chunk, self._at, limit)
        if not found:
            self._offset += self._at
            self._chunk, self._at = self._log.read(self._offset), 0
            found, at = messages(self._chunk, 0, limit)
        self._at = at
        self.next_sequence += len(found)
        if self.at_end:
            self._leave_chunk()
        return found

    def skip_dropped(self) -> None:
        """Go on with the first event held when retention has dropped the next one."""
        if self.next_sequence < self._log.start_sequence:
            self._leave_chunk()
            self.next_sequence = self._log.start_sequence
            self._offset = self._log.offset_of_sequence(self.next_sequence)

    def _leave_chunk(self) -> None:
        """A reader that waits at the end keeps no chunk in memory."""
        self._offset += self._at
        self._chunk, self._at = b"", 0


def _recovered(folder: Path) -> list[Segment]:
    segments: list[Segment] = []
    for base in sorted(int(path.stem) for path in folder.glob("*.log")) or [0]:
        if segments and segments[-1].end != base:
            raise BrokerError(
                f"{folder / f'{segments[-1].base:020d}.log'} is damaged: it should reach offset {base}, "
                f"its batches end at {segments[-1].end}. Restore the file or delete the hub's folder."
            )
        segment = Segment(folder, base)
        segment.recover()
        if segments and segment.is_empty:
            # A kill between making the file and writing to it.
            segment.delete()
            continue
        if segments:
            segments[-1].close()
        segments.append(segment)
    return segments
