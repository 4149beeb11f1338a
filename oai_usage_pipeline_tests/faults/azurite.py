"""Azurite, Microsoft's stand-in for Azure Blob Storage, as a store for tests: real conditional puts.

Belongs here: installing it once, running it on a free port of loopback, and the lakes that lie in it.
It needs node and npm; `why_not` says when they are absent. Telemetry is off.
"""

import re
import shutil
import signal
import subprocess
import sys
import uuid
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from azure.storage.blob import ContainerClient

from oai_usage_pipeline.lake.lake import Lake

VERSION = "3.37.0"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has; the key is public, in Microsoft's documentation."""

CONTAINER = "lake"
FOLDER = Path(sys.prefix) / f"azurite-{VERSION}"
MAIN = FOLDER / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
OPTIONS = ("--blobHost", "127.0.0.1", "--blobPort", "0", "--silent", "--disableTelemetry")
INSTALL = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error")
LISTENS = re.compile(r"successfully listens on http://127\.0\.0\.1:(\d+)")


@cache
def why_not() -> str | None:
    """Why Azurite can't be had here, None when it can; installs it beside the packages at the first call."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are absent: Azurite can't be started"
    with FileLock(FOLDER.with_suffix(".lock")):
        if MAIN.exists():
            return None
        command = ["npm", "install", "--prefix", str(FOLDER), f"azurite@{VERSION}", *INSTALL]
        installed = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if installed.returncode == 0 else f"npm can't install Azurite: {installed.stderr[:300]}"


class FileLock:
    """One process at a time is inside; the others wait."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        import fcntl

        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Azurite:
    """A running Azurite with one container; what it holds is in `folder`, or in memory without one."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        url = f"http://127.0.0.1:{self.port}/{ACCOUNT}"
        with ContainerClient(url, CONTAINER, credential=KEY) as client:
            client.create_container()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, again too, on a free port: `port` changes."""
        where = ["--location", str(self._folder)] if self._folder else ["--inMemoryPersistence"]
        command = ["node", str(MAIN), *OPTIONS, "--skipApiVersionCheck", *where]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if found := LISTENS.search(line):
                self.port = int(found[1])
                return
        raise RuntimeError(f"Azurite ended: {''.join(said)[:500]}")

    def stop(self) -> None:
        """End it; with a folder, it keeps what it holds."""
        self._process.send_signal(signal.SIGTERM if self._folder else signal.SIGKILL)
        self._process.communicate(timeout=30)

    def pause(self) -> None:
        """It answers nothing more, with its connections open, until `resume`."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._process.send_signal(signal.SIGCONT)


def new_location() -> str:
    """A place in the container where no lake was before."""
    return f"az://{CONTAINER}/{uuid.uuid4().hex}"


def storage_options(port: int, **more: str) -> dict[str, str]:
    """What a lake needs to be reached at that port of Azurite, or of a proxy before it."""
    return {
        "account_name": ACCOUNT,
        "account_key": KEY,
        "endpoint": f"http://127.0.0.1:{port}/{ACCOUNT}",
        "allow_http": "true",
        **more,
    }


def lake_at(port: int, location: str, **more: str) -> Lake:
    """The lake at a location, through that port; further storage options as given."""
    return Lake(location, storage_options(port, **more))
