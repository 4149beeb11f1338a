"""Gaps of capture in gold: the hours concerned are marked, only their days are done again, always exactly."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from oai_usage_pipeline.audit.invariants import gold_equals_silver
from oai_usage_pipeline.capture.gaps import Gap, record_gap, rewrite
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.derivation import EVERY_DAY
from oai_usage_pipeline.refresh.gold import TOKEN_USAGE_HOURLY_DERIVATION, gold_of
from oai_usage_pipeline.refresh.incomplete import IncompleteHours
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY, USAGE_EVENTS
from oai_usage_pipeline_tests.usage.silver_rows import silver

MIDNIGHT = datetime(2026, 5, 2, tzinfo=UTC)
HUB = Hub("namespace/hub", "2026-05-01T22:00:00.000Z", ("0",))
HOURS = [MIDNIGHT + timedelta(hours=number) for number in range(-26, 26)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A call in each hour of three days, aggregated."""
    lake = Lake(str(tmp_path / "lake"))
    land(lake, *HOURS)
    refresh(lake)
    return lake


def land(lake: Lake, *times: datetime) -> None:
    table = lake.table(USAGE_EVENTS)
    first = table.row_count()
    rows = [{"event_at": at, "input_tokens": 1, "response_id": f"r{first + n}"} for n, at in enumerate(times)]
    table.append(silver(*rows, first_number=first), {})


def refresh(lake: Lake) -> list[tuple[str, str]]:
    days = [each.day for each in stale_days(lake, TOKEN_USAGE_HOURLY_DERIVATION)]
    return [(each.day, each.mode) for each in refresh_days(lake, TOKEN_USAGE_HOURLY_DERIVATION, days)]


def lose(lake: Lake, after: datetime | None, before: datetime, first: int = 10, last: int = 14) -> None:
    record_gap(lake, HUB, "0", first, last, after, before, before)


def forget(lake: Lake) -> None:
    rewrite(lake, lambda _: [])


def gold(lake: Lake) -> pl.DataFrame:
    return lake.table(TOKEN_USAGE_HOURLY).scan().collect()


def marked(lake: Lake) -> list[datetime]:
    return gold(lake).filter("is_incomplete")["hour_at"].sort().to_list()


def assert_is_a_rebuild(lake: Lake) -> None:
    source, hours = lake.table(USAGE_EVENTS), IncompleteHours.read(lake)
    days = sorted({str(day) for day in source.scan().collect()["usage_date"]})
    rebuilt = pl.concat([hours.marked(gold_of(source, day), day) for day in days])
    assert_frame_equal(gold(lake), rebuilt, check_row_order=False)
    assert gold_equals_silver(lake).holds


def test_without_a_gap_every_hour_is_complete(lake: Lake) -> None:
    assert gold(lake)["is_incomplete"].to_list() == [False] * len(HOURS)


def test_the_hours_between_the_events_around_a_gap_are_marked(lake: Lake) -> None:
    lose(lake, MIDNIGHT + timedelta(hours=3, minutes=30), MIDNIGHT + timedelta(hours=5, minutes=1))
    assert refresh(lake) == [("2026-05-02", "rebuilt")]
    assert marked(lake) == [MIDNIGHT + timedelta(hours=number) for number in (3, 4, 5)]
    assert_is_a_rebuild(lake)
    assert refresh(lake) == []


def test_a_call_may_have_begun_in_the_hour_before_its_event_was_received(lake: Lake) -> None:
    lose(lake, MIDNIGHT + timedelta(minutes=9), MIDNIGHT + timedelta(minutes=11))
    assert {day for day, _ in refresh(lake)} == {"2026-05-01", "2026-05-02"}
    assert marked(lake) == [MIDNIGHT - timedelta(hours=1), MIDNIGHT]


def test_only_days_whose_hours_change_are_done_again(lake: Lake) -> None:
    lose(lake, MIDNIGHT + timedelta(hours=3), MIDNIGHT + timedelta(hours=4))
    refresh(lake)
    lose(lake, MIDNIGHT + timedelta(hours=3), MIDNIGHT + timedelta(hours=25), last=40)
    assert {day for day, _ in refresh(lake)} == {"2026-05-02", "2026-05-03"}
    lose(lake, MIDNIGHT + timedelta(hours=7), MIDNIGHT + timedelta(hours=9), first=60, last=70)
    assert refresh(lake) == []
    assert_is_a_rebuild(lake)


def test_an_acknowledged_gap_stays_marked_and_makes_nothing_stale(lake: Lake) -> None:
    lose(lake, MIDNIGHT + timedelta(hours=3, minutes=30), MIDNIGHT + timedelta(hours=4))
    refresh(lake)

    def acknowledge(gaps: list[Gap]) -> list[Gap]:
        return [
            replace(each, acknowledged_at=MIDNIGHT, acknowledged_by="Ada", reason="gone") for each in gaps
        ]

    rewrite(lake, acknowledge)
    assert refresh(lake) == []
    assert len(marked(lake)) == 2


