"""Dagster's processes apart, as production runs them, so that each can be killed and started by itself.

Belongs here: a webserver and a daemon as children of a test, and their code servers. What they do is
asked of the webserver (`dagster_server`).
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from oai_usage_pipeline.orchestration.instance import dagster_instance
from oai_usage_pipeline_tests.orchestration.dagster_server import REPOSITORY, DagsterServer, free_port

WORKSPACE = str(REPOSITORY / "workspace.yaml")


class DagsterProcesses:
    """A webserver and, once it is started, a daemon, with this process's environment.

    Leaving ends them and all they started.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._port = free_port()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: list[int] = []
        self.server = DagsterServer(self._port)

    def __enter__(self) -> Self:
        # The first to open a storage makes its tables; two at once fail.
        with dagster_instance():
            self.start_webserver()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions:
            with suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)
        for process in self._running.values():
            process.wait()

    def start_daemon(self) -> None:
        """Sensors, schedules, backfills and the run queue."""
        self._start("daemon", ["dagster-daemon", "run", "-w", WORKSPACE])

    def start_webserver(self) -> None:
        """The UI and GraphQL, always on the same port."""
        place = ["-h", "127.0.0.1", "-p", str(self._port)]
        self._start("webserver", ["dagster-webserver", "-w", WORKSPACE, *place])

    def kill(self, name: str) -> None:
        """SIGKILL the daemon or the webserver; what it started lives on."""
        self._running[name].kill()
        self._running[name].wait()

    def code_servers(self) -> list[psutil.Process]:
        """The processes that hold our code for the daemon and the webserver."""
        alive = [each for each in self._running.values() if each.poll() is None]
        children = [child for each in alive for child in psutil.Process(each.pid).children()]
        return [each for each in children if _is_code_server(each)]

    def _start(self, name: str, command: list[str]) -> None:
        executable = str(Path(sys.executable).parent / command[0])
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [executable, *command[1:]], stdout=log, stderr=log, start_new_session=True
            )
        self._sessions.append(self._running[name].pid)


def _is_code_server(process: psutil.Process) -> bool:
    try:
        return "grpc" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
