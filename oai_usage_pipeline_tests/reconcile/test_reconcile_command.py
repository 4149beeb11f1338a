"""The command and the folder as people use them: the table, the sentences, the exit code."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oai_usage_pipeline.cli import main
from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reconcile.reconciliation import Period, reconcile_folder
from oai_usage_pipeline_tests.reconcile.truth import DAY, Call, charged, export, lake_of, measured, written

CALLS = [Call(hour=hour) for hour in range(10)]
HIDDEN = Call(input_tokens=5_000, output_tokens=700, is_logged=False)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("OAI_USAGE_REFERENCE_FOLDER", str(tmp_path / "reference"))
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", str(tmp_path / "lake"))
    return lake_of(tmp_path, CALLS)


def oai_usage(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["reconcile", *(str(each) for each in arguments)])


def test_the_command_shows_both_numbers_and_a_summary(lake: Lake, tmp_path: Path) -> None:
    metrics = written(tmp_path / "m.json", measured(CALLS))
    costs = written(tmp_path / "c.csv", export(charged(CALLS)))
    shown = oai_usage("--metrics", metrics, "--cost-export", costs)
    assert shown.exit_code == 0, shown.output
    assert "10,000" in shown.output
    assert "deployment chat" in shown.output
    assert shown.output.rstrip().endswith("All 3 comparisons agree within 0.5 %.")


def test_the_command_fails_beyond_the_tolerance_and_names_the_cause(lake: Lake, tmp_path: Path) -> None:
    metrics = written(tmp_path / "m.json", measured([*CALLS, HIDDEN]))
    shown = oai_usage("--metrics", metrics)
    assert shown.exit_code == 1
    assert "+33.33 %" in shown.output
    assert (
        "calls that bypass the gateway: 2026-03-10, deployment chat, input tokens: ours 10,000 tokens"
        in shown.output
    )
    assert "2 of 2 comparisons are beyond 0.5 %: 2 x calls that bypass the gateway." in shown.output
    assert oai_usage("--metrics", metrics, "--tolerance", "40").exit_code == 0
    assert "gap: " in oai_usage("--metrics", metrics, "--incomplete", DAY).output


def test_the_command_prints_json(lake: Lake, tmp_path: Path) -> None:
    metrics = written(tmp_path / "m.json", measured([*CALLS, HIDDEN]))
    shown = oai_usage("--metrics", metrics, "--json")
    found = json.loads(shown.output)
    assert (shown.exit_code, found["holds"]) == (1, False)
    assert found["totals"][0] == {
        "measure": "input tokens",
        "ours": 10_000,
        "theirs": 15_000,
        "difference": 5_000,
    }
    assert [line["is_beyond"] for line in found["lines"]] == [True, True]


def test_the_command_takes_the_reference_folder_when_no_file_is_given(lake: Lake, tmp_path: Path) -> None:
    nothing = oai_usage()
    assert nothing.exit_code == 1
    assert "Nothing to reconcile" in nothing.output
    written(tmp_path / "reference" / "reconciliation" / "metrics-march.json", measured(CALLS))
    assert oai_usage().exit_code == 0


def test_a_period_without_common_days_does_not_pass_for_agreement(lake: Lake, tmp_path: Path) -> None:
    metrics = written(tmp_path / "m.json", measured(CALLS))
    shown = oai_usage("--metrics", metrics, "--from", "2026-04-01", "--to", "2026-04-02")
    assert shown.exit_code == 1
    assert "Nothing was compared" in shown.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "2026-04-02", "--to", "2026-04-01"), "before it begins"),
        (("--tolerance", "many"), "is no number such as 0.5"),
        (("--tolerance", "NaN"), "is not between 0 and 100"),
        (("--tolerance", "-1"), "is not between 0 and 100"),
    ],
)
def test_wrong_options_are_one_message(
    lake: Lake, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    metrics = written(tmp_path / "m.json", measured(CALLS))
    shown = oai_usage("--metrics", metrics, *arguments)
    assert shown.exit_code in (1, 2)
    assert message in shown.output
    assert "Traceback" not in shown.output


def test_a_folder_is_read_by_its_files_names(tmp_path: Path) -> None:
    folder = tmp_path / "reference" / "reconciliation"
    written(folder / "metrics.json", measured(CALLS))
    written(folder / "cost-2026-03.csv", export(charged(CALLS)))
    written(folder / "notes.txt", "not read")
    found = reconcile_folder(lake_of(tmp_path, CALLS), tmp_path / "reference")
    assert [Path(each).name for each in found.files] == ["metrics.json", "cost-2026-03.csv"]
    assert found.holds
    assert [(each.measure, each.difference) for each in found.totals] == [
        ("cost USD", 0),
        ("input tokens", 0),
        ("output tokens", 0),
    ]


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    found = reconcile_folder(lake_of(tmp_path, CALLS), tmp_path / "absent")
    assert (found.files, found.lines, found.totals, found.findings) == ((), (), [], [])
    assert found.sentence.startswith("Nothing to reconcile")
    assert not found.holds


def test_the_order_of_files_and_rows_changes_nothing(tmp_path: Path) -> None:
    calls = [*CALLS, HIDDEN, replace(HIDDEN, deployment="shadow")]
    lake = lake_of(tmp_path, calls)
    found = []
    for name, order in (("a", calls), ("b", calls[::-1])):
        folder = tmp_path / name / "reconciliation"
        written(folder / "metrics.json", measured(order))
        written(folder / "cost.csv", export(charged(order)))
        found.append(reconcile_folder(lake, tmp_path / name).lines)
    assert found[0] == found[1]


def test_totals_hold_what_only_one_side_names(tmp_path: Path) -> None:
    calls = [*CALLS, replace(HIDDEN, deployment="shadow")]
    written(tmp_path / "reconciliation" / "metrics.json", measured(calls))
    [total, _] = reconcile_folder(lake_of(tmp_path, calls), tmp_path).totals
    assert (total.measure, total.ours, total.theirs, total.difference) == (
        "input tokens",
        10_000,
        15_000,
        5_000,
    )


def test_a_file_that_is_not_what_its_name_says_stops_the_folder(tmp_path: Path) -> None:
    written(tmp_path / "reconciliation" / "metrics.json", "[]")
    with pytest.raises(ConfigurationError, match="no answer of Azure Monitor"):
        reconcile_folder(lake_of(tmp_path, CALLS), tmp_path, period=Period(DAY, DAY))
