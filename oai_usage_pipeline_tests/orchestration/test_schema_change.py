"""A contract changes on a lake with weeks of history, for real: by Dagster's own processes, over GraphQL."""

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import psutil
import pytest
from polars.testing import assert_frame_equal

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.embedded.stack import EmbeddedStack
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.days import LONGEST_RANGE_DAYS, ranges
from oai_usage_pipeline.orchestration.instance import dagster_home, dagster_instance
from oai_usage_pipeline.orchestration.sensors import all_stale_days
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY, USAGE_COST_HOURLY, USAGE_EVENTS, TableContract
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake
from oai_usage_pipeline_tests.orchestration import former_version
from oai_usage_pipeline_tests.orchestration.dagster_processes import DagsterProcesses
from oai_usage_pipeline_tests.orchestration.dagster_server import Answer, DagsterServer
from oai_usage_pipeline_tests.orchestration.test_dagster_dev import LOADED, end_of, nodes
from oai_usage_pipeline_tests.orchestration.test_dagster_faults import (
    CANCEL,
    calls_in_gold,
    launched,
    status,
    wait_until,
)
from oai_usage_pipeline_tests.orchestration.weeks_of_history import fill

DAYS = 21
EVENTS_A_DAY = 150
TABLES = (USAGE_EVENTS, TOKEN_USAGE_HOURLY, USAGE_COST_HOURLY)
FIGURES = {
    USAGE_EVENTS.name: (
        pl.len(),
        pl.col("schema_version").min(),
        pl.col("schema_version").max().alias("newest"),
    ),
    TOKEN_USAGE_HOURLY.name: (pl.col("request_count").sum(), pl.col("input_tokens").sum()),
    USAGE_COST_HOURLY.name: (pl.len(), pl.col("quantity").sum()),
}
"""What tells a day as the former version made it from today's, and both from half a day."""

STATES = """query ($days: [String!]!) { assetNodeOrError(assetKey: {path: ["usage_events"]}) {
  ... on AssetNode { staleCausesByPartition(partitions: $days) { category reason } } } }"""
SENSORS = """{ repositoriesOrError { ... on RepositoryConnection { nodes { sensors { name id } } } } }"""
STOP = "mutation ($id: String!) { stopSensor(id: $id) { __typename } }"
START = """mutation ($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }"""
CHECK = """mutation ($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {mode: "default", selector: $selector}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
FOUND = """{ assetCheckExecutions(
  assetKey: {path: ["token_usage_hourly"]}, checkName: "days_are_current", limit: 1) { evaluation {
    success metadataEntries { label ... on TextMetadataEntry { text }
      ... on TableMetadataEntry { table { records } } } } } }"""
NOTED = dg.DagsterEventType.ENGINE_EVENT

Figures = dict[str, list[Any]]
"""By day."""


@pytest.mark.timeout(900)
def test_history_follows_a_new_contract_while_backfills_are_killed_and_overtaken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    """One test: each part goes on from where the one before has left the lake."""
    stack = EmbeddedStack(tmp_path / "stack", 2)
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    fill(stack, noon - timedelta(days=DAYS), DAYS, EVENTS_A_DAY)
    days = [(noon - timedelta(days=number)).date().isoformat() for number in range(DAYS, 0, -1)]
    with stack.running() as broker:
        lake = EmbeddedLake(stack, broker)
        dagster_home()
        former_version.run_former_version(tmp_path / "former")
        tables = [
            (each, version(lake, each), figures(lake.pipeline.lake().existing(each).scan(), each))
            for each in TABLES
        ]
        calls = DAYS * EVENTS_A_DAY
        with DagsterProcesses(tmp_path) as dagster, dagster_instance() as instance:
            place = asked_to_leave_days_alone(dagster.server)
            dagster.start_daemon()
            with subtests.test("the UI tells which days are stale, how many events and about how long"):
                assert states(dagster.server, days) == {"CODE"}
                assert_is_told(check(dagster.server, place), days)
            first_days = days[:LONGEST_RANGE_DAYS]
            first = launched(dagster, first_days)
            stopped = process_of_run(instance, first, lake, first_days)
            suspend(stopped, Path(instance.root_directory))
            with subtests.test("a live pass overtakes a backfill at work"):
                lake.send(60)
                wait_until(lambda: calls_in_gold(lake) == calls + 60, "gold of the live pass")
                assert run_of(instance, first) == "STARTED"
            with subtests.test("cancelled and killed, it leaves each day old or new"):
                dagster.server.ask(CANCEL, id=first)
                wait_until(lambda: run_of(instance, first) == "CANCELING", "the cancelling of the run")
                stopped.kill()
                dagster.kill("daemon")
                assert silver_versions(lake, first_days) == [former_version.VERSION, USAGE_EVENTS.version]
            second = launched(dagster, days)
            dagster.start_daemon()
            dagster.server.ask(START, sensor={**place, "sensorName": "stale_days_sensor"})
            lake.send(40)
            wait_until(lambda: calls_in_gold(lake) == calls + 100, "gold of what was sent last")
            again = rebuilt_from_nothing(tmp_path / "again", lake, monkeypatch)
            with subtests.test("the other backfill does what is left, and the UI says so"):
                wait_until(lambda: status(dagster, first) == "CANCELED", "the end of the first backfill")
                wait_until(lambda: status(dagster, second) == "COMPLETED_SUCCESS", "the end of the second")
                wait_until(lambda: not all_stale_days(lake.pipeline.lake()), "every day up to date")
                assert "CODE" not in states(dagster.server, days)
        lake.run()
        with subtests.test("the lake equals a rebuild from nothing, and the ledgers"):
            for each in TABLES:
                assert_frame_equal(rows(lake.pipeline.lake(), each), rows(again, each), check_row_order=False)
            assert lake.compare().differences == []
            assert [each.sentence for each in verify(lake.pipeline.lake()) if not each.holds] == []
        for contract, since, made in tables:
            with subtests.test("no version of a table holds half a day", table=contract.name):
                assert_each_day_is_old_or_new(lake.pipeline.lake(), contract, since, days, made)


def asked_to_leave_days_alone(server: DagsterServer) -> dict[str, str]:
    """Turn the sensor of stale days off; returns where sensors and jobs are found."""
    [found] = server.wait_for(LOADED, lambda data: bool(nodes(data)))["repositoriesOrError"]["nodes"]
    [repository] = server.ask(SENSORS)["repositoriesOrError"]["nodes"]
    [sensor] = [each["id"] for each in repository["sensors"] if each["name"] == "stale_days_sensor"]
    assert server.ask(STOP, id=sensor)["stopSensor"]["__typename"] == "StopSensorMutationResult"
    return {"repositoryName": found["name"], "repositoryLocationName": found["location"]["name"]}


def states(server: DagsterServer, days: list[str]) -> set[str]:
    """Why days of silver are stale, as Dagster sees it."""
    causes = server.ask(STATES, days=days)["assetNodeOrError"]["staleCausesByPartition"]
    return {each["category"] for day in causes for each in day}


def check(server: DagsterServer, place: dict[str, str]) -> Answer:
    """Run the check of days from the UI; returns what is shown of it."""
    key = {"assetKey": {"path": ["token_usage_hourly"]}, "name": "days_are_current"}
    selector = {**place, "jobName": "__ASSET_JOB", "assetSelection": [], "assetCheckSelection": [key]}
    run = server.ask(CHECK, selector=selector)["launchRun"]
    assert run["__typename"] == "LaunchRunSuccess", run
    assert end_of(server, run["run"]["runId"]) == "SUCCESS"
    [found] = server.ask(FOUND)["assetCheckExecutions"]
    evaluation: Answer = found["evaluation"]
    return evaluation


def assert_is_told(shown: Answer, days: list[str]) -> None:
    assert not shown["success"]
    entries = {each["label"]: each for each in shown["metadataEntries"]}
    assert entries["takes"]["text"].startswith("about ")
    which = ", ".join(f"{first} to {last}" for first, last in ranges(days))
    assert which in str(entries["behind"]["table"]["records"][0])


def process_of_run(
    instance: dg.DagsterInstance, backfill: str, lake: EmbeddedLake, days: list[str]
) -> psutil.Process:
    """The process of the backfill's run, once it has done its first day of silver."""
    wait_until(lambda: bool(processes_of(instance, backfill)), "a process of the run")
    process = psutil.Process(*processes_of(instance, backfill))
    # The first commit only adds the column.
    while silver_versions(lake, days) == [former_version.VERSION]:
        assert process.is_running()
        time.sleep(0.02)
    return process


