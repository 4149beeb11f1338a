"""Watermarks on two small tables: which days are behind, why, and what is noted with a day's rows."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.derivation import EVERY_DAY
from oai_usage_pipeline.refresh.watermark import MIXED, Watermarks
from oai_usage_pipeline.tables import TableContract

SOURCE = TableContract(
    name="source",
    schema={"day": pl.Date(), "their_day": pl.Date(), "number": pl.Int64()},
    partition_by="day",
    statistics=("number",),
    unique=(),
    version=1,
    description="",
)
TARGET = replace(SOURCE, name="target", version=7)

Days = list[tuple[str, int, bool]]


@dataclass
class Prices:
    """Reference data that say what they are of by day; `extra` days must be there without a source."""

    digests: dict[str, int] = field(default_factory=dict)
    extra: set[str] = field(default_factory=set)

    def digest(self, day: str) -> int:
        return self.digests.get(day, 0)

    def days(self) -> set[str]:
        return self.extra


class Pair:
    """A source and what follows from it."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.prices = Prices()
        self.day_column = "day"

    @property
    def source(self) -> LakeTable:
        return self.lake.table(SOURCE)

    @property
    def target(self) -> LakeTable:
        return self.lake.table(TARGET)

    @property
    def marks(self) -> Watermarks:
        return Watermarks(self.source, self.day_column, self.target, self.prices)

    def add(self, *days: int, rows: int = 1) -> None:
        """Source rows of days of March, in one commit; their calls were a day earlier."""
        self.source.append(self._rows(days, rows), {})

    def replace_day(self, day: int, rows: int = 1) -> None:
        self.source.replace_day(f"2026-03-{day:02}", self._rows((day,), rows), {})

    def follow(self, *days: int) -> None:
        """Bring these days up to date, in order."""
        marks = self.marks
        for day in days:
            rows = self._rows((day,), 1)
            target = self.target
            target.replace_day(f"2026-03-{day:02}", rows, marks.marks(target, f"2026-03-{day:02}"))

    def stale(self) -> Days:
        """Day, new rows, whether it must be rebuilt."""
        return [(each.day, each.new_rows, each.must_rebuild) for each in self.marks.stale_days(self.target)]

    def _rows(self, days: tuple[int, ...], rows: int) -> pl.DataFrame:
        dates = [date(2026, 3, day) for day in days for _ in range(rows)]
        calls = [day - timedelta(days=1) for day in dates]
        return pl.DataFrame(
            {"day": dates, "their_day": calls, "number": [1] * len(dates)}, schema=SOURCE.schema
        )


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(Lake(str(tmp_path)))


def test_days_that_were_never_derived_must_be_rebuilt_with_all_their_rows(pair: Pair) -> None:
    pair.add(10, 11, rows=3)
    pair.add(10)
    assert pair.stale() == [("2026-03-10", 4, True), ("2026-03-11", 3, True)]
    assert pair.marks.since(pair.target, "2026-03-10") is None


def test_a_day_that_was_brought_up_to_date_is_stale_no_more(pair: Pair) -> None:
    pair.add(10, 11)
    pair.follow(10)
    assert pair.stale() == [("2026-03-11", 1, True)]
    pair.follow(11)
    assert pair.stale() == []
    assert pair.marks.day_changes(pair.target, "2026-03-10") is None


def test_new_rows_make_their_own_day_stale_and_can_be_added(pair: Pair) -> None:
    pair.add(10, 11)
    pair.follow(10, 11)
    pair.add(11, rows=2)
    pair.add(11)
    assert pair.stale() == [("2026-03-11", 3, False)]
    since = pair.marks.since(pair.target, "2026-03-11")
    assert since == pair.source.version - 2


def test_a_day_that_was_done_alone_is_counted_from_its_own_mark(pair: Pair) -> None:
    pair.add(10, 11, rows=2)
    pair.follow(10)
    pair.add(10)
    assert pair.stale() == [("2026-03-10", 1, False), ("2026-03-11", 2, True)]


def test_days_with_marks_of_different_age_are_each_counted_from_their_own(pair: Pair) -> None:
    pair.add(10, 11, 12)
    pair.follow(10)
    pair.add(10, 11)
    pair.follow(11)
    pair.add(10, 11)
    assert pair.stale() == [("2026-03-10", 2, False), ("2026-03-11", 1, False), ("2026-03-12", 1, True)]


