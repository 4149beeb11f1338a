"""A run that starts slowly isn't taken for dead; one that was killed while it started is, as soon as any."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.storage.tags import GRPC_INFO_TAG

from oai_usage_pipeline.orchestration import liveness
from oai_usage_pipeline.orchestration.instance import dagster_instance
from oai_usage_pipeline.orchestration.liveness import (
    SIGN,
    SILENT_SECONDS,
    START_SECONDS,
    is_at_work,
    signs_of_life,
)

LOCAL: dict[str, object] = {"host": "localhost"}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@dg.job
def slow() -> None:
    """Of which only the start matters."""


def start(instance: dg.DagsterInstance, process: int | None, server: object = None) -> dg.DagsterRun:
    """A run whose start is told as Dagster does: by its code server's address, then by its process."""
    tags = {} if server is None else {GRPC_INFO_TAG: json.dumps(server)}
    run = instance.create_run_for_job(slow, status=dg.DagsterRunStatus.STARTED, tags=tags)
    told = None if process is None else EngineEventData.in_process(process)
    instance.report_engine_event("Started process for run", run, told)
    return run


def is_at_work_after(instance: dg.DagsterInstance, seconds: float) -> bool:
    return is_at_work(instance, "slow", now=time.time() + seconds)


@contextmanager
def ended(*, is_asked_for: bool = True) -> Iterator[int]:
    """A process that has ended; until somebody asks for it, it is still in the table of processes."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        if is_asked_for:
            child.wait()
        else:
            wait_until_zombie(child.pid)
        yield child.pid


def wait_until_zombie(process: int) -> None:
    wait_until(lambda: "Z (zombie)" in Path(f"/proc/{process}/status").read_text(), "its end")


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.01)


def give_sign(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """As a run does."""
    instance.report_engine_event(f"{SIGN} 10 s", run)


def test_a_run_that_has_not_come_to_its_work_has_longer(instance: dg.DagsterInstance) -> None:
    run = start(instance, os.getpid(), LOCAL)
    assert is_at_work_after(instance, SILENT_SECONDS + 30)
    assert not is_at_work_after(instance, START_SECONDS + 5)
    assert [each.status for each in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
    said = [entry.message for entry in instance.all_logs(run.run_id)]
    assert any(line.startswith("No sign of life for 12") for line in said)


def test_a_run_that_has_given_a_sign_gives_the_next_or_is_over(instance: dg.DagsterInstance) -> None:
    run = start(instance, os.getpid())
    give_sign(instance, run)
    assert is_at_work_after(instance, SILENT_SECONDS - 5)
    assert not is_at_work_after(instance, SILENT_SECONDS + 5)


@pytest.mark.parametrize("is_asked_for", [True, False], ids=["gone", "zombie"])
def test_a_run_that_was_killed_while_it_started_is_over_as_soon_as_any(
    instance: dg.DagsterInstance, *, is_asked_for: bool
) -> None:
    if not is_asked_for and not Path("/proc/self/status").exists():
        pytest.skip("without /proc a process that ended can't be told from one that runs")
    with ended(is_asked_for=is_asked_for) as process:
        start(instance, process, LOCAL)
        assert is_at_work_after(instance, SILENT_SECONDS - 5)
        assert not is_at_work_after(instance, SILENT_SECONDS + 5)


def by_path(folder: Path) -> tuple[socket.socket, dict[str, object]]:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "s"))
    return server, LOCAL | {"socket": str(folder / "s")}


def by_port(folder: Path) -> tuple[socket.socket, dict[str, object]]:
    del folder
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    return server, LOCAL | {"port": server.getsockname()[1]}


@pytest.mark.parametrize("made", [by_path, by_port])
def test_before_there_is_a_process_the_code_server_tells(
    made: Callable[[Path], tuple[socket.socket, dict[str, object]]],
    instance: dg.DagsterInstance,
    tmp_path: Path,
) -> None:
    server, address = made(tmp_path)
    server.listen()
    start(instance, None, address)
    assert is_at_work_after(instance, SILENT_SECONDS + 30)
    server.close()
    assert not is_at_work_after(instance, SILENT_SECONDS + 30)


def test_of_a_run_on_another_machine_nothing_is_known(instance: dg.DagsterInstance) -> None:
    with ended() as process:
        start(instance, process, {"host": "code.example", "port": 4266})
    assert is_at_work_after(instance, SILENT_SECONDS + 30)
    assert not is_at_work_after(instance, START_SECONDS + 5)


def test_dagster_itself_gives_up_a_start_after_the_same_time() -> None:
    shipped = files("oai_usage_pipeline.orchestration").joinpath("dagster.yaml").read_text()
    assert f"start_timeout_seconds: {START_SECONDS:.0f}\n" in shipped


def test_a_run_of_a_command_tells_its_process(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def working(context: dg.AssetExecutionContext) -> None:
        # In the middle of its own start, long after its last event.
        assert is_at_work(context.instance, context.job_name, now=time.time() + SILENT_SECONDS + 30)

    assert dg.materialize([working], instance=instance).success


def signs(context: dg.AssetExecutionContext) -> int:
    logged = context.instance.all_logs(context.run.run_id)
    return sum(entry.message.startswith(SIGN) for entry in logged)


def test_a_run_at_work_gives_signs_of_life_with_the_file_that_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(liveness, "SIGN_SECONDS", 0.05)

    @dg.asset
    def working(context: dg.AssetExecutionContext) -> None:
        with signs_of_life(context):
            wait_until(lambda: signs(context) > 0, "a sign")
        # From then on silence means that it is over.
        assert not is_at_work(context.instance, context.job_name, now=time.time() + SILENT_SECONDS + 5)

    with dagster_instance() as furnished:
        assert dg.materialize([working], instance=furnished).success


def test_signs_go_on_when_the_storage_was_away_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "SIGN_SECONDS", 0.05)

    @dg.asset
    def working(context: dg.AssetExecutionContext) -> None:
        [database] = tmp_path.rglob(f"{context.run.run_id}.db")
        failures: list[Exception] = []
        report = context.instance.report_engine_event

        def tried(message: str, run: dg.DagsterRun) -> None:
            try:
                report(message, run)
            except Exception as error:
                failures.append(error)
                raise

        monkeypatch.setattr(context.instance, "report_engine_event", tried)
        with signs_of_life(context):
            wait_until(lambda: signs(context) > 0, "a sign")
            away = database.rename(tmp_path / "away")
            database.write_text("This is no database, and for a while there is no other one. " * 100)
            wait_until(lambda: len(failures) > 1, "the second sign that failed")
            away.rename(database)
            before = signs(context)
            wait_until(lambda: signs(context) > before, "a later sign")

    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        assert dg.materialize([working], instance=instance).success
