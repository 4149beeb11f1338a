"""Before it writes, capture looks at the table: one that contradicts itself is refused with what to do."""

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from oai_usage_pipeline.capture import preflight
from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.capture.commit import Step
from oai_usage_pipeline.capture.contents import contents_of
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.errors import LakeDamaged, PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.capture import damage
from oai_usage_pipeline_tests.capture.damage import FINGERPRINT, NOW, capture, captured_lake, hub
from oai_usage_pipeline_tests.capture.list_source import FIRST_ENQUEUED_MS, ListSource, event

MORE = {"0": 50, "1": 25}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return captured_lake(tmp_path)


def refused(lake: Lake, source: ListSource | None = None) -> str:
    """What capture says instead of writing anything."""
    before = lake.existing(OPENAI_EVENTS).version
    with pytest.raises(LakeDamaged) as said:
        capture(source or hub(MORE), lake)
    assert lake.existing(OPENAI_EVENTS).version == before
    return str(said.value)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (
            damage.restore,
            ["event 39 is its position, but is not in the table, whose last one is 19", "RESTORE"],
        ),
        (
            damage.overwrite,
            ["partition 1: event 19 is its position, but is not in the table, nor is any other"],
        ),
        (damage.overwrite_with_nothing, ["partition 0: event 39", "partition 1: event 19", "WRITE"]),
        (damage.delete_tail, ["event 39 is its position, but is not in the table, whose last one is 24"]),
        (
            damage.delete_middle,
            ["partition 0 (hub created", "6 events are no longer there, 7 to 12", "DELETE"],
        ),
        (damage.double_by_a_foreign_append, ["event 39 is there 2 times", "Another program added rows"]),
        (damage.forget_positions, ["event 29 is its position, but there are 10 rows above it, 30 to 39"]),
        (damage.lose_a_file, [".parquet is missing"]),
        (damage.cut_a_file, [".parquet has", "bytes, the log says"]),
        (damage.cut_last_log_entry, ["00000000000000000005.json is cut"]),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    harm: Callable[[Lake], None], words: list[str], lake: Lake
) -> None:
    harm(lake)
    said = refused(lake)
    for each in words:
        assert each in said
    assert "nothing is captured into it" in said
    assert "`oai-usage repair`" in said


def test_the_one_program_whose_commits_are_looked_for_is_another(lake: Lake) -> None:
    assert lake.existing(OPENAI_EVENTS).foreign_commits(100) == []
    damage.delete_middle(lake)
    assert [each.operation for each in lake.existing(OPENAI_EVENTS).foreign_commits(100)] == ["DELETE"]


def test_a_delete_in_the_middle_of_a_long_run_is_refused_by_the_next(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "LATELY", 3)
    run_with_a_foreign_commit(lake, 60, "sequence_number BETWEEN 7 AND 12 AND partition_id = '0'")
    assert "6 events are no longer there, 7 to 12" in refused(lake, hub({"0": 61, "1": 20}))


def test_a_delete_in_the_middle_of_the_first_run_is_refused_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "LATELY", 3)
    lake = Lake(str(tmp_path / "lake"))
    run_with_a_foreign_commit(lake, 20, "sequence_number = 1")
    assert "1 events are no longer there, 1" in refused(lake, hub({"0": 21}))


def test_a_foreign_commit_that_did_no_harm_has_all_read_until_a_capture_has_committed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Lake] = []

    def counted(lake: Lake, *args: Any) -> Any:
        looks.append(lake)
        return contents_of(lake, *args)

    monkeypatch.setattr(preflight, "contents_of", counted)
    write_deltalake(damage.table(lake), OPENAI_EVENTS.empty(), mode="append")
    for count, all_looks in ((41, 1), (42, 1), (42, 1), (43, 1)):
        capture(hub({"0": count, "1": 20}), lake)
        assert len(looks) == all_looks
    write_deltalake(damage.table(lake), OPENAI_EVENTS.empty(), mode="append")
    capture(hub({"0": 44, "1": 20}), lake)
    assert len(looks) == 2


def test_rows_doubled_in_the_middle_by_another_program_are_refused(lake: Lake) -> None:
    few = damage.rows(lake).filter(pl.col("sequence_number") == 7)
    write_deltalake(damage.table(lake), few, mode="append")
    assert "1 rows are there more than once" in refused(lake)


