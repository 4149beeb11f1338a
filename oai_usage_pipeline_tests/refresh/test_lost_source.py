"""Whatever is asked for by hand: a table isn't emptied because the one that it follows from was lost."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oai_usage_pipeline.errors import LakeDamaged, NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.privacy.erasure import events_of
from oai_usage_pipeline.privacy.rewriting import rewrite_day
from oai_usage_pipeline.privacy.subject import user
from oai_usage_pipeline.refresh.chain import DAILY, DERIVATIONS
from oai_usage_pipeline.refresh.day import RefreshedDay, refresh_days, stale_days
from oai_usage_pipeline.refresh.derivation import Derivation
from oai_usage_pipeline.refresh.replay import replay
from oai_usage_pipeline.tables import (
    DEPLOYMENTS,
    OPENAI_EVENTS,
    TOKEN_USAGE_HOURLY,
    USAGE_EVENTS,
    TableContract,
)
from oai_usage_pipeline_tests.charge.frames import deployments
from oai_usage_pipeline_tests.charge.test_provisioned import PTU
from oai_usage_pipeline_tests.landed import FINGERPRINT, Landing
from oai_usage_pipeline_tests.refresh.books import Books

DAY = "2026-03-10"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A day and a month of every table; only to be copied."""
    landing = Landing(Lake(str(tmp_path_factory.mktemp("lost") / "lake")))
    landing.send(60)
    for derivation in DERIVATIONS:
        refresh_days(landing.lake, derivation, [each.day for each in stale_days(landing.lake, derivation)])
    return landing.lake


@pytest.fixture
def lake(first: Lake, tmp_path: Path) -> Lake:
    return Lake(str(shutil.copytree(first.location, tmp_path / "lake")))


def lose(lake: Lake, contract: TableContract) -> None:
    shutil.rmtree(lake.uri(contract))


def lose_and_make_anew(lake: Lake, contract: TableContract) -> None:
    lose(lake, contract)
    lake.table(contract)


@pytest.mark.parametrize("harm", [lose, lose_and_make_anew])
@pytest.mark.parametrize("derivation", DERIVATIONS, ids=lambda each: each.target.name)
def test_a_day_asked_for_by_hand_is_refused_and_stays_as_it_was(
    harm: Callable[[Lake, TableContract], None], derivation: Derivation[Any], lake: Lake
) -> None:
    before = lake.existing(derivation.target)
    harm(lake, derivation.source)
    day = "2026-03-01" if derivation.target.name == "chargeback_monthly" else DAY
    with pytest.raises(LakeDamaged) as said:
        refresh_days(lake, derivation, [day])
    for words in (f"{derivation.target.name} has {before.row_count()} rows", "from a backup"):
        assert words in str(said.value)
    assert str(said.value).startswith(f"{derivation.source.name} is not there, or is empty and new, at ")
    assert lake.existing(derivation.target).version == before.version
    # Nor does a sensor ask for it again and again.
    assert stale_days(lake, derivation) == []


def test_nothing_that_reads_events_makes_their_table_anew(lake: Lake) -> None:
    lose(lake, OPENAI_EVENTS)
    for attempt in (
        lambda: events_of(lake, user("Ada", FINGERPRINT)),
        lambda: rewrite_day(lake, DAY, lambda rows: rows),
        lambda: replay(lake, "not_json"),
    ):
        with pytest.raises((NoTable, LakeDamaged), match=OPENAI_EVENTS.name):
            attempt()
    assert not Path(lake.uri(OPENAI_EVENTS)).exists()


def test_in_a_lake_that_has_not_begun_there_is_nothing_to_do(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    for derivation in DAILY:
        assert refresh_days(lake, derivation, [DAY]) == [RefreshedDay(DAY, "unchanged", 0)]
    assert not Path(lake.uri(USAGE_EVENTS)).exists()


def test_a_table_that_has_followed_an_empty_one_goes_on_to(tmp_path: Path) -> None:
    books = Books(Lake(str(tmp_path / "lake")))
    books.lake.table(TOKEN_USAGE_HOURLY)
    books.know(DEPLOYMENTS, deployments(PTU | {"valid_to": datetime(2026, 3, 11, tzinfo=UTC)}))
    assert books.refresh_cost()
    assert not books.cost().is_empty(), "provisioned hours cost without a call"
    books.know(DEPLOYMENTS, deployments())
    assert books.refresh_cost() == [DAY]
    assert books.cost().is_empty()
