"""Prices that rest on an assumption say so, until somebody has said how deployments are sold."""

from pathlib import Path

import pytest

from oai_usage_pipeline.audit.assumptions import assumed_deployments
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reference.landing import land_reference
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY
from oai_usage_pipeline_tests.charge.frames import gold
from oai_usage_pipeline_tests.reference.writing import write

HEADER = "deployment,deployment_type"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    land_reference(lake, tmp_path / "reference")
    return lake


def test_usage_that_is_priced_by_the_default_alone_is_told(lake: Lake) -> None:
    assert assumed_deployments(lake) is None
    lake.table(TOKEN_USAGE_HOURLY).append(gold({}), {})
    told = assumed_deployments(lake)
    assert told is not None
    assert "no deployments.csv: every deployment is priced as GlobalStandard" in told


@pytest.mark.parametrize("line", ["chat,DataZoneStandard", "*,GlobalStandard"])
def test_a_file_that_says_how_deployments_are_sold_ends_it(lake: Lake, tmp_path: Path, line: str) -> None:
    lake.table(TOKEN_USAGE_HOURLY).append(gold({}), {})
    write(tmp_path / "reference", "deployments.csv", HEADER, line)
    land_reference(lake, tmp_path / "reference")
    assert assumed_deployments(lake) is None


def test_a_lake_without_tables_assumes_nothing(tmp_path: Path) -> None:
    assert assumed_deployments(Lake(str(tmp_path / "empty"))) is None
