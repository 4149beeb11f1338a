"""Gold over a real lake: late records of a call that is counted already change what must change, no more."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.gold import TOKEN_USAGE_HOURLY_DERIVATION, gold_of
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY, USAGE_EVENTS
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT
from oai_usage_pipeline_tests.usage.silver_rows import silver

NOON = ENQUEUED_AT
MIDNIGHT = ENQUEUED_AT.replace(hour=0) + timedelta(days=1)
CALL = {"response_id": "chatcmpl-1", "input_tokens": 10, "output_tokens": 5}
LOGGED_AGAIN = CALL | {"event_shape": "policy", "request_id": "r"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def land(lake: Lake, *rows: dict[str, Any]) -> None:
    table = lake.table(USAGE_EVENTS)
    table.append(silver(*rows, first_number=table.row_count()), {})


def refresh(lake: Lake) -> list[tuple[str, str]]:
    days = [each.day for each in stale_days(lake, TOKEN_USAGE_HOURLY_DERIVATION)]
    return [(each.day, each.mode) for each in refresh_days(lake, TOKEN_USAGE_HOURLY_DERIVATION, days)]


def gold(lake: Lake) -> pl.DataFrame:
    return lake.table(TOKEN_USAGE_HOURLY).scan().collect()


def totals(lake: Lake) -> dict[str, int]:
    return gold(lake).select(pl.col("request_count", "duplicate_count", "input_tokens").sum()).to_dicts()[0]


def assert_is_a_rebuild(lake: Lake) -> None:
    table = lake.table(USAGE_EVENTS)
    days = sorted({str(day) for day in table.scan().collect()["usage_date"]})
    rebuilt = pl.concat([TOKEN_USAGE_HOURLY.empty(), *(gold_of(table, day) for day in days)])
    assert_frame_equal(gold(lake), rebuilt, check_row_order=False)


def test_a_second_log_of_a_call_that_comes_later_is_not_counted_again(lake: Lake) -> None:
    land(lake, CALL, {"input_tokens": 1})
    refresh(lake)
    land(lake, LOGGED_AGAIN | {"event_at": NOON + timedelta(seconds=3)})
    assert refresh(lake) == [("2026-05-01", "extended")]
    assert totals(lake) == {"request_count": 2, "duplicate_count": 1, "input_tokens": 11}
    assert_is_a_rebuild(lake)


def test_both_logs_in_one_pass_are_counted_once(lake: Lake) -> None:
    land(lake, {"input_tokens": 1})
    refresh(lake)
    land(lake, CALL, LOGGED_AGAIN)
    refresh(lake)
    assert totals(lake) == {"request_count": 2, "duplicate_count": 1, "input_tokens": 11}
    assert_is_a_rebuild(lake)


@pytest.mark.parametrize("first_is_early", [True, False])
def test_two_logs_on_either_side_of_midnight_are_counted_once(lake: Lake, *, first_is_early: bool) -> None:
    early, late = MIDNIGHT - timedelta(microseconds=1), MIDNIGHT + timedelta(seconds=1)
    times = (early, late) if first_is_early else (late, early)
    land(lake, CALL | {"event_at": times[0]})
    refresh(lake)
    land(lake, LOGGED_AGAIN | {"event_at": times[1]})
    refresh(lake)
    assert totals(lake) == {"request_count": 1, "duplicate_count": 1, "input_tokens": 10}
    assert refresh(lake) == []
    assert_is_a_rebuild(lake)


def test_calls_near_midnight_that_share_nothing_leave_the_neighbour_alone(lake: Lake) -> None:
    land(lake, CALL | {"event_at": MIDNIGHT - timedelta(seconds=1)})
    refresh(lake)
    before = lake.table(TOKEN_USAGE_HOURLY).version
    land(lake, {"response_id": "another", "event_at": MIDNIGHT})
    assert refresh(lake) == [("2026-05-02", "extended")]
    assert lake.table(TOKEN_USAGE_HOURLY).version == before + 1


def test_a_day_that_had_lost_its_only_call_to_its_neighbour_gets_it_back(lake: Lake) -> None:
    early = {"event_at": MIDNIGHT - timedelta(minutes=2), "response_id": "a", "status": "unmetered"}
    late = {"event_at": MIDNIGHT + timedelta(minutes=2), "response_id": "a", "input_tokens": 5}
    land(lake, early | {"input_tokens": None}, late)
    refresh(lake)
    assert gold(lake)["usage_date"].unique().to_list() == [MIDNIGHT.date()]
    land(lake, late | {"input_tokens": 6, "event_at": MIDNIGHT + timedelta(minutes=3)})
    refresh(lake)
    assert totals(lake)["request_count"] == 3
    assert_is_a_rebuild(lake)


_moment = st.sampled_from(
    [
        NOON,
        NOON + timedelta(minutes=30),
        MIDNIGHT - timedelta(minutes=20),
        MIDNIGHT,
        MIDNIGHT + timedelta(minutes=5),
    ]
)
_row = st.fixed_dictionaries(
    {
        "event_at": _moment,
        "request_id": st.sampled_from([None, "r1", "r2"]),
        "response_id": st.sampled_from([None, "a1", "a2"]),
        "status": st.sampled_from(["metered", "unmetered"]),
        "event_shape": st.sampled_from(["reference", "policy", "llm_log"]),
        "input_tokens": st.sampled_from([None, 7]),
    }
)


# Without shrinking: each example is a lake of its own, and a failing one is short enough.
@settings(
    max_examples=10,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.lists(_row, min_size=1, max_size=4), min_size=1, max_size=4))
def test_whatever_comes_in_whatever_passes_the_result_is_that_of_a_rebuild(
    tmp_path_factory: pytest.TempPathFactory, passes: list[list[dict[str, Any]]]
) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    for rows in passes:
        land(lake, *rows)
        refresh(lake)
        assert refresh(lake) == []
    assert_is_a_rebuild(lake)
    records = gold(lake).select(pl.col("request_count", "duplicate_count").sum()).sum_horizontal().item()
    assert records == sum(len(rows) for rows in passes)


def test_the_moments_are_what_the_tests_say() -> None:
    assert datetime.fromisoformat("2026-05-02T00:00:00+00:00") == MIDNIGHT
