"""How fast to send: chunk by chunk, each when it is due, and an end that can be asked for.

Knows nothing of events or hubs. Time comes from outside, so that tests need not wait.
"""

import threading
import time
from collections.abc import Callable, Iterator

UNPACED_CHUNK = 4000
"""Events a chunk when there is no rate: enough to fill a batch for each partition key."""

CHUNKS_PER_SECOND = 4


class Pace:
    """Sizes of chunks, each given out when it is due; a chunk that is late is not waited for."""

    def __init__(
        self,
        rate: float | None = None,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """`rate` in events a second, None for as fast as possible; `wait` takes seconds.

        Setting `stop` ends the pace, also in the middle of a wait.
        """
        self._rate = rate
        self.stop = stop or threading.Event()
        self._clock = clock
        self._wait = wait or self.stop.wait

    def chunks(self) -> Iterator[int]:
        """Endless chunk sizes until `stop` is set."""
        size = self._size()
        due = self._clock()
        while not self.stop.is_set():
            yield size
            if self._rate is not None:
                due += size / self._rate
                self._wait(max(0.0, due - self._clock()))

    def _size(self) -> int:
        if self._rate is None:
            return UNPACED_CHUNK
        return max(1, min(UNPACED_CHUNK, round(self._rate / CHUNKS_PER_SECOND)))
