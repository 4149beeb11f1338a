"""What nobody needs any more goes, what somebody may need stays, and a crash leaves every table whole."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from oai_usage_pipeline.audit.invariants import positions_match
from oai_usage_pipeline.cli import main
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.properties import FORBIDDEN, PROPERTIES, STATISTICS
from oai_usage_pipeline.maintenance.cleaning import clean
from oai_usage_pipeline.maintenance.compaction import compact
from oai_usage_pipeline.maintenance.upkeep import maintain
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import (
    CHARGEBACK_MONTHLY,
    MONTH_CLOSINGS,
    OPENAI_EVENTS,
    SUBSCRIPTIONS,
    TABLES,
    USAGE_EVENTS,
)
from oai_usage_pipeline_tests.landed import Landing
from oai_usage_pipeline_tests.maintenance.conftest import DAY
from oai_usage_pipeline_tests.maintenance.test_compaction import TODAY, assert_sound
from oai_usage_pipeline_tests.refresh.test_day import table

WEEK_AND_A_DAY = 8 * 86_400


def aged(folder: Path) -> None:
    """Give every file in a folder the time of a week and a day ago."""
    then = time.time() - WEEK_AND_A_DAY
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


def test_files_go_when_their_time_is_over_and_not_before(landing: Landing) -> None:
    lake, folder = landing.lake, Path(landing.lake.uri(OPENAI_EVENTS))
    rows = table(lake, OPENAI_EVENTS)
    compact(lake, OPENAI_EVENTS, TODAY)
    (folder / "of-a-commit-under-way.parquet").write_bytes(b"rows")
    (folder / "left-behind.parquet").write_bytes(b"rows")
    os.utime(folder / "left-behind.parquet", (0, 0))
    assert clean(lake, OPENAI_EVENTS, 7, dry_run=True).old_files == 1
    assert (folder / "left-behind.parquet").exists()
    done = clean(lake, OPENAI_EVENTS, 7)
    assert (done.old_files, done.old_bytes) == (1, 4)
    assert not (folder / "left-behind.parquet").exists()
    assert len(list(folder.rglob("*.parquet"))) - len(list(folder.glob("_delta_log/*.parquet"))) == 2 + 5 + 1
    # Merged files are gone at once only where no history is to stay.
    assert clean(lake, OPENAI_EVENTS, 0).old_files == 5 + 1
    assert len(list(folder.glob("enqueued_date=*/*.parquet"))) == 2
    assert table(lake, OPENAI_EVENTS).equals(rows)
    assert positions_match(lake).holds


def test_the_log_is_cut_back_to_a_checkpoint_and_positions_stay(landing: Landing) -> None:
    lake, log = landing.lake, Path(landing.lake.uri(OPENAI_EVENTS), "_delta_log")
    clean(lake, OPENAI_EVENTS, 7)
    before = lake.existing(OPENAI_EVENTS)
    assert (log / f"{0:020}.json").exists()
    aged(log)
    done = clean(lake, OPENAI_EVENTS, 7)
    assert done.log_files_after < done.log_files
    assert done.log_bytes_after < done.log_bytes
    assert not (log / f"{0:020}.json").exists()
    after = lake.existing(OPENAI_EVENTS)
    assert after.version == before.version == after.first_readable_version()
    assert table(lake, OPENAI_EVENTS).height == 100
    assert_sound(lake)
    assert clean(lake, OPENAI_EVENTS, 7).log_files_after == done.log_files_after


def test_the_log_tells_since_when_a_file_that_upkeep_left_is_not_needed(landing: Landing) -> None:
    lake = landing.lake
    folder = Path(lake.uri(OPENAI_EVENTS))
    before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    compact(lake, OPENAI_EVENTS, TODAY)
    clean(lake, OPENAI_EVENTS, 0)
    lake.existing(OPENAI_EVENTS).checkpoint()
    [left, *_] = (path for path in before if not path.exists())
    left.write_bytes(before[left])
    found = lake.existing(OPENAI_EVENTS).leftovers()
    assert found.files == 1
    assert found.oldest_at is not None


def test_a_day_that_followed_is_extended_and_one_that_did_not_is_rebuilt(landing: Landing) -> None:
    """The change feed reads what was merged from the old files: when they are gone, days are made anew."""
    lake = landing.lake
    landing.send(10, day=10)
    compact(lake, OPENAI_EVENTS, TODAY)
    [stale] = stale_days(lake, USAGE_EVENTS_DERIVATION)
    assert (stale.day, stale.must_rebuild) == (DAY, False)
    clean(lake, OPENAI_EVENTS, 0)
    aged(Path(lake.uri(OPENAI_EVENTS), "_delta_log"))
    clean(lake, OPENAI_EVENTS, 1)
    refresh_days(lake, USAGE_EVENTS_DERIVATION, [DAY, "2026-03-11"])
    assert stale_days(lake, USAGE_EVENTS_DERIVATION) == []
    assert table(lake, USAGE_EVENTS).select("partition_id", "sequence_number").n_unique() == 110
    landing.send(10, day=10)
    assert refresh_days(lake, USAGE_EVENTS_DERIVATION, [DAY])[0].mode == "extended"


def test_a_quiet_week_makes_no_day_stale(landing: Landing) -> None:
    """Upkeep's own commits are all that the log of a quiet week holds, and then they go from it."""
    lake = landing.lake
    for _ in range(2):
        assert maintain(lake, TABLES, TODAY, 7).failures == []
        aged(Path(lake.location))
    lake.existing(OPENAI_EVENTS).claim_compaction("nothing but a commit")
    assert maintain(lake, TABLES, TODAY, 7).failures == []
    assert lake.existing(OPENAI_EVENTS).first_readable_version() > 9
    assert [stale_days(lake, each) for each in DERIVATIONS] == [[]] * len(DERIVATIONS)
    versions = [lake.existing(each.target).version for each in DERIVATIONS]
    maintain(lake, TABLES, TODAY, 7)
    assert [lake.existing(each.target).version for each in DERIVATIONS] == versions
    landing.send(10, day=11)
    assert refresh_days(lake, USAGE_EVENTS_DERIVATION, [DAY, "2026-03-11"])[0].mode == "unchanged"


