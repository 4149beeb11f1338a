"""Texts go when their time is over, from every byte of the table, and nothing else changes."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.capture.source import HubEvent
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.privacy import rewriting
from oai_usage_pipeline.privacy.keeping import keep_of
from oai_usage_pipeline.privacy.retention import first_day_kept, purge, texts_by_day
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.tables import OPENAI_EVENTS, USAGE_EVENTS
from oai_usage_pipeline.usage.payload import without_texts
from oai_usage_pipeline_tests.capture.list_source import ListSource
from oai_usage_pipeline_tests.landed import FINGERPRINT
from oai_usage_pipeline_tests.usage.test_payload import CANARY, PLANTED

OTHER = "kettledrum"
"""A word of a day that is kept."""


class Hub:
    """A hub of one partition, captured into a lake; days are those of March 2026."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.source = ListSource({"0": []}, chunk=7)

    def send(self, day: int, *bodies: bytes) -> None:
        held = self.source.partitions["0"]
        at = int(datetime(2026, 3, day, 12, tzinfo=UTC).timestamp() * 1000)
        for body in bodies:
            held.append(HubEvent(len(held), str(len(held)), at + len(held), body))

    def capture(self, payloads: str = "all") -> None:
        keep = keep_of(payloads)  # type: ignore[arg-type]  # one of the three
        assert CaptureRun(self.source, self.lake, FINGERPRINT, keep=keep).execute().errors == []


def derive_all(lake: Lake) -> dict[str, pl.DataFrame]:
    for derivation in DERIVATIONS:
        refresh_days(lake, derivation, [each.day for each in stale_days(lake, derivation)])
    tables = {each.target.name: lake.existing(each.target).scan().collect() for each in DERIVATIONS}
    return {name: rows.sort(pl.struct(pl.all())) for name, rows in tables.items()}


def words_in(folder: Path, word: str) -> list[str]:
    """Files of a folder that hold a word, Parquet decompressed."""
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        raw = path.read_bytes()
        if path.suffix == ".parquet":
            raw += repr(pq.read_table(path).to_pylist()).encode()
        if word.encode() in raw:
            found.append(path.name)
    return found


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """Everything planted, on two days, and a further day to be kept."""
    made = Hub(Lake(str(tmp_path / "lake")))
    bodies = list(PLANTED.values())
    made.send(10, *bodies[::2])
    made.send(11, *bodies[1::2])
    made.capture()
    made.send(20, *(body.replace(CANARY.encode(), OTHER.encode()) for body in bodies[:5]))
    made.capture()
    return made


def test_no_word_is_left_in_any_byte_and_all_numbers_are(hub: Hub) -> None:
    folder = Path(hub.lake.location)
    before = derive_all(hub.lake)
    table = hub.lake.table(OPENAI_EVENTS)
    assert words_in(folder, CANARY)
    assert texts_by_day(hub.lake) == {"2026-03-10": 19, "2026-03-11": 18, "2026-03-20": 5}
    done = purge(hub.lake, date(2026, 3, 15))
    assert done.days == {"2026-03-10": 19, "2026-03-11": 18}
    assert done.removed_files > 0
    assert words_in(folder, CANARY) == []
    assert words_in(folder, OTHER), "days within their time keep their texts"
    assert derive_all(hub.lake).keys() == before.keys()
    for name, rows in derive_all(hub.lake).items():
        assert rows.equals(before[name]), name
    again = hub.lake.table(OPENAI_EVENTS)
    for app_id in (f"capture/{hub.source.describe().event_hub}/{hub.source.describe().incarnation}/0",):
        assert again.position(app_id) == table.position(app_id) is not None
    assert [each.sentence for each in verify(hub.lake) if not each.holds] == []
    assert purge(hub.lake, date(2026, 3, 15)).days == {}
    assert hub.lake.table(OPENAI_EVENTS).version == again.version, "a second time changes nothing"
    assert hub.lake.table(OPENAI_EVENTS).rows_by_day() == table.rows_by_day()
    purge(hub.lake, date(2026, 3, 15), old_files=True)
    assert hub.lake.table(OPENAI_EVENTS).version > again.version, "asked to, it looks for old files"
    hub.send(21, PLANTED["in a chat"])
    hub.capture()
    derive_all(hub.lake)
    assert [each.sentence for each in verify(hub.lake) if not each.holds] == [], "capture goes on as before"


