"""The small tables that capture reads: a file of theirs that was cut or lost is an error for people."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oai_usage_pipeline.audit.holes import holes_of
from oai_usage_pipeline.capture.gap_notes import forget_healed
from oai_usage_pipeline.capture.gaps import gaps_of, record_gap
from oai_usage_pipeline.capture.peppers import check_pepper
from oai_usage_pipeline.capture.rotations import Rotations
from oai_usage_pipeline.errors import LakeDamaged, LakeUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.incomplete import IncompleteHours
from oai_usage_pipeline.tables import (
    CAPTURE_GAPS,
    KEY_PEPPERS,
    KEY_ROTATIONS,
    OPENAI_EVENTS,
    TableContract,
)
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.damage import capture, hub

NOW = datetime(2026, 1, 7, tzinfo=UTC)
HUB = hub({"0": 1}).describe()


def renewed_pepper(key: str = "first") -> KeyFingerprint:
    """A second pepper, with a key that was seen under both."""
    renewed = KeyFingerprint(b"a renewed pepper", 2, previous=b"pepper of the tests")
    renewed.rotated[f"{key} now"] = f"{key} before"
    return renewed


def land_a_rotation(lake: Lake, key: str = "first") -> None:
    Rotations(lake, renewed_pepper(key), lambda: NOW).land()


@pytest.fixture(scope="module")
def whole_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events, a pepper, a rotation and a gap, in one file each."""
    folder = tmp_path_factory.mktemp("whole") / "lake"
    lake = Lake(str(folder))
    capture(hub({"0": 10}), lake)
    record_gap(lake, HUB, "0", 3, 5, NOW, NOW, NOW)
    land_a_rotation(lake)
    return folder


@pytest.fixture
def lake(whole_lake: Path, tmp_path: Path) -> Lake:
    return Lake(str(shutil.copytree(whole_lake, tmp_path / "lake")))


def lose(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


READERS: dict[str, tuple[TableContract, Callable[[Lake], object]]] = {
    "gaps": (CAPTURE_GAPS, gaps_of),
    "a capture run": (CAPTURE_GAPS, lambda lake: capture(hub({"0": 20}), lake)),
    "incomplete hours": (CAPTURE_GAPS, IncompleteHours.read),
    "peppers": (KEY_PEPPERS, lambda lake: check_pepper(lake, renewed_pepper())),
    "rotations": (KEY_ROTATIONS, lambda lake: land_a_rotation(lake, "second")),
    "holes": (OPENAI_EVENTS, lambda lake: holes_of(lake, HUB, "0")),
    "healed gaps": (OPENAI_EVENTS, lambda lake: forget_healed(lake, gaps_of(lake))),
}


@pytest.mark.parametrize("damage", [lose, cut])
@pytest.mark.parametrize(("contract", "read"), READERS.values(), ids=READERS.keys())
def test_a_file_that_was_lost_or_cut_is_named_with_its_table(
    contract: TableContract, read: Callable[[Lake], object], damage: Callable[[Path], None], lake: Lake
) -> None:
    [file] = Path(lake.uri(contract)).rglob("part-*.parquet")
    damage(file)
    with pytest.raises((LakeDamaged, LakeUnavailable)) as refused:
        read(lake)
    assert str(refused.value).startswith(f"{contract.name}: ")
    assert file.name in str(refused.value)
