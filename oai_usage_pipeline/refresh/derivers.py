"""Processes that derive bronze rows beside this one: Python derives on one core, however many there are.

Belongs here: handing rows to them and taking silver back, in order, with few rows on their way at once. They
share nothing and write nothing: whoever asked commits. What they do is `deriver_process`.
"""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Self

import polars as pl

from oai_usage_pipeline.errors import LakeUnavailable
from oai_usage_pipeline.refresh.deriver_process import receive, send

LEAST_ROWS = 20_000
"""The first so many are derived here: to start a process takes as long as to derive some 5,000."""

MOST_BYTES = 16 << 20
"""Of bronze on its way to one process; two such parts a process are in memory, and their copies there."""

PIPE_BYTES = 1 << 20
COMMAND = (sys.executable, "-m", "oai_usage_pipeline.refresh.deriver_process")


class Derivers:
    """As many processes as cores, none before it is worth it; leaving the context ends them."""

    def __init__(self, processes: int | None = None) -> None:
        self.processes = len(os.sched_getaffinity(0)) if processes is None else processes
        self._rows = 0
        self._running: list[subprocess.Popen[bytes]] = []
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def derive(
        self, here: Callable[[pl.DataFrame], pl.DataFrame], bronze: Iterator[pl.DataFrame], rows: int
    ) -> Iterator[pl.DataFrame]:
        """Silver of bronze frames of so many rows, in their order.

        Until there were many, they are derived by `here`, in this process. Raises LakeUnavailable when a
        process ends, as one does that gets no memory; the next call starts others.
        """
        self._rows += rows
        if self.processes < 2 or self._rows < LEAST_ROWS:
            return map(here, bronze)
        self._start()
        return self._derived(bronze)

    def _end(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()
        self._running = []
        self._free = SimpleQueue()

    def _start(self) -> None:
        if any(process.poll() is not None for process in self._running):
            self._end()
        while len(self._running) < self.processes:
            # A session of its own: Ctrl-C reaches only us. When we are gone, its input ends, and so does it.
            process = subprocess.Popen(  # nosec B603 # noqa: S603 - our own command
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pipesize=PIPE_BYTES,
                start_new_session=True,
            )
            self._running.append(process)
            self._free.put(process)

    def _derived(self, bronze: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        under_way: deque[Future[pl.DataFrame]] = deque()
        with ThreadPoolExecutor(self.processes, thread_name_prefix="derivers") as threads:
            for frame in bronze:
                for part in _parts(frame):
                    under_way.append(threads.submit(self._elsewhere, part))
                    if len(under_way) > self.processes:
                        yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()

    def _elsewhere(self, part: pl.DataFrame) -> pl.DataFrame:
        process = self._free.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            send(process.stdin, part)
            silver = receive(process.stdout)
        except OSError:
            silver = None
        # One that has ended, too: whoever waits for it must hear of that.
        self._free.put(process)
        if silver is None:
            raise LakeUnavailable(
                f"A process that derives rows beside this one ended with status {process.wait()}: was there "
                "too little memory? What was committed stays; the day is tried again"
            )
        return silver


def _parts(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A frame in parts of MOST_BYTES at most, as far as its rows are alike."""
    parts = int(frame.estimated_size()) // MOST_BYTES + 1
    return frame.iter_slices(-(-len(frame) // parts) or 1)