def test_replaced_rows_can_not_be_added(pair: Pair) -> None:
    pair.add(10, 11)
    pair.follow(10, 11)
    pair.replace_day(10, rows=4)
    assert pair.stale() == [("2026-03-10", 4, True)]


def test_a_day_whose_rows_were_all_deleted_is_rebuilt_to_none(pair: Pair) -> None:
    pair.add(10, 11)
    pair.follow(10, 11)
    DeltaTable(pair.source.uri).delete("day = '2026-03-10'")
    assert pair.stale() == [("2026-03-10", 0, True)]


def test_behind_since_is_the_commit_of_the_first_change_not_followed(pair: Pair) -> None:
    pair.add(10)
    pair.follow(10)
    pair.add(10)
    first = DeltaTable(pair.source.uri).history()[0]["timestamp"]
    pair.add(10)
    [changes] = pair.marks.stale_days(pair.target)
    assert changes.behind_since == datetime.fromtimestamp(first / 1000, UTC)


def test_the_last_day_is_marked_for_all_and_the_others_for_themselves(pair: Pair) -> None:
    pair.add(10, 11)
    marks, target = pair.marks, pair.target
    own = marks.app_id(target, "2026-03-10")
    assert marks.marks(target, "2026-03-10") == {own: pair.source.version}
    assert own == f"target/{pair.source.id}/v7/2026-03-10"
    pair.follow(10)
    last = pair.marks.marks(pair.target, "2026-03-11")
    ids = {marks.app_id(target, each) for each in ("2026-03-11", EVERY_DAY)}
    assert last == dict.fromkeys(ids, pair.source.version)


def test_the_newest_day_done_first_leaves_the_older_ones_behind(pair: Pair) -> None:
    pair.add(10, 11, 12)
    pair.follow(12, 11)
    assert pair.stale() == [("2026-03-10", 1, True)]


def test_a_mark_for_all_days_holds_for_days_that_are_new(pair: Pair) -> None:
    pair.add(10)
    pair.follow(10)
    pair.add(12, rows=2)
    # Nothing of the 12th was there when all was done: its rows can be added.
    assert pair.stale() == [("2026-03-12", 2, False)]


def test_the_newest_of_a_days_marks_counts(pair: Pair) -> None:
    pair.add(10, 11)
    pair.follow(10, 11)
    pair.add(10, 11)
    pair.follow(10)
    assert pair.marks.since(pair.target, "2026-03-10") == pair.source.version
    assert pair.stale() == [("2026-03-11", 1, False)]


def test_other_prices_make_their_own_day_stale(pair: Pair) -> None:
    pair.prices = Prices({"2026-03-10": 5, EVERY_DAY: 5})
    pair.add(10, 11)
    pair.follow(10, 11)
    assert pair.stale() == []
    pair.prices = Prices({"2026-03-10": 6, EVERY_DAY: 6})
    assert pair.stale() == [("2026-03-10", 0, True)]
    assert pair.marks.since(pair.target, "2026-03-10") is None


def test_prices_that_are_gone_make_stale_and_are_forgotten_with_a_zero(pair: Pair) -> None:
    pair.prices = Prices({"2026-03-10": 5, EVERY_DAY: 5})
    pair.add(10)
    pair.follow(10)
    pair.prices = Prices()
    assert pair.stale() == [("2026-03-10", 0, True)]
    digest = f"{pair.marks.app_id(pair.target, '2026-03-10')}/reference"
    assert pair.marks.marks(pair.target, "2026-03-10")[digest] == 0
    pair.follow(10)
    assert pair.stale() == []


def test_where_there_is_nothing_to_depend_on_no_digest_is_kept(pair: Pair) -> None:
    pair.add(10)
    assert not [name for name in pair.marks.marks(pair.target, "2026-03-10") if name.endswith("/reference")]


def test_prices_that_come_back_half_way_leave_no_day_wrong(pair: Pair) -> None:
    old, new = (
        Prices({"2026-03-10": 1, "2026-03-11": 1, EVERY_DAY: 1}),
        Prices({"2026-03-10": 2, "2026-03-11": 2, EVERY_DAY: 2}),
    )
    pair.prices = old
    pair.add(10, 11)
    pair.follow(10, 11)
    pair.prices = new
    everyone = f"{pair.marks.app_id(pair.target, EVERY_DAY)}/reference"
    assert pair.marks.marks(pair.target, "2026-03-10")[everyone] == MIXED
    pair.follow(10)
    pair.prices = old
    assert pair.stale() == [("2026-03-10", 0, True)]


