"""A lake that needs upkeep."""

import shutil
from copy import deepcopy
from pathlib import Path

import pytest

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.day import refresh_days
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline_tests.landed import Landing
from oai_usage_pipeline_tests.refresh.test_day import refresh_all

DAY = "2026-03-10"


@pytest.fixture(scope="session")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Landing:
    """Two days of events that came bit by bit, with all that follows from them."""
    made = Landing(Lake(str(tmp_path_factory.mktemp("landed") / "lake")))
    for day in (10, 10, 10, 11, 11):
        made.send(20, day=day)
        if day == 10:
            refresh_days(made.lake, USAGE_EVENTS_DERIVATION, [DAY])
    refresh_all(made.lake)
    return made


@pytest.fixture
def landing(landed: Landing, tmp_path: Path) -> Landing:
    """A copy of it to change."""
    made = Landing(Lake(str(tmp_path / "lake")))
    shutil.copytree(landed.lake.location, made.lake.location)
    made._source = deepcopy(landed._source)
    return made
