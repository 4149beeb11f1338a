"""One file of a partition's log, with a sparse index of what lies where.

Belongs here: appending records, finding a place, and mending the file after a kill. A segment is named
after the log offset of its first byte. Beside `….log` lies `….index`, an entry for every 256 KiB or so;
it is a hint that is rebuilt from the log when it is missing or wrong.
"""

import os
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from oai_usage_pipeline.broker.record import Record, is_whole, needed, records

# Small enough that walking one stretch of the index takes a millisecond, large enough that the index of
# a million events is a few hundred kilobytes.
INDEX_STEP = 256 * 1024
CHUNK = 512 * 1024

_ENTRY = struct.Struct(">qqq")


class Segment:
    """A log file; offsets are those of the whole log, so the first byte here is at `base`.

    Readers open the file for each chunk: a partition may have hundreds of segments, a process only so
    many file handles. Only the segment that is appended to stays open.
    """

    def __init__(self, folder: Path, base: int) -> None:
        """Create the segment, or find it; its end is not known before `recover`."""
        self.base = self.end = base
        self.last_sequence = self.last_offset = -1
        self.last_enqueued_ms = 0
        self._log_path = folder / f"{base:020d}.log"
        self._index_path = folder / f"{base:020d}.index"
        self._log = _open_to_append(self._log_path)
        self._index = _open_to_append(self._index_path)
        self._sequences = array("q")
        self._times = array("q")
        self._offsets = array("q")

    def close(self) -> None:
        """Close the files; nothing can be appended any more."""
        for file in (self._log, self._index):
            if file >= 0:
                os.close(file)
        self._log = self._index = -1

    def delete(self) -> None:
        """Remove the files."""
        self.close()
        self._log_path.unlink()
        self._index_path.unlink()

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been appended."""
        return self.end == self.base

    def append(self, encoded: list[bytes], first_sequence: int, enqueued_ms: int) -> None:
        """Append the records of one batch; once this returns they survive the end of this process.

        A write that fails half-way (disk full) is taken back, so that the next one finds a whole log.
        """
        data = b"".join(encoded)
        try:
            _write_all(self._log, data)
        except OSError:
            os.ftruncate(self._log, self.end - self.base)
            raise
        self._note(first_sequence, enqueued_ms, self.end)
        self.end += len(data)
        self.last_sequence = first_sequence + len(encoded) - 1
        self.last_offset = self.end - len(encoded[-1])
        self.last_enqueued_ms = enqueued_ms

    def read(self, offset: int, size: int = CHUNK) -> bytes:
        """Read a chunk that starts with the record at `offset` and holds all of that record.

        Raises FileNotFoundError when retention has removed the segment.
        """
        left = self.end - offset
        file = os.open(self._log_path, os.O_RDONLY)
        try:
            chunk = os.pread(file, min(size, left), offset - self.base)
            if needed(chunk, 0) > len(chunk):
                chunk = os.pread(file, min(needed(chunk, 0), left), offset - self.base)
        finally:
            os.close(file)
        return chunk

    def offset_of_sequence(self, sequence_number: int) -> int:
        """Return the offset of the first record with at least this sequence number, or the end."""
        start = self._before(self._sequences, sequence_number)
        return next((at for at, r, _ in self._walk(start) if r.sequence_number >= sequence_number), self.end)

    def offset_of_time(self, enqueued_ms: int) -> int:
        """Return the offset of the first record enqueued at or after this time, or the end."""
        start = self._before(self._times, enqueued_ms - 1)
        return next((at for at, r, _ in self._walk(start) if r.enqueued_ms >= enqueued_ms), self.end)

    def offset_from(self, offset: int) -> int:
        """Return the offset of the first record that starts at or after this offset, or the end."""
        start = self._before(self._offsets, offset)
        return next((at for at, _, _ in self._walk(start) if at >= offset), self.end)

    def sequence_at(self, offset: int) -> int:
        """Return the sequence number of the record at an offset; one past the last at the end."""
        return next((r.sequence_number for _, r, _ in self._walk(offset)), self.last_sequence + 1)

    def recover(self) -> None:
        """Find the end of the last whole batch and cut off what follows it.

        A batch is acknowledged when all its records are written, so a torn one was never promised.
        """
        size = os.fstat(self._log).st_size
        self._load_index(size)
        if not self._find_end(self._offsets[-1] if self._offsets else self.base, size):
            self._forget_index()
            self._find_end(self.base, size)
        os.ftruncate(self._log, self.end - self.base)

    def _find_end(self, start: int, size: int) -> bool:
        """Walk whole batches from an indexed offset on; False when not even the first is whole."""
        whole_end, batch = start, None
        self.end = self.base + size
        for at, record, chunk in self._walk(start):
            if not is_whole(chunk, record):
                break
            batch = batch or (record.sequence_number, record.enqueued_ms, at)
            if record.following == 0:
                self._note(*batch)
                whole_end, batch = at + record.end - record.at, None
                self.last_sequence, self.last_offset = record.sequence_number, at
                self.last_enqueued_ms = record.enqueued_ms
        self.end = whole_end
        return whole_end > start or start == self.base

    def _walk(self, offset: int) -> Iterator[tuple[int, Record, bytes]]:
        """Yield the records from an offset on, each with its offset and the chunk that it lies in."""
        while offset < self.end:
            chunk, after = self.read(offset), offset
            for record in records(chunk):
                yield offset + record.at, record, chunk
                after = offset + record.end
            if after == offset:
                return
            offset = after

    def _before(self, keys: "array[int]", key: int) -> int:
        """Return the indexed offset from which a walk meets the first record beyond `key`."""
        place = bisect_right(keys, key)
        return self._offsets[place - 1] if place else self.base

    def _note(self, sequence_number: int, enqueued_ms: int, offset: int) -> None:
        if self._offsets and offset - self._offsets[-1] < INDEX_STEP:
            return
        self._remember(sequence_number, enqueued_ms, offset)
        _write_all(self._index, _ENTRY.pack(sequence_number, enqueued_ms, offset))

    def _remember(self, sequence_number: int, enqueued_ms: int, offset: int) -> None:
        self._sequences.append(sequence_number)
        self._times.append(enqueued_ms)
        self._offsets.append(offset)

    def _load_index(self, size: int) -> None:
        raw = os.pread(self._index, os.fstat(self._index).st_size, 0) if size else b""
        usable = len(raw) - len(raw) % _ENTRY.size
        for entry in _ENTRY.iter_unpack(raw[:usable]):
            lowest = self._offsets[-1] + 1 if self._offsets else self.base
            highest = self.base + size - 1 if self._offsets else self.base
            if not lowest <= entry[2] <= highest:
                self._forget_index()
                return
            self._remember(*entry)
        os.ftruncate(self._index, usable)

    def _forget_index(self) -> None:
        os.ftruncate(self._index, 0)
        for column in (self._sequences, self._times, self._offsets):
            del column[:]


def _open_to_append(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
