"""Captures killed at each step of the commit protocol and at random moments, then run again.

A round is a hub of its own with a few hundred events, captured into a lake of its own by one process
after another, each killed; in the end one may finish, and one finds nothing to do. After each kill the
invariants are judged, at the end of the round every event. Belongs here: which kills, and what is
measured of them.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from oai_usage_pipeline.broker.process import BrokerProcess
from oai_usage_pipeline.embedded.hub_files import HubFiles
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.traffic.generator import generate
from oai_usage_pipeline.traffic.ledger import Ledger, LedgerHeader
from oai_usage_pipeline.traffic.sender import Hub, send
from stress.capture_worker import CaptureWorker
from stress.judgement import Tally, judge_events, judge_invariants
from stress.outcome import Outcome

STEPS = ("opened", "checked", "writing", "appended")
KINDS = (*STEPS, "moment", "random", "terminated", "paused")
"""`moment` is at random among its commits, `random` at random in its whole life, connecting to the hub
and all. `terminated` gets SIGTERM, sometimes twice; `paused` is no kill: a run is stopped while another
overtakes it, and then goes on."""

WEIGHTS = (2, 2, 2, 2, 4, 3, 1, 1)
HIGHEST_OCCURRENCE = {"moment": 40, "terminated": 2}
EVENTS, ROWS, PARTITIONS = 1_200, 40, 2
KILLS_A_ROUND = 20
CHAINS = 3
HUBS_A_BROKER = 12


@dataclass
class KillFigures:
    """Kills by kind, seconds from a restart to the first commit, and what was found wrong.

    A kill counts when it ended the process; `orphan_count` is how many left a data file that no log
    entry names, which is to die while writing.
    """

    kills: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)
    round_count: int = 0
    event_count: int = 0
    orphan_count: int = 0
    tally: Tally = field(default_factory=Tally)

    @property
    def kill_count(self) -> int:
        """Processes that were ended."""
        return sum(self.kills.values()) - self.kills["paused"]

    def add(self, other: "KillFigures") -> None:
        """Take another round's figures in."""
        self.kills += other.kills
        self.recoveries += other.recoveries
        self.round_count += other.round_count
        self.event_count += other.event_count
        self.orphan_count += other.orphan_count
        self.tally.add(other.tally)


@dataclass
class KillRound:
    """One round; its folder must be empty. `seed` makes the events, `choose` the kills."""

    folder: Path
    broker: BrokerProcess
    hub: str
    worker: CaptureWorker
    seed: int
    events: int = EVENTS
    rows: int = ROWS
    longest_seconds: float = 1.0
    is_captured: bool = False
    figures: KillFigures = field(default_factory=KillFigures)

    def run(self, kills: Iterator[tuple[str, int]]) -> KillFigures:
        """Send, kill by kill as given (kind and occurrence) while there is something to do, finish, judge."""
        self.send()
        for kind, occurrence in kills:
            if self.is_captured:
                break
            self._kill(kind, occurrence)
            self._judge(f"hub {self.hub}, after a kill ({kind} {occurrence})")
        self._finish()
        self.figures.round_count += 1
        return self.figures

    @property
    def _path(self) -> Path:
        return self.folder / "lake"

    @property
    def _lake(self) -> Lake:
        return Lake(str(self._path))

    def send(self) -> None:
        """Fill the hub, with a ledger beside the lake."""
        now = datetime.now(UTC)
        ledger_path = self.folder / "ledger.jsonl"
        with Ledger(ledger_path, LedgerHeader(self.seed, now.isoformat(), self.events)) as ledger:
            hub = Hub(self.hub, self.broker.connection_string)
            send(hub, generate(self.seed, now, self.events), ledger)

    def _kill(self, kind: str, occurrence: int) -> None:
        if kind in STEPS or kind == "moment":
            self._await(self._start(kind, occurrence), kind)
        elif kind == "paused":
            self._overtake()
        else:
            pid = self._start()
            self._let_it_live()
            self._signal(pid, kind, occurrence)
            self._await(pid, kind)

    def _signal(self, pid: int, kind: str, occurrence: int) -> None:
        if kind == "random":
            os.kill(pid, signal.SIGKILL)
            return
        for _ in range(occurrence):
            os.kill(pid, signal.SIGTERM)

    def _overtake(self) -> None:
        """A run that stands still while the next one commits, and goes on then, like one taken for dead."""
        pid = self._start()
        self._let_it_live()
        os.kill(pid, signal.SIGSTOP)
        self._await(self._start("appended", 3), "appended")
        os.kill(pid, signal.SIGCONT)
        self._await(pid, "paused")
        self.figures.kills["paused"] += 1

    def _let_it_live(self) -> None:
        """For a random part of a run's life, as long as one has been so far on this machine."""
        time.sleep(random.uniform(0, 1.2 * self.longest_seconds))

    def _start(self, step: str = "never", occurrence: int = 1) -> int:
        return self.worker.start(self.hub, self._path, rows=self.rows, step=step, occurrence=occurrence)

    def _await(self, pid: int, kind: str) -> None:
        ended = self.worker.wait(pid)
        if ended.first_commit_seconds is not None:
            self.figures.recoveries.append(self.worker.import_seconds + ended.first_commit_seconds)
            self.longest_seconds = max(self.longest_seconds, ended.first_commit_seconds)
        if ended.status == -signal.SIGKILL or (ended.status != 0 and kind == "terminated"):
            self.figures.kills[kind] += 1
        elif ended.status == 0:
            self.is_captured = True
        else:
            self.figures.tally.note(f"hub {self.hub}: a capture ended with status {ended.status}")

    def _judge(self, when: str) -> None:
        try:
            self._lake.existing(OPENAI_EVENTS)
        except NoTable:
            return
        judge_invariants(self._lake, self.figures.tally, when)

    def _finish(self) -> None:
        when = f"hub {self.hub}, at the end"
        self._await(self._start(), "never")
        version = self._lake.existing(OPENAI_EVENTS).version
        self._await(self._start(), "never")
        if self._lake.existing(OPENAI_EVENTS).version != version:
            self.figures.tally.note(f"{when}: a run with nothing to do made a commit")
        self._judge(when)
        hub = HubFiles(f"127.0.0.1/{self.hub}", self.folder.parent / "hub" / self.hub)
        ledgers = [self.folder / "ledger.jsonl"]
        self.figures.event_count += judge_events(self._lake, hub, ledgers, self.figures.tally, when)
        on_disk = len(list(self._path.glob("openai_events/enqueued_date=*/*.parquet")))
        self.figures.orphan_count += on_disk - _file_count(self._lake)