def suspend(process: psutil.Process, dagster: Path) -> None:
    """Stop a process at an instant at which it keeps nobody from writing to Dagster's storage."""
    while True:
        process.suspend()
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "the stop of the process")
        if all(can_be_written(each) for each in dagster.rglob("*.db")):
            return
        process.resume()
        time.sleep(0.02)


def can_be_written(database: Path) -> bool:
    """Whether nobody holds SQLite's lock for as long as others wait for each other."""
    with closing(sqlite3.connect(database, timeout=2)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return False
        return True


def processes_of(instance: dg.DagsterInstance, backfill: str) -> set[int]:
    """Dagster notes the number of a run's process with its first event."""
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))
    noted = [each for run in runs for each in instance.all_logs(run.run_id, of_type=NOTED)]
    metadata = [each.dagster_event.engine_event_data.metadata for each in noted if each.dagster_event]
    return {int(str(each["pid"].value)) for each in metadata if "pid" in each}


def run_of(instance: dg.DagsterInstance, backfill: str) -> str:
    """The status of the backfill's run; nothing while there is none."""
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))
    return "".join(each.status.value for each in runs)


def version(lake: EmbeddedLake, contract: TableContract) -> int:
    return lake.pipeline.lake().existing(contract).version


def silver_versions(lake: EmbeddedLake, days: list[str]) -> list[int]:
    made = figures(lake.pipeline.lake().existing(USAGE_EVENTS).scan(), USAGE_EVENTS)
    assert all(made[day][1] == made[day][2] for day in days)
    return sorted({made[day][1] for day in days})


def rebuilt_from_nothing(folder: Path, lake: EmbeddedLake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Another lake that captures the same hub with today's version alone."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("OAI_USAGE_LAKE_URI", str(folder))
        lake.run()
        return lake.pipeline.lake()


def rows(lake: Lake, contract: TableContract) -> pl.DataFrame:
    return lake.existing(contract).scan().select(*contract.schema).collect()


def figures(rows: pl.LazyFrame, contract: TableContract) -> Figures:
    found = rows.group_by(pl.col(contract.day_column).cast(pl.String)).agg(*FIGURES[contract.name]).collect()
    return {day: figures for day, *figures in found.iter_rows()}


def assert_each_day_is_old_or_new(
    lake: Lake, contract: TableContract, since: int, days: list[str], before: Figures
) -> None:
    """In every version of the table since then."""
    table = lake.existing(contract)
    after = figures(table.scan(), contract)
    assert all(before[day] != after[day] for day in days)
    for number in range(since, table.version + 1):
        found = figures(pl.scan_delta(lake.uri(contract), version=number), contract)
        assert [day for day in days if found.get(day) not in (before[day], after[day])] == [], number
