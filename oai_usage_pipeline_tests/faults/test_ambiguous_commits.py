"""Whatever a store answers, and whenever: a commit is recognised, never doubled and never lost."""

import pytest

from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.faults.ambiguous import (
    ANSWERS,
    POINTS,
    Ambiguity,
    Committer,
    Figures,
    ambiguities,
)
from oai_usage_pipeline_tests.faults.azurite import Azurite
from oai_usage_pipeline_tests.faults.store_proxy import Answer, Fault, StoreProxy


@pytest.fixture
def committer(azurite: Azurite, proxied: tuple[int, StoreProxy]) -> Committer:
    committer = Committer(azurite.port, *proxied)
    committer.round(Ambiguity("log entry", 503, takes_effect=False), Figures())
    return committer


@pytest.mark.parametrize("ambiguity", ambiguities(), ids=str)
def test_a_commit_of_unknown_outcome_is_in_bronze_once(ambiguity: Ambiguity, committer: Committer) -> None:
    figures = Figures()
    committer.round(ambiguity, figures)
    committer.round(Ambiguity("log entry", "drop", takes_effect=False), figures)
    committer.count(figures)
    assert figures.met_count == 2
    assert figures.holds, figures


@pytest.mark.parametrize("takes_effect", [False, True])
@pytest.mark.parametrize("times", [1, 12])
@pytest.mark.parametrize("answer", [500, "drop"])
def test_a_table_whose_making_has_an_unknown_outcome_is_made_once(
    answer: Answer, times: int, takes_effect: bool, azurite: Azurite, proxied: tuple[int, StoreProxy]
) -> None:
    maker, figures = Committer(azurite.port, *proxied), Figures()
    maker.round(Ambiguity("log entry", answer, takes_effect, times), figures)
    maker.round(Ambiguity("log entry", "drop", takes_effect=False), figures)
    maker.count(figures)
    assert figures.met_count == 2
    assert figures.holds, figures


@pytest.mark.parametrize("takes_effect", [False, True])
@pytest.mark.parametrize("answer", [500, "drop"])
def test_nor_with_a_rival_that_commits_some_of_it_in_between(
    answer: str, takes_effect: bool, committer: Committer
) -> None:
    figures = Figures()
    for times in (1, 3):
        committer.round(Ambiguity("log entry", answer, takes_effect, times, rival=True), figures)  # type: ignore[arg-type]
    committer.count(figures)
    assert figures.holds, figures


def test_a_store_that_fails_for_longer_than_a_call_is_waited_out(committer: Committer) -> None:
    figures = Figures()
    # Longer than delta-rs itself tries again (a second here): the attempts of the committer take over.
    committer.round(Ambiguity("log entry", "stall", takes_effect=True, times=2), figures)
    committer.count(figures)
    assert figures.holds, figures


def test_the_harness_knows_every_kind_and_counts_what_is_wrong(committer: Committer) -> None:
    assert {each.answer for each in ambiguities()} == set(ANSWERS)
    assert {each.point for each in ambiguities()} == set(POINTS)
    table = committer.lake.table(OPENAI_EVENTS)
    doubled = table.scan().collect()
    table.append(doubled, {})
    figures = Figures()
    committer.count(figures)
    assert (figures.doubled, figures.lost) == (len(doubled), 0)
    committer.lake.table(OPENAI_EVENTS).replace(doubled.head(1), {})
    figures = Figures()
    committer.count(figures)
    assert (figures.doubled, figures.lost, figures.wrong_positions) == (0, len(doubled) - 1, 1)


def test_a_fault_is_what_an_ambiguity_says() -> None:
    assert Ambiguity("listing", "cut", takes_effect=False, times=2).fault == Fault(
        "GET", r"[?&]comp=list", "cut", times=2
    )
