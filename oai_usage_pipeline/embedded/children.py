"""Child processes that end with us: started in sessions of their own, none left behind.

Belongs here: starting and ending them. What they do is theirs.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

GENTLE_SECONDS = 20.0


@contextmanager
def child(command: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command while the context lasts; then end it and every process that it started.

    It gets a session of its own, so that Ctrl-C reaches only us and the order of ending is ours.
    """
    process = subprocess.Popen(command, start_new_session=True)  # nosec B603 # noqa: S603 - our own commands
    try:
        yield process
    finally:
        _end(process)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGINT raise KeyboardInterrupt in this process and are at their default in children.

    A shell starts background jobs with SIGINT ignored; Dagster would inherit that and not stop.
    """
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GENTLE_SECONDS)
    # What its children left in the session goes too; without any this finds nothing.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