def test_capture_goes_on_while_a_day_is_rewritten(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same day: what it commits makes the purge look again."""
    before = len(hub.source.partitions["0"])
    replace_day = LakeTable.replace_day
    calls = []

    def late(self: LakeTable, *args: object) -> None:
        calls.append(self.contract.name)
        if calls == [OPENAI_EVENTS.name]:
            hub.send(10, PLANTED["in a chat"])
            hub.send(21, PLANTED["in a chat"].replace(CANARY.encode(), OTHER.encode()))
            hub.capture()
        replace_day(self, *args)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(LakeTable, "replace_day", late)
    purge(hub.lake, date(2026, 3, 15))
    assert calls.count(OPENAI_EVENTS.name) == 3, "the first attempt was refused"
    assert hub.lake.table(OPENAI_EVENTS).row_count() == before + 2
    assert words_in(Path(hub.lake.location), CANARY) == []
    derive_all(hub.lake)
    assert [each.sentence for each in verify(hub.lake) if not each.holds] == []


def test_of_two_that_rewrite_at_once_one_looks_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of different days, which Delta by itself would let pass; and none is forgotten in the count."""
    replace_day = LakeTable.replace_day
    days: list[str] = []

    def late(self: LakeTable, day: str, *args: object) -> None:
        days.append(day)
        if len(days) == 1:
            rewriting.rewrite_day(hub.lake, "2026-03-11", without_texts)
        replace_day(self, day, *args)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(LakeTable, "replace_day", late)
    rewriting.rewrite_day(hub.lake, "2026-03-10", without_texts)
    assert days == ["2026-03-10", "2026-03-11", "2026-03-10"]
    assert hub.lake.existing(OPENAI_EVENTS).position("payloads") == 2
    assert rewriting.holds_old_files(hub.lake)


@pytest.mark.parametrize("step", ["follow", "remove_old_files"])
def test_a_purge_that_dies_is_finished_by_the_next(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from oai_usage_pipeline.privacy import retention

    derive_all(hub.lake)
    with monkeypatch.context() as dying:
        dying.setattr(retention, step, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            purge(hub.lake, date(2026, 3, 15))
    assert words_in(Path(hub.lake.location), CANARY)
    purge(hub.lake, date(2026, 3, 15))
    assert words_in(Path(hub.lake.location), CANARY) == []
    assert stale_days(hub.lake, DERIVATIONS[0]) == []


def test_files_of_a_commit_under_way_stay(hub: Hub) -> None:
    orphan = Path(hub.lake.uri(OPENAI_EVENTS)) / "enqueued_date=2026-03-10" / "part-under-way.parquet"
    orphan.write_bytes(b"of a commit that isn't there yet")
    purge(hub.lake, date(2026, 3, 15))
    assert orphan.exists()
    assert rewriting.ORPHAN_HOURS >= 24


def test_a_table_from_before_there_was_a_payload_is_purged(hub: Hub) -> None:
    table = hub.lake.table(OPENAI_EVENTS)
    rows = table.scan().collect()
    old = Lake(hub.lake.location + "-old")
    from deltalake import write_deltalake

    write_deltalake(
        old.uri(OPENAI_EVENTS),
        rows.drop("payload").to_arrow(),
        partition_by=["enqueued_date"],
        configuration={
            "delta.enableChangeDataFeed": "true",
            "delta.dataSkippingStatsColumns": "sequence_number",
        },
    )
    assert sum(texts_by_day(old).values()) == len(rows)
    purge(old, date(2026, 3, 15))
    assert words_in(Path(old.location), CANARY) == []
    assert old.existing(USAGE_EVENTS).row_count() == derive_all(hub.lake)[USAGE_EVENTS.name].height


def test_the_first_day_kept_is_a_whole_number_of_days_before() -> None:
    now = datetime(2026, 3, 31, 0, 5, tzinfo=UTC)
    assert first_day_kept(now, 30) == date(2026, 3, 1)


def test_nothing_else_is_ever_written_with_texts_left_out_at_capture(tmp_path: Path) -> None:
    hub = Hub(Lake(str(tmp_path / "lake")))
    hub.send(10, *PLANTED.values())
    hub.capture("accounting")
    derived = derive_all(hub.lake)[USAGE_EVENTS.name]
    assert words_in(tmp_path, CANARY) == []
    whole = Hub(Lake(str(tmp_path / "whole")))
    whole.source = hub.source
    whole.capture()
    assert derive_all(whole.lake)[USAGE_EVENTS.name].equals(derived)
    assert words_in(tmp_path / "whole", CANARY), "it was there to be left out"
