"""Tables keep up with their contracts, and two that open one at once don't get in each other's way."""

import threading
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from oai_usage_pipeline.errors import LakeUnavailable, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import SUBSCRIPTIONS, USAGE_EVENTS
from oai_usage_pipeline_tests.usage.silver_rows import silver

NEW = ("region", "estimated_input_tokens", "is_retrieval")
OLDER = replace(
    USAGE_EVENTS, schema={name: kind for name, kind in USAGE_EVENTS.schema.items() if name not in NEW}
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_a_table_of_an_older_contract_gains_the_columns_that_it_lacks(lake: Lake) -> None:
    lake.table(OLDER).append(silver({"input_tokens": 1}).drop(NEW), {"position": 7})
    table = lake.table(USAGE_EVENTS)
    table.append(silver({"input_tokens": 2, "region": "westeurope"}, first_number=1), {})
    rows = lake.existing(USAGE_EVENTS).scan().select(*USAGE_EVENTS.schema).collect().sort("input_tokens")
    assert rows.schema == pl.Schema(USAGE_EVENTS.schema)
    assert rows.select("input_tokens", "region").rows() == [(1, None), (2, "westeurope")]
    assert lake.existing(USAGE_EVENTS).position("position") == 7
    version = lake.existing(USAGE_EVENTS).version
    assert lake.table(USAGE_EVENTS).version == version


def test_commits_that_came_since_a_table_was_opened_are_left_out_and_shift_no_version(lake: Lake) -> None:
    lake.table(USAGE_EVENTS).append(silver({"input_tokens": 1}), {})
    DeltaTable(lake.uri(USAGE_EVENTS)).delete("input_tokens = 1")
    table = lake.existing(USAGE_EVENTS)
    lake.table(USAGE_EVENTS).append(silver({"input_tokens": 2}), {})
    DeltaTable(lake.uri(USAGE_EVENTS)).delete("input_tokens = 2")
    for found in (
        table.rewrites(),
        table.rewrites(1),
        table.foreign_commits(1),
        table.unproven_commits(1, 9),
    ):
        assert [(each.version, each.operation) for each in found] == [(2, "DELETE")]


def test_what_was_found_sound_is_not_unproven_and_what_came_after_it_is(lake: Lake) -> None:
    lake.table(USAGE_EVENTS).append(silver({"input_tokens": 1}), {})
    DeltaTable(lake.uri(USAGE_EVENTS)).delete("input_tokens = 1")
    DeltaTable(lake.uri(USAGE_EVENTS)).restore(1)
    # Whoever began earlier may commit later: what the other has found stays found.
    for sound_at in (2, 1):
        lake.table(USAGE_EVENTS).append(silver({"input_tokens": 2}), {}, sound_at=sound_at)
    table = lake.existing(USAGE_EVENTS)
    assert [str(each.version) for each in table.unproven_commits(2, 9)] == ["3"]
    lake.table(USAGE_EVENTS).append(silver({"input_tokens": 2}), {}, sound_at=3)
    assert lake.existing(USAGE_EVENTS).unproven_commits(1, 9) == []
    lake.table(USAGE_EVENTS).append(silver({"input_tokens": 2}), {})
    assert lake.existing(USAGE_EVENTS).unproven_commits(1, 1) == []


def test_looking_at_an_older_table_changes_nothing(lake: Lake) -> None:
    lake.table(OLDER)
    assert lake.existing(USAGE_EVENTS).version == 0


def test_many_that_open_an_older_table_at_once_all_find_it_whole(lake: Lake) -> None:
    lake.table(OLDER)
    found: list[list[str]] = []

    def open_it() -> None:
        for _ in range(20):
            try:
                found.append(lake.table(USAGE_EVENTS).scan().collect_schema().names())
            except PositionConflict:
                continue
            return

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(set(names) == set(USAGE_EVENTS.schema) for names in found)


def test_of_many_that_make_a_table_at_once_one_makes_it(tmp_path: Path) -> None:
    """delta-rs would commit the others' making behind the first, and with it another id of the table."""
    for number in range(10):
        lake, ready = Lake(str(tmp_path / str(number))), threading.Barrier(6)
        found: list[tuple[str, int]] = []
        _make_at_once(lake, ready, found)
        assert set(found) == {(lake.existing(USAGE_EVENTS).id, 0)}


def test_why_a_table_can_not_be_made_is_told(lake: Lake) -> None:
    lake.table(USAGE_EVENTS)
    Path(lake.uri(SUBSCRIPTIONS)).symlink_to("/dev/null/nowhere")
    with pytest.raises(LakeUnavailable, match="Could not create local directory"):
        lake.table(SUBSCRIPTIONS)


def _make_at_once(lake: Lake, ready: threading.Barrier, found: list[tuple[str, int]]) -> None:
    def make() -> None:
        ready.wait()
        table = lake.table(USAGE_EVENTS)
        found.append((table.id, table.version))

    threads = [threading.Thread(target=make) for _ in range(ready.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_replacement_that_a_compaction_overtakes_doubles_nothing(lake: Lake) -> None:
    """delta-rs lets such an overwrite pass, and leaves the compacted file with the former rows in place."""
    rows = pl.DataFrame([{"subscription": "a", "team": "x"}], schema=SUBSCRIPTIONS.schema)
    lake.table(SUBSCRIPTIONS).append(rows, {"r": 1})
    lake.table(SUBSCRIPTIONS).append(rows, {"r": 2})
    stale = lake.table(SUBSCRIPTIONS)
    DeltaTable(lake.uri(SUBSCRIPTIONS)).optimize.compact()
    with pytest.raises(PositionConflict):
        stale.replace(rows.with_columns(team=pl.lit("y")), {"r": 3})
    lake.table(SUBSCRIPTIONS).replace(rows.with_columns(team=pl.lit("y")), {"r": 3})
    assert lake.existing(SUBSCRIPTIONS).scan().collect()["team"].to_list() == ["y"]


def test_a_table_without_days_is_replaced_as_a_whole(lake: Lake) -> None:
    rows = pl.DataFrame([{"subscription": "a", "team": "x"}], schema=SUBSCRIPTIONS.schema)
    lake.table(SUBSCRIPTIONS).replace(rows, {"r": 1})
    lake.table(SUBSCRIPTIONS).replace(rows.with_columns(team=pl.lit("y")), {"r": 2})
    assert lake.existing(SUBSCRIPTIONS).scan().collect()["team"].to_list() == ["y"]
    stale = lake.table(SUBSCRIPTIONS)
    lake.table(SUBSCRIPTIONS).replace(rows, {"r": 3})
    with pytest.raises(PositionConflict):
        stale.replace(rows, {"r": 3})
