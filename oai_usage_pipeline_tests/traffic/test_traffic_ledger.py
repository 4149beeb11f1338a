import json
from pathlib import Path

import pytest

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.traffic.generator import GeneratedEvent
from oai_usage_pipeline.traffic.ledger import Ledger, LedgerHeader, read_ledger

HEADER = LedgerHeader(seed=11, start_at="2025-06-01T12:00:00+00:00", count=6000)


def test_a_written_ledger_reads_back_equal(events: list[GeneratedEvent], tmp_path: Path) -> None:
    entries = [event.entry for event in events[:200]]
    with Ledger(tmp_path / "ledger.jsonl", HEADER) as ledger:
        for start in (0, 100):
            ledger.acknowledge(ledger.announce(entries[start : start + 100]))
    contents = read_ledger(tmp_path / "ledger.jsonl")
    assert contents.header == HEADER
    assert list(contents.acknowledged) == entries
    assert contents.unacknowledged == ()


def test_an_announced_batch_is_on_file_before_it_is_acknowledged(
    events: list[GeneratedEvent], tmp_path: Path
) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, HEADER) as ledger:
        ledger.announce([events[0].entry])
        assert read_ledger(path).unacknowledged == (events[0].entry,)


@pytest.mark.parametrize("cut", [1, 10, 15])
def test_a_line_cut_by_a_kill_counts_as_not_written(
    events: list[GeneratedEvent], tmp_path: Path, cut: int
) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, HEADER) as ledger:
        ledger.acknowledge(ledger.announce([events[0].entry]))
        ledger.acknowledge(ledger.announce([events[1].entry]))
    path.write_bytes(path.read_bytes()[:-cut])
    contents = read_ledger(path)
    assert contents.acknowledged == (events[0].entry,)
    assert contents.unacknowledged == (events[1].entry,)


def test_an_existing_ledger_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="exists already"):
        Ledger(path, HEADER)
    assert path.read_text() == "precious"


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(json.dumps({"something": "else"}) + "\n")
    with pytest.raises(ConfigurationError, match="no traffic ledger"):
        read_ledger(path)


def test_a_missing_ledger_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_ledger(tmp_path / "none.jsonl")


def test_a_ledger_that_failed_before_its_first_event_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError), Ledger(tmp_path / "ledger.jsonl", HEADER):
        raise OSError
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_failed_after_an_event_is_kept(events: list[GeneratedEvent], tmp_path: Path) -> None:
    def announce_and_fail() -> None:
        with Ledger(tmp_path / "ledger.jsonl", HEADER) as ledger:
            ledger.announce([events[0].entry])
            raise OSError

    with pytest.raises(OSError):
        announce_and_fail()
    assert read_ledger(tmp_path / "ledger.jsonl").unacknowledged == (events[0].entry,)
