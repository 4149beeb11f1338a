"""`oai-usage run` killed, terminated and interrupted at random moments, Dagster and all, and run again.

Belongs here: the whole command in a process of its own. Kills among the steps of one commit are `kills`.
"""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.broker.process import BrokerProcess
from oai_usage_pipeline.embedded.comparison import compare
from oai_usage_pipeline.embedded.hub_files import HubFiles
from oai_usage_pipeline.embedded.stack import HUB, EmbeddedStack
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.traffic.generator import generate
from oai_usage_pipeline.traffic.ledger import Ledger, LedgerHeader
from oai_usage_pipeline.traffic.sender import Hub, send
from stress.judgement import FINGERPRINT, Tally, judge_events, judge_invariants
from stress.outcome import Outcome

COMMAND = (
    sys.executable,
    "-c",
    "from oai_usage_pipeline.cli import main; main()",
    "run",
    "--until-idle",
)
SIGNALS: dict[str, tuple[signal.Signals, ...]] = {
    "SIGKILL": (signal.SIGKILL,),
    "SIGTERM": (signal.SIGTERM,),
    "SIGTERM twice": (signal.SIGTERM, signal.SIGTERM),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
}
WEIGHTS = (4, 2, 1, 1)
EVENTS = 300
KILLS_A_ROUND = 4
LONGEST_END_SECONDS = 30.0
LOOK_SECONDS = 0.02


def run_commands(
    folder: Path, seed: int, goes_on: Callable[[int], bool], report: Callable[[str], None]
) -> Outcome:
    """Rounds of a few kills and a run to the end, for as long as `goes_on` says of their number."""
    outcome = Outcome("commands", "commands ended by a signal")
    choose = random.Random(seed)
    stack = EmbeddedStack(folder, partitions=2)
    with stack.running() as broker:
        kills = _Kills(stack, broker, choose, outcome)
        while goes_on(outcome.tried):
            kills.round()
            report(f"{outcome.tried} commands ended: {outcome.tally.wrong} wrong")
    outcome.details = {**kills.by_signal, "longest end after a signal": f"{kills.longest_end:.1f} s"}
    return outcome


class _Kills:
    def __init__(
        self, stack: EmbeddedStack, broker: BrokerProcess, choose: random.Random, outcome: Outcome
    ) -> None:
        self._stack, self._broker, self._choose, self._outcome = stack, broker, choose, outcome
        self._lake = Lake(str(stack.lake))
        self._longest_life = 10.0
        self.by_signal: Counter[str] = Counter()
        self.longest_end = 0.0

    def round(self) -> None:
        """Some kills, each with new events to lose; then everything is done and judged.

        Every second command is ended only after its first commit. Only these tell how long recovery takes:
        of those that may be ended before, the quick ones would be counted and the slow ones not.
        """
        for number in range(KILLS_A_ROUND):
            self._send()
            self._end_one(self._choose.choices(list(SIGNALS), WEIGHTS)[0], is_to_recover=number % 2 == 1)
        self._send()
        self._finish()

    def _send(self) -> None:
        seed, path = self._stack.next_ledger()
        now = datetime.now(UTC)
        with Ledger(path, LedgerHeader(seed, now.isoformat(), EVENTS)) as ledger:
            send(Hub(HUB, self._broker.connection_string), generate(seed, now, EVENTS), ledger)

    def _end_one(self, name: str, *, is_to_recover: bool) -> None:
        process = self._start()
        if is_to_recover:
            self._recover(process)
        ends_at = time.monotonic() + self._choose.uniform(0, self._longest_life / (2 if is_to_recover else 1))
        while time.monotonic() < ends_at and process.poll() is None:
            time.sleep(LOOK_SECONDS)
        if process.poll() is not None:
            self._refuse_failure(process)
            return
        signalled = time.monotonic()
        for number in SIGNALS[name]:
            process.send_signal(number)
        process.communicate()
        took = time.monotonic() - signalled
        self.longest_end = max(self.longest_end, took)
        self.by_signal[name] += 1
        self._outcome.tried += 1
        if took > LONGEST_END_SECONDS:
            self._outcome.tally.note(f"{name}: the command needed {took:.0f} s to end")
        if (self._stack.lake / "openai_events" / "_delta_log").exists():
            judge_invariants(self._lake, self._outcome.tally, f"after {name}")

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self._stack.folder
        )

    def _version(self) -> int:
        return len(list((self._stack.lake / "openai_events" / "_delta_log").glob("*.json")))

    def _recover(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait for the process's first commit of events, and note how long after its start it came."""
        started, before = time.monotonic(), self._version()
        while process.poll() is None:
            # A table that isn't there yet is made by a commit without events.
            if self._version() > max(before, 1):
                self._outcome.recoveries.append(time.monotonic() - started)
                return
            time.sleep(LOOK_SECONDS)

    def _finish(self) -> None:
        started = time.monotonic()
        process = self._start()
        self._recover(process)
        self._refuse_failure(process)
        self._longest_life = max(5.0, time.monotonic() - started)
        self._judge()

    def _refuse_failure(self, process: "subprocess.Popen[bytes]") -> None:
        """A command that nobody ends does its work, whatever those before it left behind."""
        said = process.communicate()[0].decode()
        if process.returncode != 0:
            self._outcome.tally.note(f"a run to the end failed: {said[-500:]}")

    def _judge(self) -> None:
        """All promises and every event, and gold to the token."""
        tally: Tally = self._outcome.tally
        try:
            for found in verify(self._lake):
                if not found.holds:
                    tally.note(found.sentence)
            for difference in compare(self._lake, self._stack.ledgers, FINGERPRINT).differences:
                tally.note(difference)
            hub = HubFiles(f"127.0.0.1/{HUB}", self._stack.folder / "hub" / HUB)
            judge_events(self._lake, hub, self._stack.ledgers, tally, "after a run to the end")
        except PipelineError as error:
            tally.note(str(error))
