"""How much work stale days are, that of the tables which follow from them included."""

from pathlib import Path

import pytest

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.stale import Work, stale_tables, work
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY, USAGE_EVENTS
from oai_usage_pipeline_tests.landed import Landing

DAY, OTHER = "2026-03-10", "2026-03-11"


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    landed = Landing(Lake(str(tmp_path / "lake")))
    for day in (10, 11):
        landed.send(200, day=day)
    return landed


def of(lake: Lake) -> list[Work]:
    return list(work(lake, stale_tables(lake)))


def follow(lake: Lake) -> None:
    for derivation in DERIVATIONS:
        refresh_days(lake, derivation, [each.day for each in stale_days(lake, derivation)])


def test_cost_reads_as_many_rows_as_gold_has_of_the_days_that_become_stale(landing: Landing) -> None:
    follow(landing.lake)
    assert {each.source_rows for each in of(landing.lake)} == {0}
    landing.send(500, day=11)
    gold = landing.lake.existing(TOKEN_USAGE_HOURLY).rows_by_day()
    assert gold[OTHER] < 500
    assert of(landing.lake) == [
        Work("usage_events", 1, 500),
        Work("token_usage_hourly", 1, 500),
        Work("usage_cost_hourly", 1, gold[OTHER]),
    ]


def test_what_a_table_is_behind_itself_counts_where_that_is_more(landing: Landing) -> None:
    refresh_days(landing.lake, DERIVATIONS[0], [DAY, OTHER])
    silver, gold, cost = of(landing.lake)
    assert silver == Work("usage_events", 0, 0)
    rows = landing.lake.existing(USAGE_EVENTS).row_count()
    assert gold == Work("token_usage_hourly", 2, rows)
    # Without gold, nobody knows how many sums there will be: no more than rows.
    assert cost == Work("usage_cost_hourly", 2, rows)
