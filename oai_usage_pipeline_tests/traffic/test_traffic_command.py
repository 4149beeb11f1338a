from pathlib import Path

import pytest
from click.testing import CliRunner

from oai_usage_pipeline.cli import main
from oai_usage_pipeline.traffic.ledger import read_ledger
from oai_usage_pipeline_tests.traffic.hubs import EmptyHub


def run(hub: EmptyHub, *options: str) -> tuple[int, str]:
    environment = {
        "OAI_USAGE_EVENT_HUB_CONNECTION_STRING": hub.connection_string,
        "OAI_USAGE_EVENT_HUB_NAME": hub.name,
    }
    result = CliRunner().invoke(main, ["traffic", *options], env=environment)
    return result.exit_code, result.output


def test_the_command_sends_and_says_how_many(hub: EmptyHub, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    status, output = run(hub, "--events", "120", "--seed", "5", "--days", "2", "--ledger", str(path))
    contents = read_ledger(path)
    assert (status, output) == (0, f"120 events sent, ledger in {path}\n")
    assert (contents.header.seed, contents.header.count, contents.header.days) == (5, 120, 2)
    assert len(contents.acknowledged) == 120


def test_same_seed_and_start_write_the_same_ledger_twice(hub: EmptyHub, tmp_path: Path) -> None:
    texts = []
    for name in ("first", "second"):
        path = tmp_path / name
        run(hub, "--events", "40", "--start-at", "2025-06-01T12:00:00Z", "--ledger", str(path))
        texts.append(path.read_text())
    assert texts[0] == texts[1]


def test_an_existing_ledger_ends_the_command_before_anything_is_sent(hub: EmptyHub, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("precious")
    status, output = run(hub, "--events", "10", "--ledger", str(path))
    assert status == 1
    assert "exists already" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "options", [[], ["--forever", "--events", "5"], ["--events", "0"], ["--events", "5", "--rate", "0"]]
)
def test_contradicting_options_are_refused(options: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["traffic", *options, "--ledger", str(tmp_path / "ledger.jsonl")])
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["yesterday", "2025-06-01T12:00:00"])
def test_a_start_without_a_zone_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    result = CliRunner().invoke(main, ["traffic", "--events", "5", "--start-at", text, "--ledger", str(path)])
    assert result.exit_code == 1
    assert "with a zone" in result.output