def test_what_was_charged_for_a_closed_month_stays_readable(landing: Landing) -> None:
    lake = landing.lake
    [month] = sorted(lake.existing(CHARGEBACK_MONTHLY).days())
    version = lake.existing(CHARGEBACK_MONTHLY).version
    closing = {"usage_month": date(2026, 3, 1), "number": 1, "chargeback_version": version}
    lake.table(MONTH_CLOSINGS).append(pl.DataFrame([closing], schema=MONTH_CLOSINGS.schema), {"m": 1})
    charged = table(lake, CHARGEBACK_MONTHLY)
    for _ in range(2):
        lake.table(CHARGEBACK_MONTHLY).replace_day(month, charged.head(1), {})
    aged(Path(lake.uri(CHARGEBACK_MONTHLY)))
    assert clean(lake, CHARGEBACK_MONTHLY, 0).old_files == 1
    read = pl.read_delta(lake.uri(CHARGEBACK_MONTHLY), version=version)
    assert read.sort(pl.all()).equals(charged)


def test_upkeep_that_is_killed_leaves_every_table_whole(landing: Landing) -> None:
    lake, folder = landing.lake, Path(landing.lake.uri(OPENAI_EVENTS))
    rows = table(lake, OPENAI_EVENTS)
    version, known = lake.existing(OPENAI_EVENTS).version, set(folder.glob("enqueued_date=*/*.parquet"))
    program = (
        "import sys; from datetime import date; from oai_usage_pipeline.lake.lake import Lake;"
        "from oai_usage_pipeline.maintenance.compaction import compact;"
        "from oai_usage_pipeline.tables import OPENAI_EVENTS;"
        "lake = Lake(sys.argv[1]); compact(lake, OPENAI_EVENTS, date(2026, 3, 20));"
        "lake.existing(OPENAI_EVENTS).remove_old_files(24)"
    )
    there = partial(folder.glob, "enqueued_date=*/*.parquet")
    moments: tuple[Callable[[], bool], ...] = (
        lambda: lake.existing(OPENAI_EVENTS).version > version,
        lambda: bool(set(there()) - known),
        lambda: bool(known - set(there())),
    )
    for has_come in moments:
        with subprocess.Popen([sys.executable, "-c", program, lake.location]) as child:
            while child.poll() is None and not has_come():
                time.sleep(0.001)
            child.send_signal(signal.SIGKILL)
        assert table(lake, OPENAI_EVENTS).equals(rows)
        assert lake.existing(OPENAI_EVENTS).damaged_files() == []
    compact(lake, OPENAI_EVENTS, TODAY)
    lake.existing(OPENAI_EVENTS).remove_old_files(0)
    assert len(list(folder.glob("enqueued_date=*/*.parquet"))) == 2
    assert_sound(lake)


def test_a_table_gets_the_properties_that_it_lacks_when_it_is_opened_for_writing(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    schema = USAGE_EVENTS.empty().to_arrow().schema
    DeltaTable.create(
        lake.uri(USAGE_EVENTS),
        schema,
        partition_by=["enqueued_date"],
        configuration={STATISTICS: "sequence_number,subscription", "delta.checkpointInterval": "50"},
    )
    lake.existing(USAGE_EVENTS)
    assert lake.existing(USAGE_EVENTS).version == 0, "looking changes nothing"
    found = lake.table(USAGE_EVENTS)._handle.metadata().configuration
    assert found[STATISTICS] == ",".join(USAGE_EVENTS.statistics), "a name would stand in the log in clear"
    assert found["delta.checkpointInterval"] == "50", "somebody's choice"
    assert found["delta.enableChangeDataFeed"] == "true"
    version = lake.existing(USAGE_EVENTS).version
    assert (
        lake.table(replace(USAGE_EVENTS, statistics=(*USAGE_EVENTS.statistics, "status"))).version == version
    )
    DeltaTable(lake.uri(USAGE_EVENTS)).alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
    assert lake.table(USAGE_EVENTS)._handle.metadata().configuration["delta.enableChangeDataFeed"] == "true"
    assert FORBIDDEN not in PROPERTIES
    lake.table(SUBSCRIPTIONS)
    assert lake.table(SUBSCRIPTIONS).version == 0, "a new table lacks nothing"


def test_the_command_shows_before_and_after(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", landing.lake.location)
    arguments = ["maintain", "--table", "openai_events", "--table", "usage_events"]
    told = CliRunner().invoke(main, [*arguments, "--dry-run"])
    assert told.exit_code == 0, told.output
    assert "Nothing was changed" in told.output
    assert "prices" not in told.output
    assert len(landing.lake.existing(OPENAI_EVENTS).data_files()) == 5
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "openai_events of 2026-03-10: merged 3 files" in done.output
    assert "Older than 7 days, gone" in done.output
    refused = CliRunner().invoke(main, ["maintain", "--table", "nonsense"])
    assert refused.exit_code == 1
    assert "There is no table nonsense: expected some of" in refused.output
