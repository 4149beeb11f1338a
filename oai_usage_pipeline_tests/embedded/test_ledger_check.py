"""The judge is judged: each kind of damage done to a right bronze is found, at its very position."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from oai_usage_pipeline.capture.event_hub import EventHubSource
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.embedded.hub_files import HubFiles
from oai_usage_pipeline.embedded.ledger_check import EventCheck, Place, check_events
from oai_usage_pipeline.embedded.stack import HUB, EmbeddedStack
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.settings import Settings
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.embedded_lake import embedded_lake

FINGERPRINT = KeyFingerprint(b"pepper of the tests", 1)
EVENTS = 400

Damage = Callable[[DeltaTable], object]


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedStack:
    """A stack whose hub was captured once, to its head."""
    folder = tmp_path_factory.mktemp("captured") / "stack"
    with embedded_lake(folder) as running:
        running.send(EVENTS)
        source = EventHubSource(Settings.load())
        assert CaptureRun(source, Lake(str(folder / "lake")), FINGERPRINT).execute().errors == []
        source.close()
    return running.stack


@pytest.fixture
def stack(captured: EmbeddedStack, tmp_path: Path) -> EmbeddedStack:
    """A copy to be damaged."""
    shutil.copytree(captured.folder, tmp_path / "stack")
    return EmbeddedStack(tmp_path / "stack")


def hub_of(stack: EmbeddedStack) -> HubFiles:
    return HubFiles(f"127.0.0.1/{HUB}", stack.folder / "hub" / HUB)


def place(stack: EmbeddedStack, number: int, partition_id: str = "0") -> Place:
    hub = hub_of(stack)
    return Place(hub.event_hub, hub.incarnation, partition_id, number)


def checked(stack: EmbeddedStack, *damages: Damage) -> EventCheck:
    for damage in damages:
        damage(DeltaTable(str(stack.lake / OPENAI_EVENTS.name)))
    return check_events(Lake(str(stack.lake)), [hub_of(stack)], stack.ledgers, FINGERPRINT)


def at(number: int, partition_id: str = "0") -> str:
    return f"partition_id = '{partition_id}' AND sequence_number = {number}"


def rows_at(table: DeltaTable, number: int) -> pl.DataFrame:
    found = pl.scan_delta(table).filter(pl.col("partition_id") == "0", pl.col("sequence_number") == number)
    return found.collect()


def test_what_capture_makes_is_found_in_order(stack: EmbeddedStack) -> None:
    check = checked(stack)
    assert (check.holds, check.event_count, check.unannounced_count) == (True, EVENTS, 0)
    assert check.sentence == "Each of 400 events is in bronze once, unaltered"


def test_a_deleted_row_is_lost_at_its_position(stack: EmbeddedStack) -> None:
    check = checked(stack, lambda table: table.delete(at(7)), lambda table: table.delete(at(8)))
    assert check.lost == [place(stack, 7), place(stack, 8)]
    assert check.sentence == "Of 400 events: 2 lost: partition 0 7 to 8"
    assert not check.holds


def test_a_row_too_many_is_doubled_at_its_position(stack: EmbeddedStack) -> None:
    check = checked(stack, lambda table: write_deltalake(table, rows_at(table, 9), mode="append"))
    assert (check.doubled, check.lost, check.altered) == ([place(stack, 9)], [], [])
    assert not check.holds


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Request", "Request || ' '"),
        ("Response", "NULL"),
        ("EventTime", "'2026-01-05T08:00:00Z'"),
        ("AppSubscriptionKey", "'v1-00000000000000000000000000000000'"),
        ("offset", "'12'"),
        ("enqueued_at", "to_timestamp_micros(1767600000000001)"),
        ("body", "X'00'"),
    ],
)
def test_a_changed_value_is_named_with_its_column_and_position(
    column: str, value: str, stack: EmbeddedStack
) -> None:
    readable = pl.scan_delta(str(stack.lake / OPENAI_EVENTS.name)).filter(
        pl.col("Response").is_not_null(), pl.col("partition_id") == "0"
    )
    number = readable.collect()["sequence_number"][3]
    check = checked(stack, lambda table: _update(table, column, value, at(number)))
    assert check.altered == [(place(stack, number), column)]
    assert (check.lost, check.doubled, check.foreign) == ([], [], [])


def test_one_byte_of_an_unreadable_event_matters(stack: EmbeddedStack) -> None:
    unreadable = pl.scan_delta(str(stack.lake / OPENAI_EVENTS.name)).filter(pl.col("body").is_not_null())
    row = unreadable.collect().row(0, named=True)
    changed = f"X'{bytes([row['body'][0] ^ 1, *row['body'][1:]]).hex()}'"
    where = at(row["sequence_number"], row["partition_id"])
    check = checked(stack, lambda table: _update(table, "body", changed, where))
    assert check.altered == [(place(stack, row["sequence_number"], row["partition_id"]), "body")]


def test_a_row_of_another_hub_is_foreign(stack: EmbeddedStack) -> None:
    def add(table: DeltaTable) -> None:
        rows = rows_at(table, 5).with_columns(event_hub=pl.lit("127.0.0.1/another"))
        write_deltalake(table, rows, mode="append")

    assert checked(stack, add).foreign == [place(stack, 5)._replace(event_hub="127.0.0.1/another")]


def test_a_row_of_another_life_of_the_hub_is_foreign(stack: EmbeddedStack) -> None:
    def add(table: DeltaTable) -> None:
        rows = rows_at(table, 5).with_columns(incarnation=pl.lit("2020-01-01T00:00:00.000Z"))
        write_deltalake(table, rows, mode="append")

    check = checked(stack, add)
    assert [each.incarnation for each in check.foreign] == ["2020-01-01T00:00:00.000Z"]
    assert not check.holds


def test_a_row_at_a_wrong_position_is_lost_here_and_foreign_there(stack: EmbeddedStack) -> None:
    check = checked(stack, lambda table: _update(table, "sequence_number", "1000000", at(6)))
    assert (check.lost, check.foreign) == ([place(stack, 6)], [place(stack, 1_000_000)])


def test_two_rows_that_changed_places_are_altered(stack: EmbeddedStack) -> None:
    swapped = "CASE WHEN sequence_number = 3 THEN 4 ELSE 3 END"
    where = "partition_id = '0' AND sequence_number IN (3, 4)"
    check = checked(stack, lambda table: _update(table, "sequence_number", swapped, where))
    assert {each for each, _ in check.altered} == {place(stack, 3), place(stack, 4)}


def test_an_event_that_the_hub_acknowledged_and_lost_is_named(stack: EmbeddedStack) -> None:
    for log in (stack.folder / "hub" / HUB / "0").glob("*.log"):
        log.write_bytes(log.read_bytes()[:-1])
    check = checked(stack)
    assert check.unsent
    assert "acknowledged by the hub and not in it" in check.sentence


def test_what_retention_took_before_it_was_captured_is_expired_and_not_lost(stack: EmbeddedStack) -> None:
    (stack.folder / "hub" / HUB / "0" / "start").write_bytes((3).to_bytes(8, "big"))
    check = checked(stack, lambda table: table.delete("partition_id = '0' AND sequence_number < 4"))
    assert [each.sequence_number for each in check.expired] == [0, 1, 2]
    assert check.lost == [place(stack, 3)]


def test_events_compared_before_can_be_left_out(stack: EmbeddedStack) -> None:
    DeltaTable(str(stack.lake / OPENAI_EVENTS.name)).delete(at(7))
    lake, hub = Lake(str(stack.lake)), hub_of(stack)
    assert check_events(lake, [hub], stack.ledgers, FINGERPRINT, {"0": 7}).lost == []
    assert check_events(lake, [hub], stack.ledgers, FINGERPRINT, {"0": 6}).lost == [place(stack, 7)]


def test_another_pepper_is_seen(stack: EmbeddedStack) -> None:
    lake, other = Lake(str(stack.lake)), KeyFingerprint(b"another pepper of the tests", 1)
    check = check_events(lake, [hub_of(stack)], stack.ledgers, other)
    assert "AppSubscriptionKey" in {column for _, column in check.altered}


def _update(table: DeltaTable, column: str, value: str, where: str) -> None:
    table.update(updates={column: value}, predicate=where)
