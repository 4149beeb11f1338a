"""A webserver for viewers: it shows everything, changes nothing, and only this machine reaches it."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dagster._core.workspace.permissions import get_location_scoped_user_permissions, get_user_permissions

from oai_usage_pipeline.embedded.children import child
from oai_usage_pipeline.orchestration.instance import dagster_home
from oai_usage_pipeline_tests.orchestration.dagster_server import (
    REPOSITORY,
    DagsterServer,
    free_port,
    listening_addresses,
)
from oai_usage_pipeline_tests.orchestration.test_dagster_dev import LOADED, nodes

SCHEMA = """{ __schema { mutationType { fields { name args { name type { ...t } } type { ...t } } }
  types { name kind enumValues { name } inputFields { name defaultValue type { ...t } } } } }
  fragment t on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }"""

RUNNING = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
  sensors { sensorState { id } } schedules { scheduleState { id } } } } } }"""

VALUES = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "oai_usage_pipeline",
    "locationName": "oai_usage_pipeline",
    "jobName": "live",
    "pipelineName": "live",
    "sensorName": "backlog_sensor",
    "scheduleName": "verify_hourly",
    "metadata": "{}",
}
SCALARS: dict[str, object] = {"Int": 1, "Float": 1.0, "Boolean": True}

ERRORS = "{ __typename ... on PythonError { message } }"
SHOWN = {
    "TerminateRunsResultOrError": "{ ... on TerminateRunsResult { terminateRunResults { __typename } } }",
    "LaunchMultipleRunsResultOrError": (
        "{ ... on LaunchMultipleRunsResult { launchMultipleRunsResult { __typename } } }"
    ),
}

NOT_REFUSED = {"logTelemetry", "setNuxSeen"}
"""What a viewer may do: neither touches runs, sensors or data (the first is off, see `dagster.yaml`)."""

LOOKS_UP_FIRST = {
    "cancelPartitionBackfill",
    "launchPipelineReexecution",
    "launchRunReexecution",
    "reexecutePartitionBackfill",
    "resumePartitionBackfill",
}
"""What asks for its run or backfill before it asks for the permission, and finds none here; the permission is
off all the same."""


@contextmanager
def viewers(folder: Path) -> Iterator[DagsterServer]:
    """`dagster-webserver --read-only` as SECURITY.md has it, on an instance of its own."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(folder / "home"))
        environment.setenv("DAGSTER_HOME", str(folder / "dagster"))
        environment.setenv("OAI_USAGE_LAKE_URI", str(folder / "lake"))
        environment.delenv("DAGSTER_DISABLE_TELEMETRY", raising=False)
        dagster_home()
        port = free_port()
        executable = str(Path(sys.executable).parent / "dagster-webserver")
        options = ["-w", str(REPOSITORY / "workspace.yaml"), "--read-only", "-p", str(port)]
        with child([executable, *options]) as process:
            server = DagsterServer(port, process.pid)
            server.wait_for(LOADED, lambda data: bool(nodes(data)))
            yield server


def answer(server: DagsterServer, query: str, variables: Mapping[str, object]) -> str:
    """The whole answer as text, errors too."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{server.url}/graphql", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return str(reply.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


class Mutations:
    """Every mutation that the webserver has, with arguments of the right types; `ids` by mutation."""

    def __init__(self, schema: Any, ids: Mapping[str, str]) -> None:
        self._ids = ids
        self.fields = schema["mutationType"]["fields"]
        self._types = {each["name"]: each for each in schema["types"]}

    def query(self, field: Any) -> tuple[str, dict[str, object]]:
        """The text of one, and its variables."""
        names = [each["name"] for each in field["args"]]
        declared = ", ".join(f"${each['name']}: {self._written(each['type'])}" for each in field["args"])
        given = ", ".join(f"{name}: ${name}" for name in names)
        signature = (f"({declared})", f"({given})") if names else ("", "")
        result = field["type"]
        while result["ofType"]:
            result = result["ofType"]
        shown = "" if result["kind"] in ("SCALAR", "ENUM") else SHOWN.get(result["name"], ERRORS)
        text = f"mutation {signature[0]} {{ {field['name']}{signature[1]} {shown} }}"
        values = {each["name"]: self._value(each["name"], each["type"]) for each in field["args"]}
        if field["name"] in self._ids:
            values = {"id": self._ids[field["name"]]}
        return text, values

    def _written(self, kind: Any) -> str:
        if kind["kind"] == "NON_NULL":
            return self._written(kind["ofType"]) + "!"
        if kind["kind"] == "LIST":
            return f"[{self._written(kind['ofType'])}]"
        return str(kind["name"])

    def _value(self, name: str, kind: Any) -> object:
        if kind["kind"] == "NON_NULL":
            return self._value(name, kind["ofType"])
        if kind["kind"] == "LIST":
            return [self._value(name, kind["ofType"])]
        found = self._types[kind["name"]]
        if found["kind"] == "ENUM":
            return found["enumValues"][0]["name"]
        if found["kind"] == "INPUT_OBJECT":
            return {
                each["name"]: self._value(each["name"], each["type"])
                for each in found["inputFields"]
                if each["type"]["kind"] == "NON_NULL" or each["name"] in VALUES or "elector" in each["name"]
            }
        return SCALARS.get(found["name"], VALUES.get(name, "x"))


@pytest.mark.timeout(300)
def test_a_webserver_for_viewers_changes_nothing_is_local_and_collects_nothing(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    with viewers(tmp_path) as server:
        with subtests.test("it refuses every mutation that changes anything"):
            assert_mutations_are_refused(server)
        with subtests.test("it listens on this machine only, as it isn't told otherwise"):
            assert listening_addresses(server.pid) == {"127.0.0.1"}
        with subtests.test("no telemetry is collected"):
            assert not (tmp_path / "home" / ".dagster").exists()
            assert list((tmp_path / "dagster" / "logs").glob("*")) == []


def assert_mutations_are_refused(server: DagsterServer) -> None:
    [found] = server.ask(RUNNING)["repositoriesOrError"]["nodes"]
    ids = {
        "stopSensor": found["sensors"][0]["sensorState"]["id"],
        "stopRunningSchedule": found["schedules"][0]["scheduleState"]["id"],
    }
    mutations = Mutations(server.ask(SCHEMA)["__schema"], ids)
    answers = {
        field["name"]: answer(server, *mutations.query(field))
        for field in mutations.fields
        if field["name"] not in NOT_REFUSED
    }
    assert len(answers) > 30
    failed = {name: said for name, said in answers.items() if "UnauthorizedError" not in said}
    assert sorted(failed) == sorted(LOOKS_UP_FIRST)
    assert [name for name, said in failed.items() if "PythonError" not in said] == []
    assert not any(each.enabled for each in get_user_permissions(read_only=True).values())
    assert not any(each.enabled for each in get_location_scoped_user_permissions(read_only=True).values())
