"""The check of unknown fields on a lake of real events: counts, the first example, the newest of each day."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from oai_usage_pipeline.audit import unknown_fields
from oai_usage_pipeline.audit.unknown_fields import fields_are_known
from oai_usage_pipeline.capture.landing import bronze_frame, land
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.landed import FINGERPRINT, START
from oai_usage_pipeline_tests.usage.bodies import chat, envelope

HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0",))
NEW = json.dumps(json.loads(chat()) | {"tier_note": "its value"})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def add(lake: Lake, *responses: str, first: int = 0, at: datetime = START) -> None:
    """Events a second apart."""
    rows = [
        land(
            "0",
            HubEvent(number, str(number), 1000 * int(at.timestamp() + number), envelope(Response=text)),
            FINGERPRINT,
        )
        for number, text in enumerate(responses, first)
    ]
    lake.table(OPENAI_EVENTS).append(bronze_frame(HUB, rows), {})


def test_a_new_field_is_told_with_its_count_and_first_position(lake: Lake) -> None:
    with pytest.raises(NoTable):
        fields_are_known(lake)
    add(lake, chat(), chat())
    assert fields_are_known(lake).holds
    add(lake, NEW, chat(), NEW, first=2)
    found = fields_are_known(lake)
    assert not found.holds
    assert "response.tier_note: 2 events, first in partition 0, sequence number 2" in found.sentence
    assert (
        "Only the newest 5 events of the last days, 5,000 of a day at most, were looked at" in found.sentence
    )
    assert "its value" not in found.sentence
    assert found.figures == {"unknown_fields": 1, "events_looked_at": 5}


def test_the_newest_of_each_of_the_last_days_are_looked_at(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_fields, "LOOKED_AT", 2)
    add(lake, NEW, at=START - timedelta(days=7))
    for day in range(7):
        # Later numbers are of earlier days here: it's the time that tells which are the newest.
        add(lake, NEW, chat(), chat(), first=10 * day, at=START - timedelta(days=day, seconds=10 * day))
    found = fields_are_known(lake)
    assert found.holds, found.sentence
    assert found.figures["events_looked_at"] == 14


def test_many_new_fields_are_shown_in_part(lake: Lake) -> None:
    add(lake, json.dumps(json.loads(chat()) | {f"new_{number:02}": 1 for number in range(22)}))
    lines = fields_are_known(lake).sentence.splitlines()
    assert len(lines) == 1 + unknown_fields.SHOWN + 1
    assert lines[-1] == "and 2 more"
