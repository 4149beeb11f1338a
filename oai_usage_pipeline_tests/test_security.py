"""SECURITY.md tells the truth: its tests exist, its tools find nothing, what it rules out is not there."""

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from dagster_shared.telemetry import get_telemetry_enabled_from_dagster_yaml

from oai_usage_pipeline.orchestration.instance import dagster_home

REPOSITORY = Path(__file__).parents[1]
SECURITY = (REPOSITORY / "SECURITY.md").read_text()
TESTS = REPOSITORY / "oai_usage_pipeline_tests"
MODULES = sorted((REPOSITORY / "oai_usage_pipeline").rglob("*.py"))

READS_FOREIGN_OBJECTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
RUNS_A_SHELL = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
DRAWN_BY_SEED = {"broker", "traffic"}


def name(module: Path) -> str:
    return module.relative_to(REPOSITORY).as_posix()


def threats() -> list[list[str]]:
    """The cells of the threat table's lines."""
    table = SECURITY.split("## Threats")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_each_threat_names_what_holds_and_a_test_that_exists() -> None:
    assert len(threats()) >= 15
    for cells in threats():
        assert len(cells) == 3, cells
        named = re.findall(r"`([a-z_/]+\.py)`: `(test_\w+)`", cells[2])
        assert named, f"no test for: {cells[0]}"
        for path, test in named:
            found = {
                each.name
                for each in ast.walk(ast.parse((TESTS / path).read_text()))
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert test in found, f"{path} has no {test}"


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_no_module_reads_foreign_objects_or_runs_text(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            assert not {each.name.split(".")[0] for each in node.names} & READS_FOREIGN_OBJECTS
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in READS_FOREIGN_OBJECTS
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in RUNS_TEXT | RUNS_A_SHELL, called
            assert not re.search(r"yaml\.(unsafe_|full_)?load(_all)?$", called), called
            assert not any(each.arg == "shell" for each in node.keywords), called


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_nothing_but_made_up_traffic_and_faults_is_drawn_by_seed(module: Path) -> None:
    drawn = re.search(r"^\s*(import random|from random)\b", module.read_text(), re.MULTILINE)
    assert not drawn or module.relative_to(REPOSITORY).parts[1] in DRAWN_BY_SEED


def test_nothing_but_made_up_traffic_is_sent_to_a_hub() -> None:
    senders = [module.name for module in MODULES if "Producer" in module.read_text()]
    assert senders == ["sender.py"]


def test_every_exception_from_a_check_says_why() -> None:
    for module in MODULES:
        for line in module.read_text().splitlines():
            if "# nosec" in line:
                assert re.search(r"# nosec B\d+ # noqa: S\d+ - \w+", line), f"{name(module)}: {line}"


@pytest.mark.skipif(find_spec("bandit") is None, reason="bandit is not installed: `make extras`")
def test_bandit_finds_nothing() -> None:
    command = [sys.executable, "-m", "bandit", "--quiet", "--configfile", "pyproject.toml"]
    done = subprocess.run(
        [*command, "--recursive", "oai_usage_pipeline"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_telemetry_is_off_in_the_instance_that_the_pipeline_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert get_telemetry_enabled_from_dagster_yaml()
    dagster_home()
    assert not get_telemetry_enabled_from_dagster_yaml()


def test_every_target_of_the_makefile_has_telemetry_off() -> None:
    makefile = (REPOSITORY / "Makefile").read_text().splitlines()
    assert "export DAGSTER_DISABLE_TELEMETRY := 1" in makefile
