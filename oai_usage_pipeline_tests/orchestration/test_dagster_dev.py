"""The UI's processes for real: sensors turn traffic into gold, jobs are launched over GraphQL."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.orchestration.health_asset import pipeline_health_asset
from oai_usage_pipeline.orchestration.instance import dagster_home, dagster_instance
from oai_usage_pipeline.orchestration.sensors import all_stale_months
from oai_usage_pipeline.tables import CHARGEBACK_MONTHLY
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake
from oai_usage_pipeline_tests.orchestration.dagster_server import (
    DagsterServer,
    dagster_dev,
    free_port,
    listening_addresses,
    processes_naming,
)

LOADED = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
ASSETS = """{ assetNodes { assetKey { path }
  assetChecksOrError { ... on AssetChecks { checks { name
    executionForLatestMaterialization { status evaluation { success description } } } } } } }"""
LAUNCH = """mutation ($job: String!, $repository: String!, $location: String!) {
  launchRun(executionParams: {mode: "default", selector: {jobName: $job, repositoryName: $repository,
    repositoryLocationName: $location}}) { __typename ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message } } }"""
OBSERVE = """mutation ($repository: String!, $location: String!) {
  launchRun(executionParams: {mode: "default", selector: {jobName: "__ASSET_JOB", repositoryName: $repository,
    repositoryLocationName: $location, assetSelection: [{path: ["pipeline_health"]}]}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


@pytest.mark.timeout(300)
def test_sensors_bring_traffic_to_gold_and_the_checks_run_from_the_ui(tmp_path: Path) -> None:
    with embedded_lake(tmp_path / "stack") as lake:
        dagster_home()
        with dagster_dev() as server:
            [repository] = server.wait_for(LOADED, lambda data: bool(nodes(data)))["repositoriesOrError"][
                "nodes"
            ]
            lake.send(300, days=2)
            server.wait_for(ASSETS, lambda _: lake.compare().total("request_count")[0] == 300)
            assert lake.compare().differences == []
            assert listening_addresses(server.pid) == {"127.0.0.1"}
            server.wait_for(ASSETS, lambda _: is_charged(lake, 300))
            launched = server.ask(
                LAUNCH,
                job="verify",
                repository=repository["name"],
                location=repository["location"]["name"],
            )["launchRun"]
            assert launched["__typename"] == "LaunchRunSuccess", launched
            assert end_of(server, launched["run"]["runId"]) == "SUCCESS"
            assets = {node["assetKey"]["path"][-1]: node for node in server.ask(ASSETS)["assetNodes"]}
            observed = server.ask(
                OBSERVE, repository=repository["name"], location=repository["location"]["name"]
            )["launchRun"]
            assert end_of(server, observed["run"]["runId"]) == "SUCCESS"
            assert health_seen_in(observed["run"]["runId"]) == []
        assert set(assets) >= {"event_hub", "token_usage_hourly", "usage_cost_hourly", "chargeback_monthly"}
        checks = assets["token_usage_hourly"]["assetChecksOrError"]["checks"]
        assert {each["name"] for each in checks} == {
            "gold_equals_silver",
            "days_are_current",
            "days_are_complete",
            "estimated_share",
        }
        assert [each.sentence for each in verify(lake.pipeline.lake()) if not each.holds] == []


def health_seen_in(run_id: str) -> list[str]:
    """Problems that a run observed; sensors have told by then what they found."""
    with dagster_instance() as instance:
        found = instance.fetch_observations(pipeline_health_asset.key, limit=10).records
        [told] = [each.event_log_entry.asset_observation for each in found if each.run_id == run_id]
    assert told is not None
    seen: dict[str, Any] = {name: getattr(each, "records", ()) for name, each in told.metadata.items()}
    looked = {each.data["name"]: each.data["looked"] for each in seen["next_runs"]}
    assert looked["backlog_sensor"].endswith("ago")
    return [str(each.data["problem"]) for each in seen["what_to_do"]]


def is_charged(lake: EmbeddedLake, calls: int) -> bool:
    """Whether the month's statement, which is made by a sensor of its own, has all calls."""
    try:
        charged = lake.pipeline.lake().existing(CHARGEBACK_MONTHLY).scan().collect()
    except NoTable:
        return False
    return int(charged["request_count"].sum()) == calls and not all_stale_months(lake.pipeline.lake())


def nodes(data: dict[str, dict[str, list[object]]]) -> list[object]:
    return data["repositoriesOrError"].get("nodes", [])


def end_of(server: DagsterServer, run_id: str) -> str:
    answer = server.wait_for(RUN, lambda data: data["runOrError"]["status"] in ENDED, id=run_id)
    status: str = answer["runOrError"]["status"]
    return status


@pytest.mark.timeout(300)
def test_definitions_load_without_a_hub_and_the_sensor_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("OAI_USAGE_")]:
        monkeypatch.delenv(name)
    nowhere = f"sb://127.0.0.1:{free_port()}"
    connection = f"Endpoint={nowhere};SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true;"
    monkeypatch.setenv("OAI_USAGE_EVENT_HUB_CONNECTION_STRING", connection)
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", str(tmp_path / "lake"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    dagster_home()
    ticks = "{ sensorsOrError: repositoriesOrError { ... on RepositoryConnection { nodes { sensors { name"
    ticks += " sensorState { ticks(limit: 1) { status skipReason } } } } } } }"

    def backlog_tick(data: dict[str, dict[str, list[dict[str, list[dict[str, object]]]]]]) -> str:
        for node in data["sensorsOrError"].get("nodes", []):
            for sensor in node["sensors"]:
                if sensor["name"] == "backlog_sensor":
                    return str(sensor["sensorState"])
        return ""

    with dagster_dev() as server:
        answer = server.wait_for(ticks, lambda data: "SKIPPED" in backlog_tick(data))
    assert "start the broker with `oai-usage broker`" in backlog_tick(answer)


@pytest.mark.timeout(300)
def test_ctrl_c_ends_the_dev_command_and_every_process_it_started(tmp_path: Path) -> None:
    folder = tmp_path / "dev-stack"
    port = free_port()
    command = [
        str(Path(sys.executable).parent / "oai-usage"),
        "dev",
        "--port",
        str(port),
        "--folder",
        str(folder),
    ]
    with (tmp_path / "log").open("w") as log:
        dev = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        DagsterServer(port).wait_for(LOADED, lambda data: bool(nodes(data)))
        assert listening_addresses(dev.pid) == {"127.0.0.1"}
        dev.send_signal(signal.SIGINT)
        assert dev.wait(timeout=60) == 0, (tmp_path / "log").read_text()
    assert processes_naming(str(folder)) == []
    assert processes_naming(f"--port {port}") == []
