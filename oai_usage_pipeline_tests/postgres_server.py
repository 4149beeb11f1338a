"""A real Postgres, of the system's package, that lives as long as a test wants, with TLS and a password.

Belongs here: starting it, crashing it and asking it. What Dagster keeps there is for the tests.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oai_usage_pipeline_tests.orchestration.dagster_server import free_port

PATIENCE_SECONDS = 60.0
USER = "dagster"
PASSWORD = "for/these@tests%only"
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "ssl": "on",
    # A crash of its processes loses nothing by that, only one of the machine would.
    "fsync": "off",
}


class PostgresServer:
    """A server on a free loopback port; `environment` holds what deploy/dagster.yaml asks for."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        # A server refuses to run as root.
        self._owner = _unprivileged() if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(free_port()),
            "DAGSTER_PG_DB": "postgres",
            "DAGSTER_PG_USERNAME": USER,
            "DAGSTER_PG_PASSWORD": PASSWORD,
            "PGSSLROOTCERT": str(self._data / "server.crt"),
        }

    def create(self) -> None:
        """Make the data folder, with a certificate of its own."""
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._owner:
            shutil.chown(self._folder, user=self._owner)
        access = ["--username", USER, "--auth", "scram-sha-256", "--pwfile", str(password)]
        self._run(self._folder, self._programs / "initdb", *access, "--no-sync", "--pgdata", self._data)
        files = ["-keyout", "server.key", "-out", "server.crt"]
        made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        self._run(self._data, "openssl", "req", *made, *files)

    def start(self) -> None:
        """Come up, after a crash from what was on record then."""
        options = {**OPTIONS, "port": self.environment["DAGSTER_PG_PORT"]}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._data), *settings]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, user=self._owner
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._asked("select 1").returncode:
            assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def crash(self) -> None:
        """End at once: connections are cut, nothing is brought to a close."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def ask(self, question: str) -> str:
        """The first value of a query's answer."""
        asked = self._asked(question)
        assert asked.returncode == 0, asked.stderr
        return asked.stdout.strip()

    def _asked(self, question: str) -> subprocess.CompletedProcess[str]:
        address = f"host=127.0.0.1 port={self.environment['DAGSTER_PG_PORT']} user={USER} dbname=postgres"
        return subprocess.run(
            [self._programs / "psql", f"{address} sslmode=require", "-XAtc", question],
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
        )

    def _run(self, place: Path, *command: str | Path) -> None:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, user=self._owner)
        assert done.returncode == 0, done.stderr


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server, crashed and removed afterwards; skips the test where there is no Postgres."""
    programs = _programs()
    if programs is None:
        pytest.skip("Postgres is not installed (Debian: apt-get install postgresql)")
    # Not in pytest's folders, which are closed to other users than its own.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = PostgresServer(programs, Path(folder))
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.crash()


def _programs() -> Path | None:
    """The folder of the newest Postgres; Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _unprivileged() -> str:
    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
