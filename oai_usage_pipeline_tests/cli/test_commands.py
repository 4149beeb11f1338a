"""The commands as people call them: what they print, and one clear message when something is wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from oai_usage_pipeline.tables import TABLES
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake

COMMAND = str(Path(sys.executable).parent / "oai-usage")
CONNECTION = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=c2VjcmV0;"


def oai_usage(
    *arguments: str, settings: Mapping[str, str] | None = None, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **(settings or {})}
    return subprocess.run(
        [COMMAND, *arguments], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedLake]:
    with embedded_lake(tmp_path_factory.mktemp("commands") / "stack") as running:
        running.send(200)
        running.run()
        yield running


def test_run_leaves_nothing_to_do_and_says_so(lake: EmbeddedLake) -> None:
    lake.send(50)
    done = oai_usage("run", "--until-idle")
    assert (done.returncode, done.stderr) == (0, "")
    assert "50 events wait in 2 partitions" in done.stdout
    assert "Nothing is left to do after" in done.stdout


def test_status_shows_partitions_and_tables(lake: EmbeddedLake) -> None:
    shown = oai_usage("status")
    assert shown.returncode == 0
    assert "token_usage_hourly" in shown.stdout
    found = json.loads(oai_usage("status", "--json").stdout)
    assert {each["lag"] for each in found["partitions"]} == {0}
    assert [each["position"] for each in found["partitions"]] == [
        each["head"] for each in found["partitions"]
    ]
    assert {each["table"] for each in found["tables"]} == {contract.name for contract in TABLES}
    assert {each["name"] for each in found["accounting"]} >= {
        "unmetered",
        "estimated",
        "unpriced",
        "unattributed",
    }


def test_verify_holds_and_fails_with_its_exit_code(lake: EmbeddedLake, tmp_path: Path) -> None:
    sound = oai_usage("verify", "--json")
    assert sound.returncode == 0
    assert all(each["holds"] for each in json.loads(sound.stdout))
    with embedded_lake(tmp_path / "behind") as behind:
        behind.send(20)
        behind.run()
        table = behind.stack.lake / "token_usage_hourly"
        from deltalake import DeltaTable

        DeltaTable(table).delete()
        broken = oai_usage("verify")
    assert broken.returncode == 1
    assert "FAILS  gold_equals_silver" in broken.stdout


@pytest.mark.parametrize("command", [["run", "--until-idle"], ["status"]])
def test_a_hub_that_is_not_there_is_one_message(command: list[str], tmp_path: Path) -> None:
    settings = {
        "OAI_USAGE_EVENT_HUB_CONNECTION_STRING": CONNECTION + "UseDevelopmentEmulator=true",
        "OAI_USAGE_LAKE_URI": str(tmp_path / "lake"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    failed = oai_usage(*command, settings=settings, cwd=tmp_path)
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: Event Hub 127.0.0.1/openai-usage can't be reached")
    assert "Traceback" not in failed.stderr
    assert "c2VjcmV0" not in failed.stderr


def test_a_lake_that_cannot_be_written_is_one_message(lake: EmbeddedLake, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    failed = oai_usage("run", "--until-idle", settings={"OAI_USAGE_LAKE_URI": str(in_the_way / "lake")})
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: The lake folder")
    assert "Set OAI_USAGE_LAKE_URI" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_production_without_a_pepper_is_refused(tmp_path: Path) -> None:
    settings = {"OAI_USAGE_EVENT_HUB_CONNECTION_STRING": CONNECTION, "OAI_USAGE_KEY_PEPPER": ""}
    failed = oai_usage("run", "--until-idle", settings=settings, cwd=tmp_path)
    assert failed.returncode == 1
    assert "OAI_USAGE_KEY_PEPPER is not set" in failed.stderr


def test_an_unknown_setting_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    failed = oai_usage("status", settings={"OAI_USAGE_LAKE_URl": "x"}, cwd=tmp_path)
    assert failed.returncode == 1
    assert "Unknown setting OAI_USAGE_LAKE_URl: did you mean OAI_USAGE_LAKE_URI?" in failed.stderr


def test_help_names_every_command() -> None:
    shown = oai_usage("--help")
    for command in ("broker", "traffic", "run", "status", "verify", "demo", "dev"):
        assert f"  {command} " in shown.stdout


def test_demo_ends_with_the_ledger_comparison_and_runs_twice(tmp_path: Path) -> None:
    for total in (400, 800):
        demo = oai_usage("demo", "--events", "400", "--folder", str(tmp_path / "demo"), cwd=tmp_path)
        assert demo.returncode == 0, demo.stdout + demo.stderr
        assert f"gold {total:>15,}   ledger {total:>15,}   difference 0" in demo.stdout
        assert "Difference 0 in every figure" in demo.stdout
        assert "events is in bronze once, unaltered." in demo.stdout
        assert "customer-support" in demo.stdout
        assert "What to try next" in demo.stdout
