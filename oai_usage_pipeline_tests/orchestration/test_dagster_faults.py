"""Dagster's parts fail, one by one and for real: the lake ends right without a person."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.audit.status import table_statuses
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.orchestration.instance import dagster_home, dagster_instance
from oai_usage_pipeline.orchestration.liveness import IN_FLIGHT
from oai_usage_pipeline.orchestration.passes import PassFailed, run_until_idle
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake
from oai_usage_pipeline_tests.orchestration.dagster_processes import DagsterProcesses

PATIENCE_SECONDS = 150.0
GOLD = ["usage_events", "token_usage_hourly", "usage_cost_hourly"]
BACKFILL = """mutation ($assets: [AssetKeyInput!]!, $days: [String!]!) {
  launchPartitionBackfill(backfillParams: {assetSelection: $assets, partitionNames: $days}) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
CANCEL = "mutation ($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"
STATUS = "query ($id: String!) { partitionBackfillOrError(backfillId: $id) {"
STATUS += " __typename ... on PartitionBackfill { status } } }"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[EmbeddedLake]:
    with embedded_lake(tmp_path / "stack") as running:
        dagster_home()
        yield running


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"{what} never came true"
        time.sleep(0.2)


def calls_in_gold(lake: EmbeddedLake) -> int:
    with contextlib.suppress(PipelineError):
        return int(lake.compare().total("request_count")[0])
    return 0


def assert_the_lake_is_right(lake: EmbeddedLake, calls: int) -> None:
    assert lake.compare().differences == []
    assert calls_in_gold(lake) == calls
    # Months are stated by a sensor of their own, once a minute.
    lake.run()
    assert [each.sentence for each in verify(lake.pipeline.lake()) if not each.holds] == []


def wait_for_a_run_at_work() -> None:
    # Opening the storage each time would take as long as a run does.
    with dagster_instance() as instance:
        started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        wait_until(lambda: bool(instance.get_runs(started)), "a run at work")


@pytest.mark.timeout(600)
def test_killed_daemon_code_server_and_webserver_and_cancelled_backfills_leave_the_lake_right(
    lake: EmbeddedLake, tmp_path: Path
) -> None:
    lake.send(300, days=20)
    lake.run()
    days = sorted(lake.pipeline.lake().existing(TOKEN_USAGE_HOURLY).days())
    with DagsterProcesses(tmp_path) as dagster:
        dagster.start_daemon()
        outliving = launched(dagster, days)
        lake.send(100)
        wait_for_a_run_at_work()
        dagster.kill("daemon")
        dagster.start_daemon()
        wait_until(lambda: status(dagster, outliving) == "COMPLETED_SUCCESS", "the end of the backfill")
        wait_until(lambda: calls_in_gold(lake) == 400, "gold of 400 calls")
        wait_until(lambda: len(dagster.code_servers()) == 2, "a code server of each")
        for each in dagster.code_servers():
            each.kill()
        dagster.kill("webserver")
        lake.send(100)
        dagster.start_webserver()
        cancelled = launched(dagster, days)
        dagster.server.ask(CANCEL, id=cancelled)
        wait_until(lambda: calls_in_gold(lake) == 500, "gold of 500 calls")
        wait_until(lambda: status(dagster, cancelled) in ("CANCELED", "COMPLETED"), "its end")
    assert_the_lake_is_right(lake, 500)


def launched(dagster: DagsterProcesses, days: list[str]) -> str:
    assets = [{"path": [name]} for name in GOLD]
    dagster.server.wait_for("{ version }", bool)
    answer = dagster.server.wait_for(
        BACKFILL,
        lambda data: data["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess",
        assets=assets,
        days=days,
    )
    return str(answer["launchPartitionBackfill"]["backfillId"])


def status(dagster: DagsterProcesses, backfill: str) -> str:
    return str(dagster.server.ask(STATUS, id=backfill)["partitionBackfillOrError"].get("status"))


def command() -> list[str]:
    return [str(Path(sys.executable).parent / "oai-usage"), "run", "--until-idle"]


def test_two_runs_at_once_do_the_work_once(lake: EmbeddedLake) -> None:
    lake.send(400, days=2)
    rivals = [subprocess.Popen(command(), stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [rival.wait() for rival in rivals] == [0, 0]
    assert_the_lake_is_right(lake, 400)


def test_a_run_marked_failed_that_goes_on_writing_doubles_nothing(lake: EmbeddedLake) -> None:
    lake.send(400, days=2)
    stopped = subprocess.Popen(command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: (lake.stack.lake / "openai_events").exists(), "bronze")
    stopped.send_signal(signal.SIGSTOP)
    try:
        with dagster_instance() as instance:
            for run in instance.get_runs(dg.RunsFilter(statuses=IN_FLIGHT)):
                instance.report_run_failed(run, "taken for dead")
        lake.run()
        assert calls_in_gold(lake) == 400
    finally:
        stopped.send_signal(signal.SIGCONT)
        stopped.wait()
    assert_the_lake_is_right(lake, 400)


def test_a_lost_dagster_storage_costs_its_history_and_nothing_of_the_lake(lake: EmbeddedLake) -> None:
    lake.send(200, days=2)
    lake.run()
    versions = lake_versions(lake)
    shutil.rmtree(os.environ["DAGSTER_HOME"])
    dagster_home()
    with dagster_instance() as instance:
        assert run_until_idle(instance, lake.pipeline) == 0
        assert lake_versions(lake) == versions
        lake.send(100)
        run_until_idle(instance, lake.pipeline)
    assert_the_lake_is_right(lake, 300)


def test_a_locked_dagster_storage_fails_the_run_and_the_next_one_makes_it_good(lake: EmbeddedLake) -> None:
    lake.send(200)
    with dagster_instance() as instance:
        run_until_idle(instance, lake.pipeline)
        lake.send(100)
        with locked(Path(os.environ["DAGSTER_HOME"])), pytest.raises(PassFailed, match="locked"):
            run_until_idle(instance, lake.pipeline)
        run_until_idle(instance, lake.pipeline)
    assert_the_lake_is_right(lake, 300)


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Every SQLite file of Dagster's is held by another writer."""
    with contextlib.ExitStack() as holders:
        for path in home.rglob("*.db"):
            connection = holders.enter_context(contextlib.closing(sqlite3.connect(path)))
            connection.execute("BEGIN IMMEDIATE")
        yield


def lake_versions(lake: EmbeddedLake) -> dict[str, int | None]:
    return {each.table: each.version for each in table_statuses(lake.pipeline.lake())}