def chosen_kills(seed: int, number: int = KILLS_A_ROUND) -> Iterator[tuple[str, int]]:
    """Kinds and occurrences of a round's kills, from a seed."""
    choose = random.Random(seed)
    for kind in choose.choices(KINDS, WEIGHTS, k=number):
        yield kind, choose.randint(1, HIGHEST_OCCURRENCE.get(kind, 3))


def run_kills(
    folder: Path, seed: int, goes_on: Callable[[int], bool], report: Callable[[str], None]
) -> Outcome:
    """Rounds, a few at a time, for as long as `goes_on` says of their kills."""
    figures = KillFigures()
    rounds = count()
    while goes_on(figures.kill_count):
        numbers = [next(rounds) for _ in range(HUBS_A_BROKER)]
        place = folder / f"kills-{numbers[0]:05}"
        hubs = [f"kills-{number}" for number in numbers]
        with BrokerProcess(place / "hub", hubs, PARTITIONS) as broker, ThreadPoolExecutor(CHAINS) as chains:
            chain = [
                chains.submit(_chain, place, broker, numbers[n::CHAINS], seed, figures, goes_on, report)
                for n in range(CHAINS)
            ]
            for each in chain:
                each.result()
    return _outcome(figures)


def _outcome(figures: KillFigures) -> Outcome:
    details = {**figures.kills, "rounds": figures.round_count, "events": f"{figures.event_count:,}"}
    details["data files without a log entry"] = figures.orphan_count
    return Outcome(
        "kills", "kills", figures.kill_count, 0.0, figures.tally, figures.recoveries, details=details
    )


def _chain(
    place: Path,
    broker: BrokerProcess,
    numbers: list[int],
    seed: int,
    figures: KillFigures,
    goes_on: Callable[[int], bool],
    report: Callable[[str], None],
) -> None:
    with CaptureWorker(broker.connection_string) as worker:
        for number in numbers:
            if not goes_on(figures.kill_count):
                return
            own = seed * 100_000 + number
            folder = place / f"round-{number:05}"
            folder.mkdir(parents=True)
            found = KillRound(folder, broker, f"kills-{number}", worker, own).run(chosen_kills(own))
            figures.add(found)
            report(f"{figures.kill_count} kills, {figures.event_count} events: {_told(figures.tally)}")


def _told(tally: Tally) -> str:
    return f"{tally.lost} lost, {tally.doubled} doubled, {tally.wrong} wrong"


def _file_count(lake: Lake) -> int:
    return sum(len(files) for files in lake.existing(OPENAI_EVENTS).files_by_day().values())
