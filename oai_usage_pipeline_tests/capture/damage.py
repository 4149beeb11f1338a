"""Ways in which a bronze table comes to harm, each done for real to a captured lake."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.capture.repair import Plan, Repair
from oai_usage_pipeline.capture.run import Captured, CaptureRun
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import ListSource, event

FINGERPRINT = KeyFingerprint(b"pepper of the tests", 1)
NOW = datetime(2026, 1, 7, tzinfo=UTC)
DAY_OF_NUMBERS = 86_400
"""Events come one a second: so many later is another day."""


def hub(counts: dict[str, int], first: int = 0) -> ListSource:
    """A hub that holds the events from `first` on, so many by partition in all."""
    return ListSource({each: [event(n) for n in range(first, count)] for each, count in counts.items()})


def capture(source: ListSource, lake: Lake) -> Captured:
    return CaptureRun(source, lake, FINGERPRINT, limits=Limits(rows=25), clock=lambda: NOW).execute()


def captured_lake(folder: Path) -> Lake:
    """Two partitions of 40 and 20 events, landed in three passes: so commits 1, 2 and 3 hold rows."""
    lake = Lake(str(folder / "lake"))
    for part in (1, 2, 3, 4):
        assert capture(hub({"0": 10 * part, "1": 5 * part}), lake).errors == []
    return lake


def captured_at_once(lake: Lake) -> None:
    """The same events in one commit, which alone names their positions."""
    source = hub({"0": 40, "1": 20})
    CaptureRun(source, lake, FINGERPRINT, limits=Limits(rows=1000), clock=lambda: NOW).execute()


def repair(source: ListSource, lake: Lake, agree: Callable[[Plan], bool] = lambda _: True) -> list[str]:
    """What was done, in sentences; nothing must be left."""
    done: list[str] = []
    left = Repair(source, lake, FINGERPRINT, lambda: NOW, agree, done.append).execute()
    assert left.is_sound, left
    return done


def table(lake: Lake) -> DeltaTable:
    return DeltaTable(lake.uri(OPENAI_EVENTS))


def restore(lake: Lake, version: int = 3) -> None:
    table(lake).restore(version)


def overwrite(lake: Lake) -> None:
    write_deltalake(table(lake), rows(lake).head(3), mode="overwrite")


def overwrite_with_nothing(lake: Lake) -> None:
    write_deltalake(table(lake), OPENAI_EVENTS.empty(), mode="overwrite")


def delete_tail(lake: Lake) -> None:
    table(lake).delete("partition_id = '0' AND sequence_number >= 25")


def delete_middle(lake: Lake) -> None:
    table(lake).delete("sequence_number BETWEEN 7 AND 12")


def delete_middle_and_tail(lake: Lake) -> None:
    table(lake).delete("partition_id = '0' AND (sequence_number BETWEEN 7 AND 12 OR sequence_number > 33)")


def double_by_a_foreign_append(lake: Lake) -> None:
    foreign = CommitProperties(app_transactions=[Transaction("another-program", 7)])
    write_deltalake(table(lake), rows(lake), mode="append", commit_properties=foreign)


def forget_positions(lake: Lake) -> None:
    """The last log entry is cut between its add and its txn: rows without their positions."""
    entry = Path(lake.uri(OPENAI_EVENTS), "_delta_log", f"{table(lake).version():020}.json")
    kept = [line for line in entry.read_text().splitlines() if "txn" not in json.loads(line)]
    entry.write_text("\n".join(kept) + "\n")


def cut_last_log_entry(lake: Lake) -> None:
    """The last log entry is cut after its first action: neither rows nor positions."""
    entry = Path(lake.uri(OPENAI_EVENTS), "_delta_log", f"{table(lake).version():020}.json")
    entry.write_text(entry.read_text().splitlines()[0] + "\n")


def lose_a_file(lake: Lake, place: int = -1) -> None:
    names = table(lake).get_add_actions(flatten=True)
    newest_last = pl.DataFrame(names).sort("modification_time")["path"].to_list()
    Path(lake.uri(OPENAI_EVENTS), newest_last[place]).unlink()


def cut_a_file(lake: Lake) -> None:
    """As a power cut leaves it: the newest data file without its end."""
    newest = pl.DataFrame(table(lake).get_add_actions(flatten=True)).sort("modification_time")["path"][-1]
    file = Path(lake.uri(OPENAI_EVENTS), newest)
    file.write_bytes(file.read_bytes()[:-100])


def forget_old_files(lake: Lake) -> None:
    """Vacuum at once, so that what was taken away is in no file any more."""
    table(lake).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


def delete_change_files(lake: Lake) -> None:
    """The files that Delta keeps of rows that a DELETE took away; vacuum leaves them for their time."""
    for each in Path(lake.uri(OPENAI_EVENTS), "_change_data").glob("**/*.parquet"):
        each.unlink()


def rows(lake: Lake) -> pl.DataFrame:
    return lake.existing(OPENAI_EVENTS).scan().collect()


def numbers(lake: Lake, partition_id: str = "0") -> list[int]:
    return sorted(rows(lake).filter(pl.col("partition_id") == partition_id)["sequence_number"])