def test_rows_of_a_partition_that_has_no_position_are_refused(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    capture(hub({"0": 10}), lake)
    damage.forget_positions(lake)
    assert "it was never captured, by its position, but has 10 rows, 0 to 9" in refused(lake)


def test_a_damaged_partition_stops_the_others_too(lake: Lake) -> None:
    damage.delete_tail(lake)
    refused(lake)
    assert len(damage.numbers(lake, "1")) == 20


def test_a_damaged_table_is_refused_even_when_nothing_waits_in_the_hub(lake: Lake) -> None:
    damage.restore(lake)
    assert "is not in the table" in refused(lake, hub({"0": 40, "1": 20}))


def test_an_untouched_table_is_captured_into_however_many_days_and_idle_partitions_it_has(
    tmp_path: Path,
) -> None:
    lake = Lake(str(tmp_path / "lake"))
    day = 86_400
    for days in range(1, 12):
        busy = [event(n)._replace(enqueued_ms=FIRST_ENQUEUED_MS + n * day * 1000) for n in range(days)]
        capture(ListSource({"0": busy, "1": [event(0)], "2": []}), lake)
    assert len(lake.existing(OPENAI_EVENTS).days()) == 11
    assert damage.numbers(lake) == list(range(11))
    DeltaTable(lake.uri(OPENAI_EVENTS)).delete("partition_id = '1'")
    assert "partition 1: event 0 is its position" in refused(lake, ListSource({"0": busy, "1": [event(0)]}))


@pytest.mark.parametrize(
    ("readers", "feature"),
    [(["deletionVectors"], "deletionVectors"), (["columnMapping"], "columnMapping"), ([], "rowTracking")],
)
def test_features_that_cannot_be_written_are_named(readers: list[str], feature: str, lake: Lake) -> None:
    asked = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": readers}
    add_to_log(lake, {"protocol": {**asked, "writerFeatures": [feature, "changeDataFeed"]}})
    said = refused_unwritten(lake)
    assert f"protocol features {feature}" in said
    assert "docs/REPAIR.md" in said


def test_a_protocol_version_that_implies_renamed_columns_is_named(lake: Lake) -> None:
    add_to_log(lake, {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}})
    assert "reader version 2, writer version 5" in refused_unwritten(lake)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (pl.col("sequence_number").cast(pl.String), "column sequence_number is string, expected long"),
        (pl.col("enqueued_at").cast(pl.String), "column enqueued_at is string, expected timestamp"),
    ],
)
def test_a_column_of_another_type_is_named(change: pl.Expr, words: str, lake: Lake) -> None:
    rewrite(lake, damage.rows(lake).with_columns(change))
    assert words in refused_unwritten(lake)


def test_a_column_that_is_gone_is_named(lake: Lake) -> None:
    rewrite(lake, damage.rows(lake).drop("Response"))
    assert "column Response is missing" in refused_unwritten(lake)


def test_a_table_that_would_forget_positions_is_refused(lake: Lake) -> None:
    damage.table(lake).alter.set_table_properties(
        {"delta.setTransactionRetentionDuration": "interval 7 days"}, raise_if_not_exists=False
    )
    with pytest.raises(LakeDamaged, match="setTransactionRetentionDuration"):
        capture(hub(MORE), lake)


@pytest.mark.parametrize(
    ("behind", "is_told"),
    [(timedelta(minutes=4), False), (timedelta(minutes=6), True), (timedelta(days=1), True)],
)
def test_a_clock_behind_the_hubs_is_told_and_stops_nothing(
    behind: timedelta, is_told: bool, lake: Lake
) -> None:
    newest = datetime.fromtimestamp(FIRST_ENQUEUED_MS / 1000, UTC) + timedelta(seconds=39)
    captured = CaptureRun(hub(MORE), lake, FINGERPRINT, clock=lambda: newest - behind).execute()
    assert captured.event_count == 15
    assert (captured.clock_fault is not None) == is_told
    if captured.clock_fault:
        assert f"is behind by {behind}" in captured.clock_fault


def test_a_check_that_cannot_read_says_so_and_writes_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(self: LakeTable, rows: pl.LazyFrame) -> pl.DataFrame:
        raise PipelineError("the store is silent")

    monkeypatch.setattr(LakeTable, "read", unreadable)
    with pytest.raises(PipelineError, match="the store is silent"):
        capture(hub(MORE), lake)
    assert len(damage.numbers(lake)) == 40


def run_with_a_foreign_commit(lake: Lake, count: int, predicate: str) -> None:
    """Partition 0 up to so many events: more of our commits after it than are looked at without a mark."""
    steps = itertools.count()

    def interfere(step: Step) -> None:
        if step == "appended" and next(steps) == 1:
            damage.table(lake).delete(predicate)

    source = ListSource({"0": [event(n) for n in range(count)]}, chunk=1)
    run = CaptureRun(source, lake, FINGERPRINT, limits=Limits(rows=1), at_step=interfere, clock=lambda: NOW)
    assert run.execute().commit_count > preflight.LATELY + 2


def refused_unwritten(lake: Lake) -> str:
    """The same for a table whose version can't be compared by reading it."""
    with pytest.raises(LakeDamaged) as said:
        capture(hub(MORE), lake)
    return str(said.value)


def add_to_log(lake: Lake, action: dict[str, object]) -> None:
    entry = Path(lake.uri(OPENAI_EVENTS), "_delta_log", f"{damage.table(lake).version() + 1:020}.json")
    entry.write_text(json.dumps(action) + "\n")


def rewrite(lake: Lake, rows: pl.DataFrame) -> None:
    write_deltalake(damage.table(lake), rows, mode="overwrite", schema_mode="overwrite")
