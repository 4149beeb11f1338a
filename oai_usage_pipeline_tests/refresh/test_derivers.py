"""Rows derived by processes beside this one are the rows derived here, whatever happens to the processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psutil
import pytest

from oai_usage_pipeline.errors import LakeUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh import derivers
from oai_usage_pipeline.refresh.day import refresh_days
from oai_usage_pipeline.refresh.derivers import Derivers
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import OPENAI_EVENTS, USAGE_EVENTS
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline_tests.landed import Landing


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    landed = Landing(Lake(str(tmp_path / "lake")))
    for day in (10, 11):
        landed.send(60, day=day)
    return landed


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[Derivers]:
    monkeypatch.setattr(derivers, "LEAST_ROWS", 1)
    with Derivers(2) as started:
        yield started


def bronze(landing: Landing) -> pl.DataFrame:
    return landing.lake.existing(OPENAI_EVENTS).scan().collect()


def not_here(rows: pl.DataFrame) -> pl.DataFrame:
    raise AssertionError("derived in this process")


def test_rows_come_back_in_order_and_as_derived_here(
    landing: Landing, two: Derivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = bronze(landing)
    # Parts of a few rows, so that several are on their way at once.
    monkeypatch.setattr(derivers, "MOST_BYTES", rows.estimated_size() // 40)
    found = list(two.derive(not_here, iter([rows[:70], rows[70:]]), len(rows)))
    assert len(found) > 30
    assert pl.concat(found).equals(derive(rows))


def test_few_rows_start_no_process(landing: Landing) -> None:
    with Derivers(2) as none:
        rows = bronze(landing)
        assert pl.concat(none.derive(derive, iter([rows]), len(rows))).equals(derive(rows))
        assert psutil.Process().children() == []


def test_a_process_that_is_killed_fails_its_day_and_the_next_day_is_derived(
    landing: Landing, two: Derivers
) -> None:
    rows = bronze(landing)
    cut_short = two.derive(not_here, (rows[number : number + 1] for number in range(30)), 30)
    next(cut_short)
    for each in psutil.Process().children():
        each.kill()
    with pytest.raises(LakeUnavailable, match="ended with status -9"):
        list(cut_short)
    assert pl.concat(two.derive(not_here, iter([rows]), len(rows))).equals(derive(rows))


def test_days_made_by_several_processes_are_those_made_by_one(
    landing: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = ["2026-03-10", "2026-03-11"]
    again = Lake(str(tmp_path / "again"))
    landing.capture_into(again)
    refresh_days(landing.lake, USAGE_EVENTS_DERIVATION, days)
    monkeypatch.setattr(derivers, "LEAST_ROWS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("oai_usage_pipeline.refresh.silver.derive", not_here)
    assert [each.mode for each in refresh_days(again, USAGE_EVENTS_DERIVATION, days)] == [
        "rebuilt",
        "rebuilt",
    ]
    one, several = (
        lake.existing(USAGE_EVENTS).scan().collect().sort(pl.all()) for lake in (landing.lake, again)
    )
    assert several.equals(one)
    assert psutil.Process().children() == []


def test_the_processes_of_a_run_that_is_killed_end_with_it() -> None:
    program = (
        "from oai_usage_pipeline.refresh.derivers import Derivers\n"
        "derivers = Derivers(2)\n"
        "derivers._start()\n"
        "print(*(each.pid for each in derivers._running), flush=True)\n"
        "input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    _, left = psutil.wait_procs(children, timeout=60)
    assert left == []
