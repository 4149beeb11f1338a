"""Small files are merged, whoever writes meanwhile, and no row changes by it."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from oai_usage_pipeline.audit.invariants import nothing_doubled, verify
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.errors import LakeDamaged, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.upkeep import DataFile
from oai_usage_pipeline.maintenance.cleaning import clean
from oai_usage_pipeline.maintenance.compaction import (
    BRONZE_ROW_GROUP_ROWS,
    MOST_SMALL_FILES,
    TARGET_BYTES,
    DueDay,
    compact,
    due_days,
)
from oai_usage_pipeline.maintenance.upkeep import maintain
from oai_usage_pipeline.privacy.rewriting import rewrite_day
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import OPENAI_EVENTS, TABLES, USAGE_EVENTS
from oai_usage_pipeline_tests.landed import Landing
from oai_usage_pipeline_tests.maintenance.conftest import DAY
from oai_usage_pipeline_tests.refresh.test_day import refresh_all, table

TODAY = date(2026, 3, 20)


def assert_sound(lake: Lake) -> None:
    assert [each.sentence for each in verify(lake) if not each.holds] == []


def files_of(lake: Lake) -> dict[str, tuple[bytes, int]]:
    folder = Path(lake.location)
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths
    }


def test_every_row_is_as_it_was_and_no_day_is_stale(landing: Landing) -> None:
    lake = landing.lake
    made = [each.target for each in DERIVATIONS] + [OPENAI_EVENTS]
    before = {each.name: table(lake, each) for each in made}
    done = compact(lake, OPENAI_EVENTS, TODAY)
    assert (done.days, done.files, done.files_after) == (2, 5, 2)
    assert done.version_after > done.version
    assert done.bytes_after < done.bytes
    for contract in made[:-1]:
        compact(lake, contract, TODAY)
    assert all(table(lake, each).equals(before[each.name]) for each in made)
    assert [stale_days(lake, each) for each in DERIVATIONS] == [[]] * len(DERIVATIONS)
    assert_sound(lake)
    again = compact(lake, OPENAI_EVENTS, TODAY)
    assert (again.days, again.version_after) == (0, done.version_after)
    # What comes next is told apart from what was merged.
    assert CaptureRun(landing._source, lake, None).execute().event_count == 0  # type: ignore[arg-type]  # no event comes


def test_a_day_that_still_grows_is_left_alone(landing: Landing) -> None:
    done = compact(landing.lake, OPENAI_EVENTS, date(2026, 3, 11))
    assert (done.days, done.files, done.files_after) == (1, 5, 3)


def test_a_merged_file_keeps_keys_and_texts_out_of_the_log(landing: Landing) -> None:
    compact(landing.lake, OPENAI_EVENTS, TODAY)
    folder = Path(landing.lake.uri(OPENAI_EVENTS))
    lines = [line for path in folder.glob("_delta_log/*.json") for line in path.read_text().splitlines()]
    entries = [json.loads(line) for line in lines]
    added = [each["add"] for each in entries if "add" in each and not each["add"]["dataChange"]]
    assert len(added) == 2
    for each in added:
        statistics = json.loads(each["stats"])
        assert set(statistics["minValues"]) == set(statistics["maxValues"]) == set(OPENAI_EVENTS.statistics)
        parquet = pq.ParquetFile(folder / each["path"]).metadata
        column = parquet.row_group(0).column(OPENAI_EVENTS.empty().columns.index("Request") - 1)
        assert (column.path_in_schema, column.is_stats_set, column.compression) == ("Request", False, "ZSTD")


def test_which_days_are_due() -> None:
    small, large = 1000, TARGET_BYTES // 2
    files = [DataFile("2026-03-18", small)] * 2
    files += [DataFile("2026-03-19", small), DataFile("2026-03-19", large)]
    files += [DataFile("2026-03-20", small)] * MOST_SMALL_FILES
    assert due_days(files, TODAY) == [DueDay("2026-03-18", 2, 2 * small)]
    assert [each.day for each in due_days([*files, files[-1]], TODAY)] == ["2026-03-18", "2026-03-20"]
    months = [DataFile(month, small) for month in ("2026-02-01", "2026-03-01")] * 2
    assert [each.day for each in due_days(months, TODAY)] == ["2026-02-01"]
    whole = [DataFile(None, small)] * (MOST_SMALL_FILES + 1)
    assert due_days(whole[1:], TODAY) == []
    assert due_days(whole, TODAY) == [DueDay(None, len(whole), len(whole) * small)]
    assert DueDay(None, 9, TARGET_BYTES + 1).files_after == 2


def test_a_dry_run_tells_and_changes_no_byte(landing: Landing) -> None:
    before = files_of(landing.lake)
    told = maintain(landing.lake, TABLES, TODAY, 7, dry_run=True)
    assert told.failures == []
    bronze = next(each for each in told.compactions if each.table == OPENAI_EVENTS.name)
    assert (bronze.days, bronze.files, bronze.files_after) == (2, 5, 2)
    assert files_of(landing.lake) == before


def test_a_compaction_that_another_overtakes_is_refused(landing: Landing) -> None:
    lake = landing.lake
    lake.existing(OPENAI_EVENTS).claim_compaction("one")
    one = lake.existing(OPENAI_EVENTS)
    lake.existing(OPENAI_EVENTS).claim_compaction("other")
    other = lake.existing(OPENAI_EVENTS)
    with pytest.raises(PositionConflict):
        one.compact(DAY, "one", TARGET_BYTES, BRONZE_ROW_GROUP_ROWS)
    other.compact(DAY, "other", TARGET_BYTES, BRONZE_ROW_GROUP_ROWS)
    with pytest.raises(PositionConflict, match="another compaction has begun"):
        lake.existing(OPENAI_EVENTS).compact("2026-03-11", "one", TARGET_BYTES, BRONZE_ROW_GROUP_ROWS)
    assert len([each for each in lake.existing(OPENAI_EVENTS).data_files() if each.day == DAY]) == 1
    assert nothing_doubled(lake).holds


def test_many_that_compact_at_once_double_nothing(landing: Landing) -> None:
    start = threading.Barrier(4)

    def try_to() -> str:
        start.wait()
        try:
            compact(landing.lake, OPENAI_EVENTS, TODAY)
        except PositionConflict as conflict:
            return str(conflict)
        return ""

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda _: try_to(), range(4)))
    assert "" in ended
    assert nothing_doubled(landing.lake).holds, ended
    assert landing.lake.existing(OPENAI_EVENTS).row_count() == 100


def test_a_foreign_compaction_at_the_same_time_is_told_at_once(landing: Landing) -> None:
    lake = landing.lake
    lake.existing(OPENAI_EVENTS).claim_compaction("ours")
    ours = lake.existing(OPENAI_EVENTS)
    DeltaTable(lake.uri(OPENAI_EVENTS)).optimize.compact()
    with pytest.raises(LakeDamaged, match="another program compacted the same files"):
        ours.compact(DAY, "ours", TARGET_BYTES, BRONZE_ROW_GROUP_ROWS)


def test_a_day_that_is_replaced_meanwhile_is_compacted_as_it_is_then(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = landing.lake
    whole = table(lake, OPENAI_EVENTS)
    lake.existing(OPENAI_EVENTS).claim_compaction("ours")
    stale = lake.existing(OPENAI_EVENTS)
    rewrite_day(lake, DAY, lambda rows: rows.with_columns(reason=pl.lit("anew")))
    with pytest.raises(PositionConflict):
        stale.compact(DAY, "ours", TARGET_BYTES, BRONZE_ROW_GROUP_ROWS)
    compact(lake, OPENAI_EVENTS, TODAY)
    after = table(lake, OPENAI_EVENTS)
    assert len(after) == len(whole)
    assert set(after.filter(pl.col("enqueued_date") == date(2026, 3, 10))["reason"]) == {"anew"}


def test_upkeep_beside_captures_and_replaced_days_changes_no_event(landing: Landing) -> None:
    lake, done = landing.lake, threading.Event()

    def keep_up() -> int:
        rounds = 0
        while not done.is_set() or not rounds:
            for contract in (OPENAI_EVENTS, USAGE_EVENTS):
                try:
                    compact(lake, contract, TODAY)
                    clean(lake, contract, 1)
                except PositionConflict:
                    continue
            rounds += 1
        return rounds

    with ThreadPoolExecutor(1) as pool:
        rounds = pool.submit(keep_up)
        try:
            for _ in range(2):
                landing.send(10, day=11)
                refresh_days(lake, USAGE_EVENTS_DERIVATION, [DAY, "2026-03-11"])
                rewrite_day(lake, DAY, lambda rows: rows)
        finally:
            done.set()
        assert rounds.result() > 0
    refresh_all(lake)
    assert len(table(lake, OPENAI_EVENTS)) == 5 * 20 + 2 * 10
    assert_sound(lake)