def test_a_gap_that_is_none_after_all_takes_its_marks_back(lake: Lake) -> None:
    lose(lake, MIDNIGHT + timedelta(hours=3, minutes=30), MIDNIGHT + timedelta(hours=4))
    refresh(lake)
    forget(lake)
    assert refresh(lake) == [("2026-05-02", "rebuilt")]
    assert marked(lake) == []
    assert refresh(lake) == []


def test_a_gap_that_comes_and_goes_while_days_are_being_done_leaves_no_mark(lake: Lake) -> None:
    lose(lake, MIDNIGHT - timedelta(hours=2), MIDNIGHT + timedelta(hours=2))
    refresh_days(lake, TOKEN_USAGE_HOURLY_DERIVATION, ["2026-05-01"])
    assert len(marked(lake)) == 3
    forget(lake)
    assert refresh(lake) == [("2026-05-01", "rebuilt")]
    assert marked(lake) == []
    assert refresh(lake) == []


def test_new_calls_in_an_incomplete_hour_are_marked_as_they_are_added(lake: Lake) -> None:
    lose(lake, MIDNIGHT + timedelta(hours=3, minutes=30), MIDNIGHT + timedelta(hours=4))
    refresh(lake)
    land(lake, MIDNIGHT + timedelta(hours=3, minutes=59), MIDNIGHT + timedelta(hours=9))
    assert refresh(lake) == [("2026-05-02", "extended")]
    assert len(marked(lake)) == 2
    assert gold(lake)["request_count"].sum() == len(HOURS) + 2
    assert_is_a_rebuild(lake)


def test_days_that_come_later_are_marked_when_they_are_made(lake: Lake) -> None:
    later = MIDNIGHT + timedelta(days=3)
    lose(lake, later, later + timedelta(hours=1))
    assert refresh(lake) == []
    land(lake, later)
    refresh(lake)
    assert marked(lake) == [later]
    assert_is_a_rebuild(lake)


def test_before_the_first_event_ever_the_hub_was_made(lake: Lake) -> None:
    lose(lake, None, MIDNIGHT)
    refresh(lake)
    assert marked(lake) == [MIDNIGHT - timedelta(hours=number) for number in (3, 2, 1, 0)]


def test_a_mark_that_is_not_the_record_is_found_and_named(lake: Lake) -> None:
    DeltaTable(lake.uri(TOKEN_USAGE_HOURLY)).update(
        updates={"is_incomplete": "true"}, predicate="usage_date = '2026-05-02'"
    )
    assert not gold_equals_silver(lake).holds


def test_a_gap_whose_times_contradict_each_other_marks_the_hour_that_ends_it() -> None:
    later = MIDNIGHT + timedelta(hours=5)
    hours = IncompleteHours.of([{"after_at": later, "before_at": MIDNIGHT, "incarnation": "unknown"}])
    assert hours.spans == ((MIDNIGHT - timedelta(hours=1), MIDNIGHT),)
    unknown = IncompleteHours.of([{"after_at": None, "before_at": later, "incarnation": "unknown"}])
    assert unknown.spans == ((later - timedelta(hours=1), later),)


_instant = st.integers(-26 * 60, 26 * 60).map(lambda minutes: MIDNIGHT + timedelta(minutes=minutes))
_span = st.tuples(_instant, _instant).map(sorted)


@given(st.lists(_span, max_size=4))
def test_an_hour_is_marked_exactly_if_a_gap_reaches_into_it(spans: list[list[datetime]]) -> None:
    gaps = [
        {"after_at": start, "before_at": end, "incarnation": HUB.incarnation, "first_sequence_number": 1}
        for start, end in spans
    ]
    hours = IncompleteHours.of(gaps)
    reach = timedelta(minutes=10)
    for day in ("2026-05-01", "2026-05-02", "2026-05-03"):
        rows = pl.DataFrame({"hour_at": [each for each in HOURS if each.date().isoformat() == day]})
        for hour, is_marked in hours.marked(rows, day).iter_rows():
            next_hour = hour + timedelta(hours=1)
            assert is_marked == any(start - reach < next_hour and hour <= end for start, end in spans)
        assert bool(hours.digest(day)) == bool(hours.of_day(day))
    assert bool(hours.digest(EVERY_DAY)) == bool(spans)


# Without shrinking: each example is a lake of its own.
@settings(
    max_examples=3,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.one_of(_instant, _span, st.none()), min_size=2, max_size=6))
def test_whatever_comes_between_passes_gold_is_that_of_a_rebuild(
    tmp_path_factory: pytest.TempPathFactory, steps: list[datetime | list[datetime] | None]
) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    land(lake, MIDNIGHT - timedelta(hours=1), MIDNIGHT, MIDNIGHT + timedelta(days=1))
    for number, step in enumerate(steps):
        if step is None:
            forget(lake)
        elif isinstance(step, datetime):
            land(lake, step)
        else:
            lose(lake, step[0], step[1], first=number * 10, last=number * 10 + 3)
        refresh(lake)
        assert refresh(lake) == []
        assert_is_a_rebuild(lake)
