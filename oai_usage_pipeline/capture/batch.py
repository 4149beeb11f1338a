"""What waits between the readers and the committer, bounded by bytes.

Belongs here: how much may be in memory and when enough has gathered for a commit. What a row is,
and how it is committed, does not.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from oai_usage_pipeline.capture.landing import LandedRow


@dataclass(frozen=True)
class Limits:
    """When a batch is worth a commit: `rows`, `bytes` of event bodies, or `seconds` of age, whichever
    comes first; and how many bytes of bodies may be in memory at all.

    The defaults keep commits well above the 5,000 rows from which Delta writes at full speed, and a
    run below 600 MB: one batch gathering, one being written, one in reserve.
    """

    rows: int = 20_000
    bytes: int = 32 * 2**20
    seconds: float = 5.0
    memory_bytes: int = 96 * 2**20


@dataclass
class Batch:
    """Landed rows on their way into one commit, with the bytes that they hold."""

    rows: list[LandedRow] = field(default_factory=list)
    byte_count: int = 0


class Intake:
    """Many readers put rows in, one committer takes batches out; readers wait while memory is full.

    A batch is given out when it reaches one of the limits, or when the last reader has left.
    """

    def __init__(
        self, readers: Iterable[str], limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._changed = threading.Condition()
        self._readers = set(readers)
        self._limits = limits
        self._clock = clock
        self._held_bytes = 0
        self._waiting: deque[tuple[Sequence[LandedRow], int]] = deque()
        self._is_closed = False

    def put(self, rows: Sequence[LandedRow], byte_count: int) -> bool:
        """Hand rows over, waiting for room; False when the committer has given up."""
        with self._changed:
            # A single chunk larger than the bound must still pass, alone.
            while self._held_bytes and self._held_bytes + byte_count > self._limits.memory_bytes:
                if self._is_closed:
                    return False
                self._changed.wait()
            if self._is_closed:
                return False
            self._held_bytes += byte_count
            self._waiting.append((rows, byte_count))
            self._changed.notify_all()
            return True

    def reader_left(self, reader: str) -> None:
        """The reader of that name puts nothing more; saying so twice does no harm."""
        with self._changed:
            self._readers.discard(reader)
            self._changed.notify_all()

    def next_batch(self) -> Batch | None:
        """The next batch, or None when every reader has left and nothing waits."""
        batch = Batch()
        deadline = self._clock() + self._limits.seconds
        with self._changed:
            while len(batch.rows) < self._limits.rows and batch.byte_count < self._limits.bytes:
                if self._waiting:
                    rows, byte_count = self._waiting.popleft()
                    batch.rows.extend(rows)
                    batch.byte_count += byte_count
                elif not self._readers:
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
