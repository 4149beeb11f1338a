"""The azure-eventhub SDK's own live tests pass against the broker.

The suite is fetched from the SDK's source distribution when the test runs and is not part of this
project. It runs in a process of its own, with fixtures in place of its Azure resources
(`sdk_live_fixtures`) and without the tests listed in `sdk_live_deselected`.
"""

import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from oai_usage_pipeline_tests.broker.sdk_live_deselected import DESELECTED
from oai_usage_pipeline_tests.broker.tls_front import TlsFront
from oai_usage_pipeline_tests.running_broker import RunningBroker

FOLDERS = ("livetest", "pyamqp_tests/synctests", "pyamqp_tests/asynctests")
EXPECTED_TO_PASS = 198
# The tests mostly sleep: far more of them than processors run at once.
WORKERS = 28
SAS_KEY = "owner=bG9jYWwgdGVzdHMgb25seQ=="
# An address that nothing else listens on: the SDK gives no choice of port with TLS.
HOST = "127.71.71.71"
INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"


class Outcome(NamedTuple):
    """What became of a run: ids of tests that passed, ids and messages of those that did not."""

    passed: set[str]
    failed: dict[str, str]


class Suite:
    """The unpacked suite and how to run it against a broker."""

    def __init__(self, tests: Path, folder: Path, front: TlsFront) -> None:
        self._tests, self._folder = tests, folder
        folder.joinpath("pytest.ini").write_text(INI)
        self._environment = os.environ | {
            "SDK_LIVE_HOST": HOST,
            "SDK_LIVE_KEY": SAS_KEY,
            "SDK_LIVE_CERTIFICATE": str(front.certificate),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(tests)]),
        }

    def ids(self) -> set[str]:
        lines = self._pytest([*FOLDERS, "--collect-only", "-q"]).stdout.splitlines()
        return {line.removeprefix("tests/") for line in lines if "::" in line}

    def run(self, ids: Sequence[str], hubs: str, workers: int) -> Outcome:
        report = self._folder / f"{hubs}.xml"
        arguments = self._folder / f"{hubs}.txt"
        arguments.write_text("\n".join(ids))
        self._environment["SDK_LIVE_HUBS"] = hubs
        options = [
            f"@{arguments}",
            "-n",
            str(workers),
            "--maxschedchunk=1",
            "--timeout=120",
            "-q",
            f"--junitxml={report}",
        ]
        result = self._pytest(options)
        assert report.exists(), result.stdout
        return read_outcome(report)

    def _pytest(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "pytest", "-c", str(self._folder / "pytest.ini")]
        command += [f"--rootdir={self._tests.parent}", "--noconftest", "--import-mode=importlib"]
        command += ["-p", "oai_usage_pipeline_tests.broker.sdk_live_fixtures", "-p", "no:cacheprovider"]
        return subprocess.run(
            [*command, *arguments], cwd=self._tests, env=self._environment, text=True, capture_output=True
        )


def slowest_first(name: str) -> tuple[bool, str]:
    """The tests that wait for a minute must not be the last to start."""
    return not ("event_position" in name or "invalid_hostname" in name or "timing" in name), name


def read_outcome(report: Path) -> Outcome:
    outcome = Outcome(set(), {})
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = (
            case.attrib["classname"].removeprefix("tests.").replace(".", "/") + ".py::" + case.attrib["name"]
        )
        trouble = next((child for child in case if child.tag in ("failure", "error")), None)
        if trouble is not None:
            outcome.failed[name] = trouble.attrib.get("message", "")[:500]
        elif case.find("skipped") is None:
            outcome.passed.add(name)
    return outcome


@pytest.fixture(scope="session")
def sdk_tests(request: pytest.FixtureRequest) -> Path:
    """The `tests` folder of the SDK's source distribution; skips when it can't be fetched."""
    assert request.config.cache is not None
    cache = request.config.cache.mkdir("azure-eventhub-source")
    installed = version("azure-eventhub")
    if not (archive := _archive(cache, installed)):
        # The first way needs what builds the SDK to be fetched too, the second needs it installed.
        for way in ((), ("--no-build-isolation",)):
            if not archive:
                _download(cache, installed, way)
                archive = _archive(cache, installed)
    if not archive:
        pytest.skip("pip could not fetch the source distribution of azure-eventhub")
    folder = archive.with_name(f"unpacked-{installed}")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return next(folder.glob("*/tests"))


def _archive(cache: Path, installed: str) -> Path | None:
    return next(cache.glob(f"azure[-_]eventhub-{installed}.tar.gz"), None)


def _download(cache: Path, installed: str, options: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--no-binary",
        "azure-eventhub",
        f"azure-eventhub=={installed}",
        "--dest",
        str(cache),
        *options,
    ]
    # Whatever goes wrong, a missing archive says enough.
    subprocess.run(command, capture_output=True, timeout=120, check=False)


@pytest.mark.sdk_live
@pytest.mark.timeout(600)
def test_the_sdks_own_live_tests_pass(sdk_tests: Path, tmp_path: Path) -> None:
    hubs = [f"first{number}" for number in range(250)] + [f"again{number}" for number in range(50)]
    broker = RunningBroker(tmp_path / "data", hubs, partitions=2, options=["--sas-key", SAS_KEY])
    with broker, TlsFront(HOST, broker.port, tmp_path) as front:
        suite = Suite(sdk_tests, tmp_path, front)
        ids = suite.ids()
        assert set(DESELECTED) <= ids, "a deselected test is gone: take it off the list"
        first = suite.run(sorted(ids - set(DESELECTED), key=slowest_first), "first", WORKERS)
        # They wait a fixed time for things to happen; a busy machine gets a second chance.
        again = suite.run(sorted(first.failed), "again", 4) if first.failed else Outcome(set(), {})
    assert again.failed == {}
    passed = first.passed | again.passed
    assert len(passed) >= EXPECTED_TO_PASS, f"{len(passed)} passed"