def test_prices_that_go_half_way_leave_the_days_that_are_left_behind(pair: Pair) -> None:
    pair.prices = Prices({"2026-03-10": 1, "2026-03-11": 1, EVERY_DAY: 1})
    pair.add(10, 11)
    pair.follow(10, 11)
    pair.prices = Prices()
    pair.follow(10)
    # Nothing to depend on has the digest 0, which is not that of days made with different things.
    assert pair.stale() == [("2026-03-11", 0, True)]


def test_a_day_that_can_only_be_rebuilt_is_behind_since_ever(pair: Pair) -> None:
    pair.add(10)
    [changes] = pair.marks.stale_days(pair.target)
    assert changes.behind_since == datetime(1970, 1, 1, tzinfo=UTC)


def test_days_that_only_the_reference_has_are_asked_for(pair: Pair) -> None:
    pair.prices = Prices({"2026-03-20": 3, EVERY_DAY: 3}, {"2026-03-20"})
    pair.add(10)
    assert pair.stale() == [("2026-03-10", 1, True), ("2026-03-20", 0, True)]
    pair.follow(10, 20)
    assert pair.stale() == []
    pair.prices = Prices({"2026-03-20": 3, "2026-03-21": 1, EVERY_DAY: 4}, {"2026-03-20", "2026-03-21"})
    assert pair.stale() == [("2026-03-21", 0, True)]


def test_days_that_the_target_has_and_its_source_lost_are_rebuilt_after_a_new_contract(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.add(10, 11)
    pair.follow(10, 11)
    DeltaTable(pair.source.uri).delete("day = '2026-03-10'")
    monkeypatch.setattr(f"{__name__}.TARGET", replace(TARGET, version=8))
    assert pair.stale() == [("2026-03-10", 0, True), ("2026-03-11", 1, True)]


def test_a_day_column_that_is_not_the_partition_is_counted_from_the_rows(pair: Pair) -> None:
    pair.day_column = "their_day"
    pair.add(10, rows=2)
    pair.add(11)
    assert pair.stale() == [("2026-03-09", 2, True), ("2026-03-10", 1, True)]


def clean_up_to(pair: Pair, version: int) -> None:
    """Remove log entries as Delta does once they are older than their retention, behind a checkpoint."""
    DeltaTable(pair.source.uri).create_checkpoint()
    for number in range(version + 1):
        (Path(pair.source.uri) / "_delta_log" / f"{number:020}.json").unlink(missing_ok=True)


@pytest.mark.parametrize("all_done", [True, False], ids=["all were done", "one was not"])
def test_changes_that_were_cleaned_out_of_the_log_lead_to_rebuilds(all_done: bool, pair: Pair) -> None:
    pair.add(10, 11, rows=2)
    pair.follow(*((10, 11) if all_done else (10,)))
    pair.add(10)
    pair.add(11)
    clean_up_to(pair, pair.source.version - 1)
    assert pair.stale() == [("2026-03-10", 3, True), ("2026-03-11", 3, True)]


def test_what_an_older_mark_lost_does_not_touch_a_newer_one(pair: Pair) -> None:
    pair.add(10, 11, 12)
    pair.follow(10)
    pair.add(10)
    forgotten = pair.source.version
    pair.add(11)
    pair.follow(11)
    pair.add(11, rows=2)
    clean_up_to(pair, forgotten)
    assert pair.stale() == [("2026-03-10", 2, True), ("2026-03-11", 2, False), ("2026-03-12", 1, True)]


def test_a_log_that_was_cleaned_up_to_the_mark_loses_nothing(pair: Pair) -> None:
    pair.add(10, 11)
    pair.follow(10, 11)
    pair.add(11)
    clean_up_to(pair, pair.source.version - 1)
    assert pair.stale() == [("2026-03-11", 1, False)]


def test_a_day_is_not_behind_by_what_it_followed_later_than_others(pair: Pair) -> None:
    pair.add(10, 11, 12)
    pair.follow(10)
    pair.add(11)
    pair.add(12)
    pair.follow(11)
    assert [day for day, *_ in pair.stale()] == ["2026-03-12"]
