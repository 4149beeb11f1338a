"""Every command in a block of docs/RUNBOOK.md, run in its order on a lake where its symptom is there."""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oai_usage_pipeline.capture.gaps import gaps_of
from oai_usage_pipeline.cli import main
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.orchestration.conditions import (
    BACKFILL,
    HUB_OR_LAKE,
    LAG,
    REFERENCE_FILES,
    VERIFICATION,
)
from oai_usage_pipeline.tables import USAGE_EVENTS
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake
from oai_usage_pipeline_tests.reconcile.truth import Call, charged, export, measured, written

PAGE = (Path(__file__).parents[1] / "docs" / "RUNBOOK.md").read_text()
LAST_MONTH = f"{datetime.now(UTC).replace(day=1) - timedelta(days=1):%Y-%m}"
KEY = "0123456789abcdef0123456789abcdef"

REFUSED = {
    "reconcile": "comparisons are beyond",  # what is measured here never came to the hub
    "payloads erase": "say yes, or use --yes",  # nobody sits at a terminal
}
"""Commands that end with 1, as they should here, and what they say."""


def sections() -> Iterator[tuple[str, list[str]]]:
    """Headings with the commands below them."""
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE):
        heading = section.splitlines()[0]
        blocks = re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
        yield heading, [line for line in lines if line.startswith("oai-usage ")]


def test_the_table_of_symptoms_has_every_check_and_alert_and_leads_to_a_section() -> None:
    table = PAGE.split("| symptom | go to |")[1].split("\n\n")[0]
    checks = {each.name for each in build_definitions().get_repository_def().asset_graph.asset_check_keys}
    alerts = {BACKFILL, HUB_OR_LAKE, LAG, REFERENCE_FILES, VERIFICATION, "job ... fails"}
    assert {each for each in checks | alerts if f"`{each}`" not in table} == set()
    headings = {re.sub(r"[^a-z -]", "", name.lower()).replace(" ", "-") for name, _ in sections()}
    assert set(re.findall(r"\(#(.*?)\)", table)) <= headings


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedLake]:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "metrics.json", measured([Call()]))
    written(tmp_path / "cost.csv", export(charged([Call()])))
    (tmp_path / "keys.txt").write_text(f"{KEY}\n")
    with embedded_lake(tmp_path / "stack", partitions=1) as running:
        monkeypatch.setenv("OAI_USAGE_PAYLOAD_RETENTION_DAYS", "90")
        running.send(20, days=40)
        running.run()
        yield running


def expire(lake: EmbeddedLake) -> None:
    """Events that the hub lets go before they are captured."""
    lake.send(100)
    lake.broker.stop()
    lake.broker.options = ("--retention-events", "30")
    lake.broker.start()
    lake.send(20)
    assert oai_usage("oai-usage run --until-idle").exit_code == 1


def as_it_is(command: str, lake: EmbeddedLake) -> str:
    """The command with what this lake has in place of the page's examples."""
    if "gaps acknowledge" in command:
        gap = next(each for each in gaps_of(lake.pipeline.lake()) if each.is_open)
        first, last = gap.range
        return re.sub(r"--first \d+ --last \d+", f"--first {first} --last {last}", command)
    if "--subscription" in command:
        rows = lake.pipeline.lake().existing(USAGE_EVENTS).scan().select("subscription").drop_nulls()
        return re.sub(r"v1-[0-9a-f]+", rows.collect().item(0, 0), command)
    return re.sub(r"20\d\d-\d\d", LAST_MONTH, command)


def oai_usage(command: str) -> Result:
    words, _, given = command.partition(" < ")
    return CliRunner().invoke(main, shlex.split(words)[1:], input=Path(given).read_bytes() if given else None)


@pytest.mark.timeout(300)
def test_every_command_of_the_runbook_does_what_it_says(lake: EmbeddedLake) -> None:
    done = 0
    for heading, commands in sections():
        if heading == "A partition stopped at a gap":
            expire(lake)
        for command in commands:
            result = oai_usage(as_it_is(command, lake))
            said = next(
                (words for name, words in REFUSED.items() if command.startswith(f"oai-usage {name}")), ""
            )
            assert (result.exit_code, said in result.output) == (int(bool(said)), True), (
                f"{heading}: {command}\n{result.output}"
            )
            done += 1
    assert done > 30
    assert not any(each.is_open for each in gaps_of(lake.pipeline.lake()))
