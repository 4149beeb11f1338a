"""Commits whose outcome the committer can't know, by the hundred, each held against what was sent.

Belongs here: the kinds of ambiguity, one round of capture under one of them, and the count of what
was lost or doubled. The tests run each kind once, the stress command runs many by chance:

    figures = run_ambiguous_commits(count=500, seed=1)
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import product

import polars as pl

from oai_usage_pipeline.audit.invariants import positions_match
from oai_usage_pipeline.capture.commit import Step, commit
from oai_usage_pipeline.capture.landing import bronze_frame, land
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import LakeUnavailable
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import event
from oai_usage_pipeline_tests.faults.azurite import Azurite, lake_at, new_location
from oai_usage_pipeline_tests.faults.store_proxy import (
    DATA_FILE,
    LISTING,
    LOG_ENTRY,
    Answer,
    Fault,
    StoreProxy,
    running_store_proxy,
)

HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0", "1", "2"))
FINGERPRINT = KeyFingerprint(b"pepper of the tests", 1)
MOST_EVENTS = 5
IMPATIENT = {"timeout": "1s", "retry_timeout": "1s"}
"""Deadlines of the tests: a stalled request is given up after a second."""

ANSWERS: tuple[Answer, ...] = (500, 503, 409, 429, "drop", "reset", "stall", "cut")
POINTS = {
    "log entry": ("PUT", LOG_ENTRY),
    "data file": ("PUT", DATA_FILE),
    "read of the log": ("GET", LOG_ENTRY),
    "listing": ("GET", LISTING),
}
"""Which request fails: the conditional put that is the commit, its data, the reads of step 1."""


@dataclass(frozen=True)
class Ambiguity:
    """One way in which a commit's outcome becomes unknown.

    `times` requests in a row meet it: one that delta-rs's own retries pass over, or so many that the
    attempt fails. With a `rival`, another capture of the same events commits some of them in between.
    """

    point: str
    answer: Answer
    takes_effect: bool
    times: int = 1
    rival: bool = False

    def __str__(self) -> str:
        when = "after it took effect" if self.takes_effect else "before it took effect"
        return f"{self.point}: {self.answer} {when}, {self.times} times{', with a rival' * self.rival}"

    @property
    def fault(self) -> Fault:
        return Fault(*POINTS[self.point], self.answer, self.takes_effect, times=self.times)


def ambiguities() -> list[Ambiguity]:
    """Each kind at each point, before and after; a cut reply and a read have no before and after."""
    return [
        Ambiguity(point, answer, takes_effect)
        for point, answer, takes_effect in product(POINTS, ANSWERS, (False, True))
        if not takes_effect or (POINTS[point][0] == "PUT" and answer != "cut")
    ]


@dataclass
class Figures:
    """What came of many ambiguous commits; `lost` and `doubled` count events and must be 0."""

    commit_count: int = 0
    met_count: int = 0
    refused_count: int = 0
    event_count: int = 0
    lost: int = 0
    doubled: int = 0
    wrong_positions: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)

    @property
    def holds(self) -> bool:
        """Whether nothing was lost or doubled, and every position is that of the last event."""
        return not (self.lost or self.doubled or self.wrong_positions)


class Committer:
    """Captures made-up events of one partition into a lake behind the proxy, and knows what it sent."""

    def __init__(self, azurite_port: int, proxy_port: int, proxy: StoreProxy) -> None:
        location = new_location()
        self._proxy = proxy
        self._behind = lake_at(proxy_port, location, **IMPATIENT)
        self.lake = lake_at(azurite_port, location)
        self._sent = 0

    def round(self, ambiguity: Ambiguity, figures: Figures, event_count: int = 3) -> None:
        """Send some events; commit them, with the fault, until a call says that they are there."""
        batch = self._batch(event_count)
        rival = iter([True] if ambiguity.rival else [])

        def at_step(step: Step) -> None:
            if step == "checked" and next(rival, False):
                commit(lambda: self.lake.table(OPENAI_EVENTS), HUB, batch.head(event_count // 2 + 1))

        self._proxy.inject(ambiguity.fault)
        for _ in range(10):
            try:
                commit(lambda: self._behind.table(OPENAI_EVENTS), HUB, batch, at_step, lambda _: None)
                break
            except LakeUnavailable:
                figures.refused_count += 1
        met = self._proxy.met(ambiguity.fault)
        self._proxy.inject()
        figures.commit_count += 1
        figures.met_count += met > 0
        figures.by_kind[f"{ambiguity.point}, {ambiguity.answer}"] += met > 0

    def count(self, figures: Figures) -> None:
        """Hold what is in bronze against what was sent."""
        found = self.lake.existing(OPENAI_EVENTS).scan().select("sequence_number").collect()
        distinct = found["sequence_number"].n_unique()
        figures.event_count += self._sent
        figures.lost += len(set(range(self._sent)) - set(found["sequence_number"]))
        figures.doubled += len(found) - distinct
        figures.wrong_positions += not positions_match(self.lake).holds

    def _batch(self, event_count: int) -> pl.DataFrame:
        numbers = range(self._sent, self._sent + event_count)
        self._sent += event_count
        return bronze_frame(HUB, [land("0", event(number), FINGERPRINT) for number in numbers])


def run_ambiguous_commits(count: int, seed: int, commits_per_lake: int = 40) -> Figures:
    """Commit so many times, each time under an ambiguity chosen by the seed; starts an Azurite of its own."""
    chance = random.Random(seed)
    figures = Figures()
    with Azurite() as azurite, running_store_proxy(azurite.port) as (port, proxy):
        while figures.commit_count < count:
            committer = Committer(azurite.port, port, proxy)
            committer.lake.table(OPENAI_EVENTS)
            for _ in range(min(commits_per_lake, count - figures.commit_count)):
                committer.round(_any(chance), figures, chance.randint(1, MOST_EVENTS))
            committer.count(figures)
    return figures


def _any(chance: random.Random) -> Ambiguity:
    kind = chance.choice(ambiguities())
    # Stalls cost a second each: they are met once.
    times = 1 if kind.answer == "stall" else chance.choice((1, 1, 2, 12))
    return Ambiguity(kind.point, kind.answer, kind.takes_effect, times, chance.random() < 0.3)
