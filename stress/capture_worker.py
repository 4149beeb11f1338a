"""Captures that are made to be killed: real processes with the real SDK, forked so that each starts cheaply.

A worker process imports everything and does nothing else; each capture is a fork of it and so a process
of its own, without the second that importing takes. The worker must stay without threads, so whoever
judges the lake does so elsewhere. Belongs here: starting, ending and asking. When to kill is for `kills`.
"""

import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from oai_usage_pipeline.tables import OPENAI_EVENTS

NOTE = struct.Struct("=dq")
"""What a capture notes where its worker can read it after its death: time of the first commit, commits."""

FAILED = 3
IN_MOVED_TO = 0x80


@dataclass(frozen=True)
class Ended:
    """How a capture ended: its exit status (a signal's number negative), the seconds from its start to its
    first commit (None: it made none), and how many commits it knew to be done.
    """

    status: int
    first_commit_seconds: float | None
    commit_count: int


class CaptureWorker:
    """The worker, and the captures that it forks; a context manager that leaves none behind."""

    def __init__(self, connection_string: str) -> None:
        self._connection_string = connection_string
        self.import_seconds = 0.0
        """What a fresh interpreter needs before it can begin: to be added to what a fork takes."""

    def __enter__(self) -> Self:
        started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "stress.capture_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self._answer()
        self.import_seconds = time.monotonic() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._process.stdin, self._process.stdout:
            pass
        self._process.wait()

    def start(self, hub: str, lake: Path, *, rows: int, step: str = "never", occurrence: int = 1) -> int:
        """Fork a capture of a hub into a lake that kills itself; its process id.

        It does so when it comes to a step of the commit protocol for the n-th time; `writing` is within
        step 3, when a data file is there that no log entry names; `moment` is n hundredths of a second
        after its first commit has begun, wherever it then is; `never` lets it be.
        """
        return int(
            self._ask(
                do="start",
                connection_string=self._connection_string,
                hub=hub,
                lake=str(lake),
                rows=rows,
                step=step,
                occurrence=occurrence,
            )["pid"]
        )

    def wait(self, pid: int) -> Ended:
        """Wait for a capture's end."""
        return Ended(**self._ask(do="wait", pid=pid))

    def _ask(self, **question: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON can carry
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _serve() -> None:
    """Be the worker: a question a line, an answer a line; whatever runs at the end is killed."""
    # Imported for the forks: none of these starts a thread that a fork would miss.
    import oai_usage_pipeline.capture.event_hub
    import oai_usage_pipeline.capture.run  # noqa: F401

    children: dict[int, tuple[float, mmap.mmap]] = {}
    _say({})
    for line in sys.stdin:
        question = json.loads(line)
        if question.pop("do") == "start":
            pid, started, note = _fork(question)
            children[pid] = (started, note)
            _say({"pid": pid})
        else:
            _say(_reap(question["pid"], *children.pop(question["pid"])))
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _fork(question: dict[str, Any]) -> tuple[int, float, mmap.mmap]:
    note, started = mmap.mmap(-1, NOTE.size), time.monotonic()
    pid = os.fork()
    if pid == 0:
        status = FAILED
        try:
            status = _capture(note, **question)
        except KeyboardInterrupt:
            status = -signal.SIGINT
        finally:
            os._exit(status & 0xFF)
    return pid, started, note


def _reap(pid: int, started: float, note: mmap.mmap) -> dict[str, Any]:
    _, status = os.waitpid(pid, 0)
    first_commit_at, commits = NOTE.unpack(note[:])
    note.close()
    return {
        "status": os.waitstatus_to_exitcode(status),
        "first_commit_seconds": first_commit_at - started if commits else None,
        "commit_count": commits,
    }


def _capture(
    note: mmap.mmap, *, connection_string: str, hub: str, lake: str, rows: int, step: str, occurrence: int
) -> int:
    """One whole capture run, as the asset does it."""
    from pydantic import SecretStr

    from oai_usage_pipeline.capture import event_hub
    from oai_usage_pipeline.capture.batch import Limits
    from oai_usage_pipeline.capture.commit import Step
    from oai_usage_pipeline.capture.run import CaptureRun
    from oai_usage_pipeline.embedded.children import interruptible
    from oai_usage_pipeline.lake.lake import Lake
    from oai_usage_pipeline.settings import Settings
    from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

    _leave_the_worker()
    seen, first_commit_at, commits = 0, 0.0, 0

    def at_step(reached: Step) -> None:
        nonlocal seen, first_commit_at, commits
        seen += reached == step
        if reached == "appended":
            commits += 1
            first_commit_at = first_commit_at or time.monotonic()
            note[:] = NOTE.pack(first_commit_at, commits)
        if seen == occurrence and reached == step:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == "moment" and reached == "opened" and commits == 0:
            threading.Thread(target=_die_after, args=(occurrence / 100,), daemon=True).start()

    if step == "writing":
        threading.Thread(target=_die_while_writing, args=(Path(lake), occurrence), daemon=True).start()
    settings = Settings(event_hub_connection_string=SecretStr(connection_string), event_hub_name=hub)
    # The SDK would hand over hundreds of events at once, and a run would be over in two commits.
    event_hub.CALLBACK_EVENTS = rows
    source = event_hub.EventHubSource(settings)
    run = CaptureRun(
        source, Lake(lake), KeyFingerprint(settings.pepper), limits=Limits(rows=rows), at_step=at_step
    )
    with interruptible():
        try:
            errors = run.execute().errors
        finally:
            source.close()
    print("\n".join(map(str, errors)), file=sys.stderr, end="")
    return FAILED if errors else 0


def _leave_the_worker() -> None:
    """The worker's pipes are not the capture's."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)


def _die_while_writing(lake: Path, occurrence: int) -> None:
    """Die when this process's n-th data file is complete, before a log entry can name it.

    Told by the kernel (inotify(7)): who looks for the file himself comes too late, since the entry
    follows within milliseconds. Delta writes under another name first and renames in the end.
    """
    import ctypes

    day = lake / OPENAI_EVENTS.name / f"{OPENAI_EVENTS.day_column}={datetime.now(UTC).date()}"
    day.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init()
    libc.inotify_add_watch(watch, str(day).encode(), IN_MOVED_TO)
    complete = 0
    while complete < occurrence:
        complete += os.read(watch, 4096).count(b".parquet")
    os.kill(os.getpid(), signal.SIGKILL)


def _die_after(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
