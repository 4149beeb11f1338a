"""A hub that is made again: the first run that meets it says what bronze has of the life before."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oai_usage_pipeline.audit.status import TableStatus
from oai_usage_pipeline.capture.gaps import record_gap
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.metadata import captured_state
from oai_usage_pipeline_tests.capture.damage import capture, hub

NOW = datetime(2026, 1, 7, tzinfo=UTC)


def test_the_first_run_on_a_new_life_names_the_end_of_the_former_and_its_open_gaps(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lake = Lake(str(tmp_path / "lake"))
    oldest = replace(hub({"0": 99}), incarnation="2025-01-01T00:00:00.000Z")
    old, new = hub({"0": 10, "1": 20}), replace(hub({"0": 5, "1": 5}), incarnation="2026-02-01T00:00:00.000Z")
    assert capture(oldest, lake).former_life is None
    capture(old, lake)
    record_gap(lake, old.describe(), "1", 20, 24, NOW, NOW, NOW)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        captured = capture(new, lake)
    assert captured.former_life is not None
    assert captured.former_life in caplog.messages
    said, *gaps = captured.former_life.split("\n")
    assert said.startswith(
        f"namespace/hub was made again at {new.incarnation}. Of its former life (created {old.incarnation}), "
        "the last events in bronze are 9 in partition 0, 19 in partition 1."
    )
    assert ["20 to 24" in each for each in gaps] == [True]
    state = captured_state(captured, TableStatus("openai_events", 40, 1))
    assert state["former_life"] == captured.former_life

    # Once: from then on, bronze has something of this life.
    new.partitions = hub({"0": 9, "1": 9}).partitions
    assert capture(new, lake).former_life is None


def test_another_hub_is_no_former_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(str(tmp_path / "lake"))
    capture(hub({"0": 10}), lake)
    other = hub({"0": 10})
    monkeypatch.setattr(other, "describe", lambda: Hub("namespace/other", "2026-02-01T00:00:00.000Z", ("0",)))
    assert capture(other, lake).former_life is None
