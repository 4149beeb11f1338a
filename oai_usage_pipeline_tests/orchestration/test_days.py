"""Days as Dagster's partitions and ranges."""

from datetime import UTC, datetime

import pytest

from oai_usage_pipeline.orchestration.days import DAYS, LONGEST_RANGE_DAYS, live_days, ranges


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 3, 10, 0, 30, tzinfo=UTC), ("2026-03-09", "2026-03-10")),
        (datetime(2026, 3, 10, 1, 0, tzinfo=UTC), ("2026-03-10", "2026-03-10")),
        (datetime(2026, 1, 1, 0, 0, tzinfo=UTC), ("2025-12-31", "2026-01-01")),
        (datetime(2028, 2, 29, 23, 59, tzinfo=UTC), ("2028-02-29", "2028-02-29")),
    ],
)
def test_live_days_include_yesterday_for_an_hour(now: datetime, expected: tuple[str, str]) -> None:
    assert live_days(now) == expected


def test_neighbouring_days_share_a_range() -> None:
    days = {"2026-02-28", "2026-03-01", "2026-03-02", "2026-03-05"}
    assert ranges(days) == [("2026-02-28", "2026-03-02"), ("2026-03-05", "2026-03-05")]


def test_no_days_are_no_ranges() -> None:
    assert ranges([]) == []


def test_a_long_range_is_split() -> None:
    days = [f"2026-01-{day:02}" for day in range(20, 32)] + [f"2026-02-{day:02}" for day in range(1, 6)]
    assert ranges(days) == [("2026-01-20", "2026-02-02"), ("2026-02-03", "2026-02-05")]
    assert LONGEST_RANGE_DAYS == 14


def test_today_and_tomorrow_are_partitions_so_that_clocks_may_run_ahead() -> None:
    keys = DAYS.get_partition_keys(datetime(2026, 3, 10, 12, tzinfo=UTC))
    assert (keys[0], keys[-1]) == ("2023-01-01", "2026-03-11")
