"""What waits between the readers and the committer, bounded by bytes.

Belongs here: how much may be in memory and when enough has gathered for a commit. What a row is,
and how it is committed, does not.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from oai_usage_pipeline.capture.landing import LandedRow

BATCH_ROWS = 20_000
BATCH_BYTES = 32 * 2**20
BATCH_SECONDS = 5.0
MEMORY_BYTES = 3 * BATCH_BYTES
"""Bytes of event bodies in memory at most: one batch gathering, one being written, one in reserve."""


@dataclass
class Batch:
    """Landed rows on their way into one commit, with the bytes that they hold."""

    rows: list[LandedRow] = field(default_factory=list)
    byte_count: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it is worth a commit of its own whatever its age."""
        return len(self.rows) >= BATCH_ROWS or self.byte_count >= BATCH_BYTES


class Intake:
    """Many readers put rows in, one committer takes batches out; readers wait while memory is full.

    A batch is given out when it has enough rows or bytes, when `batch_seconds` have passed since
    the last one, or when the last reader has left.
    """

    def __init__(
        self,
        readers: int,
        memory_bytes: int = MEMORY_BYTES,
        batch_seconds: float = BATCH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._changed = threading.Condition()
        self._readers = readers
        self._memory_bytes = memory_bytes
        self._batch_seconds = batch_seconds
        self._clock = clock
        self._held_bytes = 0
        self._waiting: deque[tuple[Sequence[LandedRow], int]] = deque()
        self._is_closed = False

    def put(self, rows: Sequence[LandedRow], byte_count: int) -> bool:
        """Hand rows over, waiting for room; False when the committer has given up."""
        with self._changed:
            # A single chunk larger than the bound must still pass, alone.
            while self._held_bytes and self._held_bytes + byte_count > self._memory_bytes:
                if self._is_closed:
                    return False
                self._changed.wait()
            if self._is_closed:
                return False
            self._held_bytes += byte_count
            self._waiting.append((rows, byte_count))
            self._changed.notify_all()
            return True

    def reader_left(self) -> None:
        """One reader puts nothing more."""
        with self._changed:
            self._readers -= 1
            self._changed.notify_all()

    def next_batch(self) -> Batch | None:
        """The next batch, or None when every reader has left and nothing waits."""
        batch = Batch()
        deadline = self._clock() + self._batch_seconds
        with self._changed:
            while not batch.is_full:
                if self._waiting:
                    rows, byte_count = self._waiting.popleft()
                    batch.rows.extend(rows)
                    batch.byte_count += byte_count
                elif self._readers == 0:
                    break
                else:
                    remaining = deadline - self._clock()
                    if batch.rows and remaining <= 0:
                        break
                    self._changed.wait(timeout=remaining if batch.rows else None)
        return batch if batch.rows else None

    def release(self, batch: Batch) -> None:
        """The batch's bytes are out of memory: readers may go on."""
        with self._changed:
            self._held_bytes -= batch.byte_count
            self._changed.notify_all()

    def close(self) -> None:
        """The committer gives up: readers are sent away."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
