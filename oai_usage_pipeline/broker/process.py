"""A broker as a child process: start it, wait until it listens, end it gently or not.

Belongs here: what tests and the demo need to run a broker beside themselves.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from oai_usage_pipeline.broker.errors import BrokerError

_PORT = re.compile(r"Endpoint=sb://.*:(\d+);")


class BrokerProcess:
    """A broker in a process of its own, on a free port that it keeps over restarts.

    A context manager: entering starts it, leaving stops it.
    """

    def __init__(
        self, data: Path, hubs: Sequence[str] = ("hub",), partitions: int = 4, options: Sequence[str] = ()
    ) -> None:
        """`options` are further options of `oai-usage broker`."""
        self.data = data
        self.hubs = tuple(hubs)
        self.partitions = partitions
        self.options = tuple(options)
        self.port = 0
        self.connection_string = ""
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id; raises BrokerError when it is not running."""
        return self._running().pid

    def start(self) -> None:
        """Start it and return when it listens; raises BrokerError with what it said when it ends first."""
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed when the process is reaped
        self._process = subprocess.Popen(  # nosec B603 # noqa: S603 - this very interpreter
            self._command(), stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        found = _PORT.match(line)
        if found is None:
            status, said = self._reap()
            raise BrokerError(f"The broker ended with status {status} before it listened: {said}")
        self.connection_string, self.port = line, int(found[1])

    def stop(self, timeout: float = 10) -> int:
        """End it with SIGTERM and return its exit status; kills it after `timeout` seconds.

        Does nothing (status 0) when it is not running.
        """
        if self._process is None:
            return 0
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        if self._process.poll() is None:
            self._process.kill()
        return self._reap()[0]

    def kill(self) -> None:
        """End it with SIGKILL and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self._reap()

    def wait(self, timeout: float = 10) -> int:
        """Wait until it has ended by itself and return its exit status; raises TimeoutExpired."""
        self._running().wait(timeout)
        return self._reap()[0]

    def said(self) -> str:
        """Return what the running broker has written on its standard error."""
        self._running()
        assert self._errors is not None
        size = os.fstat(self._errors.fileno()).st_size
        return os.pread(self._errors.fileno(), size, 0).decode("utf-8", "replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._running().send_signal(number)

    def restart(self, partitions: int | None = None) -> None:
        """Start it again on the same port and data, stopping it first if it runs."""
        self.stop()
        self.partitions = partitions or self.partitions
        self.start()

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            raise BrokerError("The broker is not running.")
        return self._process

    def _command(self) -> list[str]:
        command = [sys.executable, "-c", "from oai_usage_pipeline.cli import main; main()", "broker"]
        command += ["--port", str(self.port), "--data", str(self.data), "--partitions", str(self.partitions)]
        for hub in self.hubs:
            command += ["--hub", hub]
        return [*command, *self.options]

    def _reap(self) -> tuple[int, str]:
        process, errors = self._running(), self._errors
        assert errors is not None
        assert process.stdout is not None
        with process.stdout, errors:
            status = process.wait()
            errors.seek(0)
            said = errors.read().strip()
        self._process = None
        return status, said
