"""The stress command's own arithmetic: what it counts, finds and shows."""

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from stress.__main__ import KINDS, main
from stress.deliberate_bugs import REPOSITORY
from stress.judgement import Tally
from stress.leaks import leaks
from stress.mutants import CORE, _count
from stress.outcome import Outcome, Slope, show, write

SECRET = "0123456789abcdef0123456789abcdef"


def test_one_fault_of_any_kind_is_not_clean() -> None:
    assert Tally().is_clean
    for faulty in (Tally(lost=1), Tally(doubled=1), Tally(wrong=1), Tally(leaked=1)):
        assert not faulty.is_clean


def test_n_tries_without_a_fault_bound_it_by_three_in_n_and_a_fault_by_nothing() -> None:
    assert Outcome("kills", "kills", tried=1000).bound == pytest.approx(0.003)
    assert Outcome("kills", "kills", tried=1000, tally=Tally(lost=1)).bound is None
    assert Outcome("kills", "kills").bound is None


def test_recovery_is_median_95th_percentile_and_longest() -> None:
    assert Outcome("k", "kills", recoveries=[float(n) for n in range(101)]).recovery == (50.0, 95.0, 100.0)
    assert Outcome("k", "kills", recoveries=[1.0]).recovery is None


def test_slope_is_by_the_hour_and_leaves_warming_up_out() -> None:
    flat = [(60.0 * n, min(500.0, 100.0 * n), 20.0) for n in range(10)]
    assert Slope.of(flat) == Slope(0.0, 0.0, minutes=4.0)
    growing = [(60.0 * n, 500.0 + n, 20.0 + n) for n in range(10)]
    found = Slope.of(growing)
    assert found is not None
    assert (found.memory_mb_per_hour, found.handles_per_hour) == pytest.approx((60.0, 60.0))
    assert Slope.of(flat[:2]) is None


def test_table_and_json_name_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [Outcome("kills", "kills", 7, tally=Tally(lost=2, faults=["2 lost: partition 0 3 to 4"]))]
    show(outcomes)
    write(outcomes, tmp_path / "build" / "stress.json")
    shown = capsys.readouterr().out
    assert "7 kills" in shown
    assert "2 lost: partition 0 3 to 4" in shown
    [found] = json.loads((tmp_path / "build" / "stress.json").read_text())
    assert (found["tried"], found["tally"]["lost"], found["bound"]) == (7, 2, None)


@pytest.mark.parametrize("column", ["text", "bytes", "nested"])
def test_a_secret_is_found_inside_compressed_parquet(column: str, tmp_path: Path) -> None:
    texts = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(500)]
    texts[250] = f"my {SECRET}."
    columns = {
        "text": texts,
        "bytes": [each.encode() for each in texts],
        "nested": [{"a": each} for each in texts],
    }
    file = tmp_path / "part.parquet"
    pl.DataFrame({column: columns[column]}).write_parquet(file, compression="zstd", statistics=False)
    assert SECRET.encode() not in file.read_bytes()
    looked_at, hits = leaks([tmp_path], [SECRET])
    assert hits == [f"{file}: secret 0"]
    assert looked_at > file.stat().st_size + 500 * 60


def test_a_secret_is_found_in_a_file_of_any_kind_and_nothing_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text("{}")
    assert leaks([tmp_path], [SECRET]) == (2, [])
    (tmp_path / "log.json").write_text(f'{{"minValues": "{SECRET}"}}')
    assert len(leaks([tmp_path], [SECRET])[1]) == 1


def test_a_kind_that_does_not_exist_is_refused_with_those_that_do() -> None:
    result = CliRunner().invoke(main, ["--only", "kills,earthquake"])
    assert result.exit_code == 2
    assert "no kind earthquake" in result.output
    assert all(kind in result.output for kind in KINDS)


def test_survivors_are_told_apart_from_killed_and_left_out_mutants() -> None:
    work = {"mutations": [{"start_pos": [12, 4], "operator_name": "core/AddNot"}]}
    diff = "--- a\n+++ b\n@@ -12 +12 @@\n-    if x:\n+    if not x:"
    results = [
        {"worker_outcome": "normal", "test_outcome": "killed", "diff": diff},
        {"worker_outcome": "normal", "test_outcome": "survived", "diff": diff},
        {"worker_outcome": "skipped", "test_outcome": None, "diff": None},
    ]
    mutated = _count("capture/commit.py", "\n".join(json.dumps([work, result]) for result in results))
    assert (mutated.killed, mutated.share) == (1, 0.5)
    assert [vars(each) for each in mutated.survivors] == [
        {"line": 12, "operator": "core/AddNot", "diff": "-    if x:\n+    if not x:"}
    ]


@pytest.mark.parametrize("module", CORE)
def test_core_modules_and_their_tests_exist(module: str) -> None:
    assert (REPOSITORY / "oai_usage_pipeline" / module).exists()
    assert all((REPOSITORY / "oai_usage_pipeline_tests" / each).exists() for each in CORE[module])
