"""Health says how hub and lake stand, what is wrong and what to do, and changes nothing by looking."""

import os
import shutil
import socket
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oai_usage_pipeline.audit import health as health_module
from oai_usage_pipeline.audit.health import NOT_ASKED, Health, health
from oai_usage_pipeline.audit.partition_health import PartitionHealth
from oai_usage_pipeline.audit.table_health import TableHealth
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.maintenance.compaction import compact
from oai_usage_pipeline.orchestration.health_lines import UpkeepLine
from oai_usage_pipeline.tables import (
    DEPLOYMENTS,
    OPENAI_EVENTS,
    PRICES,
    TABLES,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
    USAGE_EVENTS,
)
from oai_usage_pipeline_tests.capture.list_source import CREATED_AT, FIRST_ENQUEUED_MS, ListSource, event
from oai_usage_pipeline_tests.faults.azurite import lake_at
from oai_usage_pipeline_tests.landed import FINGERPRINT, Landing
from oai_usage_pipeline_tests.refresh.test_day import refresh_all

HISTORY_DAYS = 7
FIRST = datetime.fromtimestamp(FIRST_ENQUEUED_MS / 1000, UTC)


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Landing:
    """A lake that has followed all that its hub holds."""
    made = Landing(Lake(str(tmp_path_factory.mktemp("current") / "lake")))
    for _ in range(2):
        made.send(20)
    refresh_all(made.lake)
    return made


@pytest.fixture
def landing(current: Landing, tmp_path: Path) -> Landing:
    """A copy of it to change."""
    made = Landing(Lake(str(tmp_path / "lake")))
    shutil.copytree(current.lake.location, made.lake.location)
    made._source = deepcopy(current._source)
    return made


def look(landing: Landing, later: timedelta = timedelta(0)) -> Health:
    return health(landing._source, landing.lake, datetime.now(UTC) + later, HISTORY_DAYS)


def of(found: Health, name: str) -> TableHealth:
    return next(each for each in found.tables if each.table == name)


def files_of(lake: Lake) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path(lake.location).rglob("*")}


def captured(source: ListSource, lake: Lake) -> ListSource:
    assert CaptureRun(source, lake, FINGERPRINT).execute().errors == []
    return source


def test_a_lake_that_has_followed_is_healthy_and_looking_changes_no_file(current: Landing) -> None:
    before = files_of(current.lake)
    found = look(current)
    assert found.problems == []
    assert [(each.position, each.lag, each.lag_seconds) for each in found.partitions] == [(19, 0, 0.0)] * 2
    silver, bronze = of(found, USAGE_EVENTS.name), current.lake.existing(OPENAI_EVENTS)
    assert (silver.stale_days, of(found, OPENAI_EVENTS.name).stale_days) == (0, None)
    sizes = [each.size for each in bronze.data_files()]
    assert (of(found, OPENAI_EVENTS.name).files, of(found, OPENAI_EVENTS.name).size) == (2, sum(sizes))
    assert (of(found, OPENAI_EVENTS.name).rows, of(found, OPENAI_EVENTS.name).old_files) == (40, 0)
    assert files_of(current.lake) == before


def test_looking_makes_no_table_of_reference_data(landing: Landing) -> None:
    folders = [Path(landing.lake.uri(each)) for each in (PRICES, DEPLOYMENTS)]
    for each in folders:
        shutil.rmtree(each, ignore_errors=True)
    assert of(look(landing), USAGE_COST_HOURLY.name).stale_days is not None
    assert not any(each.exists() for each in folders)


