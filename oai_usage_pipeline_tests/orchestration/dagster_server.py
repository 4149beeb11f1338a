"""A real `dagster dev` as a child process, spoken to over GraphQL."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from oai_usage_pipeline.embedded.children import child

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0

Answer = Any
"""GraphQL's data: nested dicts and lists, read by the test that asked for them."""


class DagsterServer:
    """The webserver's GraphQL endpoint; `pid` is what was started for it, 0 where it isn't told."""

    def __init__(self, port: int, pid: int = 0) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.pid = pid

    def ask(self, query: str, **variables: object) -> Answer:
        """The data of a query or mutation; fails with GraphQL's own errors."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            answer = json.load(reply)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def wait_for(self, query: str, accept: Callable[[Answer], bool], **variables: object) -> Answer:
        """Ask until the answer is acceptable; the last answer is shown when patience ends."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        answer: Answer = None
        while time.monotonic() < deadline:
            try:
                answer = self.ask(query, **variables)
            except (urllib.error.URLError, ConnectionError):
                # It is still starting.
                answer = None
            if answer is not None and accept(answer):
                return answer
            time.sleep(0.5)
        raise AssertionError(f"{self.url} never gave what was waited for; last it said {answer}")


@contextmanager
def dagster_dev() -> Iterator[DagsterServer]:
    """`dagster dev -w workspace.yaml`, as the README has it, with this environment; ended afterwards."""
    port = free_port()
    dagster = str(Path(sys.executable).parent / "dagster")
    command = [dagster, "dev", "-w", str(REPOSITORY / "workspace.yaml"), "-p", str(port)]
    with child(command) as process:
        yield DagsterServer(port, process.pid)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening_addresses(pid: int) -> set[str]:
    """The addresses on which a process, and all that it started, can be reached over TCP."""
    parent = psutil.Process(pid)
    connections = [each for one in (parent, *parent.children(recursive=True)) for each in _connections(one)]
    return {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}


def _connections(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections(kind="inet"))
    except psutil.NoSuchProcess:
        return []


def processes_naming(text: str) -> list[str]:
    """Command lines of other processes that contain the text."""
    listed = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if text in line and str(os.getpid()) != line.split()[0]]
