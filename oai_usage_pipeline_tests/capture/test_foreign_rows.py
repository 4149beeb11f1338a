"""Rows that another program wrote above a position are not taken for captured ones."""

from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from oai_usage_pipeline.capture.repair import Plan, Repair
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline_tests.capture import damage
from oai_usage_pipeline_tests.capture.damage import FINGERPRINT, NOW, capture, captured_lake, hub, repair
from oai_usage_pipeline_tests.capture.list_source import ListSource

MORE = {"0": 50, "1": 25}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Position 39 of partition 0, and above it five rows of somebody else."""
    lake = captured_lake(tmp_path)
    last = damage.rows(lake).filter(partition_id="0").sort("sequence_number").tail(5)
    foreign = last.with_columns(pl.col("sequence_number") + 5, Response=pl.lit("foreign"))
    write_deltalake(damage.table(lake), foreign, mode="append")
    return lake


def left(source: ListSource, lake: Lake) -> Plan:
    return Repair(source, lake, FINGERPRINT, lambda: NOW, lambda _: True).execute()


@pytest.mark.parametrize("count", [50, 43, 40], ids=["all in the hub", "some not yet", "none yet"])
def test_rows_that_differ_from_the_hubs_events_are_left_to_a_person(lake: Lake, count: int) -> None:
    plan = left(hub({"0": count, "1": 25}), lake)
    assert plan.remedies == ()
    [sentence] = plan.left
    assert "partition 0 " in sentence
    assert "rows above its position (39) that are not the hub's events" in sentence
    found = {50: "40 to 44", 43: "40 to 42 and 43 to 44", 40: "40 to 44"}[count]
    assert f"by offset and time: {found}. " in sentence


def test_only_those_that_differ_are_named(lake: Lake, tmp_path: Path) -> None:
    other = Lake(str(tmp_path / "other"))
    capture(hub(MORE), other)
    damage.table(lake).delete("sequence_number = 42")
    write_deltalake(damage.table(lake), damage.rows(other).filter(sequence_number=42), mode="append")
    assert "by offset and time: 40 to 41 and 43 to 44. " in left(hub(MORE), lake).left[0]


def test_once_they_are_deleted_capture_reads_the_hubs_own(lake: Lake) -> None:
    damage.table(lake).delete("sequence_number > 39")
    assert repair(hub(MORE), lake) == []
    assert capture(hub(MORE), lake).errors == []
    assert damage.numbers(lake) == list(range(50))
    assert "foreign" not in set(damage.rows(lake)["Response"])


def test_of_what_the_hub_has_let_go_nothing_can_be_told(lake: Lake) -> None:
    [done] = repair(hub(MORE, first=45), lake)
    assert done.endswith("namespace/hub partition 0 from 39 to 44")