def test_before_there_is_a_lake_there_is_nothing_wrong_and_none_is_made(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    found = health(ListSource({"0": []}), lake, datetime.now(UTC), HISTORY_DAYS)
    assert (found.problems, [each.position for each in found.partitions]) == ([], [None])
    assert {(each.table, each.version, each.files) for each in found.tables} == {
        (contract.name, None, 0) for contract in TABLES
    }
    assert not (tmp_path / "lake").exists()


def test_waiting_events_are_as_old_as_the_last_captured_one_at_most(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    source = captured(ListSource({"0": [event(each) for each in range(5)], "1": [event(0)]}), lake)
    source.partitions["0"] += [event(5), event(6)]

    def seen(seconds: int) -> Health:
        return health(source, lake, FIRST + timedelta(seconds=4 + seconds), HISTORY_DAYS)

    assert [(each.lag, each.lag_seconds) for each in seen(600).partitions] == [(2, 600.0), (0, 0.0)]
    assert seen(600).problems == []
    [problem] = seen(601).problems
    assert problem.startswith(
        "2 events of namespace/hub partition 0 wait, for up to 10 min: if as many do at the next look"
    )
    assert "`oai-usage run --until-idle`" in problem


def test_a_single_event_after_a_quiet_hour_has_waited_since_it_came(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    source = captured(ListSource({"0": [event(0)]}), lake)
    source.partitions["0"].append(event(1)._replace(enqueued_ms=FIRST_ENQUEUED_MS + 3_600_000))

    def seen(seconds: int) -> Health:
        return health(source, lake, FIRST + timedelta(seconds=3600 + seconds), HISTORY_DAYS)

    assert [(each.lag, each.lag_seconds) for each in seen(2).partitions] == [(1, 2.0)]
    assert seen(2).problems == []
    assert len(seen(601).problems) == 1


def test_where_nothing_was_captured_yet_nobody_knows_for_how_long_events_wait(tmp_path: Path) -> None:
    source = ListSource({"0": [event(0)]})
    found = health(source, Lake(str(tmp_path)), datetime.now(UTC), HISTORY_DAYS)
    assert [(each.lag, each.lag_seconds) for each in found.partitions] == [(1, None)]
    [problem] = found.problems
    assert problem.startswith("1 event of namespace/hub partition 0 waits, and nothing was captured")


def test_a_gap_that_is_not_on_record_yet_is_told_once_and_the_lag_behind_it_is_not(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    source = captured(ListSource({"0": [event(each) for each in range(5)]}), lake)
    source.partitions["0"] = [event(8)]
    [problem] = health(source, lake, FIRST + timedelta(days=1), HISTORY_DAYS).problems
    assert "events 5 to 7 are missing" in problem
    assert not CaptureRun(source, lake, FINGERPRINT).execute().event_count
    found = health(source, lake, FIRST + timedelta(days=1), HISTORY_DAYS)
    assert found.problems == found.open_gaps
    assert "5 to 7" in found.open_gaps[0]


def test_a_hub_that_was_set_back_is_told_although_no_gap_is_on_record(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    source = captured(ListSource({"0": [event(each) for each in range(5)]}), lake)
    source.partitions["0"] = [event(0)]
    [problem] = health(source, lake, FIRST, HISTORY_DAYS).problems
    assert "event 4 is committed, but the hub's last is 0" in problem


def test_days_that_are_behind_are_counted_and_a_problem_after_ten_minutes(landing: Landing) -> None:
    landing.send(10, day=11)
    just_now, later = look(landing), look(landing, timedelta(minutes=11))
    assert of(just_now, USAGE_EVENTS.name).stale_days == 1
    assert of(just_now, USAGE_EVENTS.name).oldest_stale_day == "2026-03-11"
    assert just_now.problems == []
    [problem] = later.problems
    assert problem.startswith("usage_events is behind on 1 day, from 2026-03-11 on: ")


def test_files_that_nothing_names_age_from_when_they_were_replaced(landing: Landing) -> None:
    folder = Path(landing.lake.uri(OPENAI_EVENTS))
    for path in folder.rglob("*.parquet"):
        os.utime(path, (0, 0))
    compact(landing.lake, OPENAI_EVENTS, datetime.now(UTC).date())
    merged = of(look(landing), OPENAI_EVENTS.name)
    assert (merged.files, merged.old_files) == (1, 2)
    assert merged.old_size == sum(
        path.stat().st_size for path in folder.rglob("*.parquet") if path.stat().st_mtime == 0
    )
    assert merged.oldest_old_file_at is not None
    assert datetime.now(UTC) - merged.oldest_old_file_at < timedelta(minutes=5)
    assert look(landing, timedelta(days=8.9)).problems == []
    [problem] = look(landing, timedelta(days=9.1)).problems
    assert problem.startswith("openai_events has files that nothing has named for 9 days")
    assert "`oai-usage maintain`" in problem
    # A checkpoint remembers when, after the log's entries are gone.
    landing.lake.existing(OPENAI_EVENTS).checkpoint()
    again = of(look(landing), OPENAI_EVENTS.name)
    assert again.oldest_old_file_at == merged.oldest_old_file_at
    assert again.checkpoint_version == again.version
    # Since when a file isn't named that no log tells of, isn't known: it may be long since it was written.
    (folder / "left-behind.parquet").write_bytes(b"rows")
    os.utime(folder / "left-behind.parquet", (86_400, 86_400))
    assert of(look(landing), OPENAI_EVENTS.name).oldest_old_file_at == merged.oldest_old_file_at


def test_an_unknown_age_of_old_files_is_shown_as_unknown_and_is_no_problem(landing: Landing) -> None:
    left = Path(landing.lake.uri(OPENAI_EVENTS), "left-behind.parquet")
    left.write_bytes(b"rows")
    os.utime(left, (86_400, 86_400))
    found = look(landing)
    line = UpkeepLine.of(of(found, OPENAI_EVENTS.name), datetime.now(UTC))
    assert (line.old_files, line.oldest) == (1, "unknown")
    assert found.problems == []


def test_what_fails_is_a_problem_and_hides_nothing_else(landing: Landing) -> None:
    for path in Path(landing.lake.uri(TOKEN_USAGE_HOURLY), "_delta_log").glob("*.json"):
        path.write_text("cut")
    found = look(landing)
    assert {each.table for each in found.tables} >= {OPENAI_EVENTS.name, USAGE_EVENTS.name}
    assert len(found.partitions) == 2
    assert all("token_usage_hourly: the log of the table" in each for each in found.faults)
    assert set(found.faults) <= set(found.problems)


def test_a_lake_that_is_away_is_asked_once_and_the_rest_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "WAITED_SECONDS", 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Nobody listens there.
        lake = lake_at(taken.getsockname()[1], "az://lake/away", retry_timeout="0s")
        found = health(ListSource({"0": [event(0)]}), lake, FIRST, HISTORY_DAYS)
    assert (found.partitions, found.tables) == ([], [])
    [away, rest] = found.problems
    assert away.startswith("openai_events: the table at az://lake/away/openai_events can't be used")
    assert rest == NOT_ASKED


def test_old_files_of_closed_months_are_no_problem() -> None:
    old = TableHealth("chargeback_monthly", 1, 1, "2026-03-01", 1, 1, 0, None, False, 9, 9, FIRST, None, None)
    assert list(old.problems(FIRST + timedelta(days=400), HISTORY_DAYS)) == []
    assert list(replace(old, table="prices").problems(FIRST + timedelta(days=400), HISTORY_DAYS)) != []


def test_a_partition_without_lag_is_no_problem_however_old_its_last_event() -> None:
    idle = PartitionHealth("namespace/hub", CREATED_AT, "0", 9, 9, 0, 0.0, None)
    assert idle.problem is None
