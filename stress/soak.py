"""Events through the whole pipeline in one process for as long as there is time: does it stay flat?

Each round sends events, has the process run passes until nothing is left, and holds the new events
against their ledger. Belongs here: the rounds, the samples of memory and handles, and the search for
secrets at the end. The process itself is `soak_process`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.broker.process import BrokerProcess
from oai_usage_pipeline.capture.source import Hub as HubLife
from oai_usage_pipeline.embedded.comparison import compare
from oai_usage_pipeline.embedded.hub_files import HubFiles
from oai_usage_pipeline.embedded.stack import HUB, EmbeddedStack
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.traffic.generator import generate
from oai_usage_pipeline.traffic.ledger import Ledger, LedgerHeader
from oai_usage_pipeline.traffic.sender import Hub, send
from oai_usage_pipeline.traffic.teams import team_keys
from stress.judgement import FINGERPRINT, judge_events
from stress.leaks import leaks
from stress.outcome import Outcome, Slope

PARTITIONS = 4
EVENTS_A_ROUND = 4_000


def run_soak(
    folder: Path,
    seed: int,
    goes_on: Callable[[int], bool],
    report: Callable[[str], None],
    events: int = EVENTS_A_ROUND,
) -> Outcome:
    """Rounds for as long as `goes_on` says of the number of events."""
    del seed  # Each ledger's number is its seed.
    outcome = Outcome("soak", "events through the whole pipeline")
    stack = EmbeddedStack(folder, PARTITIONS)
    samples: list[tuple[float, float, float]] = []
    started = time.monotonic()
    with stack.running() as broker, _Process() as process:
        judged: dict[str, int] = {}
        said: dict[str, Any] = {}
        while goes_on(outcome.tried):
            _send(stack, broker, events)
            said = process.go()
            samples.append((time.monotonic() - started, said["memory_mb"], said["handles"]))
            judged = _judge_new(stack, judged, outcome)
            report(f"{outcome.tried:,} events, {said['memory_mb']:.0f} MB, {said['handles']} handles")
        _judge_all(stack, outcome)
    outcome.slope = Slope.of(samples)
    outcome.details |= {
        "rounds": len(samples),
        "memory at first, half way, at the end": _by_and_by([memory for _, memory, _ in samples]),
        "most memory within a round": f"{said['peak_mb']:.0f} MB",
    }
    _search(stack, broker, outcome)
    return outcome


def _by_and_by(memory: list[float]) -> str:
    return ", ".join(f"{each:.0f}" for each in (memory[0], memory[len(memory) // 2], memory[-1])) + " MB"


class _Process:
    """`soak_process`, told round by round to go."""

    def __enter__(self) -> "_Process":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stress.soak_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def go(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _send(stack: EmbeddedStack, broker: BrokerProcess, events: int) -> None:
    seed, path = stack.next_ledger()
    now = datetime.now(UTC)
    with Ledger(path, LedgerHeader(seed, now.isoformat(), events)) as ledger:
        send(Hub(HUB, broker.connection_string), generate(seed, now, events), ledger)


def _judge_new(stack: EmbeddedStack, judged: dict[str, int], outcome: Outcome) -> dict[str, int]:
    """The events of the last round, against its ledger; returns up to where all is judged now."""
    lake, hub = Lake(str(stack.lake)), HubFiles(f"127.0.0.1/{HUB}", stack.folder / "hub" / HUB)
    outcome.tried += judge_events(
        lake, hub, stack.ledgers[-1:], outcome.tally, f"after {outcome.tried} events", judged
    )
    table, life = lake.existing(OPENAI_EVENTS), HubLife(hub.event_hub, hub.incarnation, ())
    positions = {each: table.position(life.app_id(each)) for each in hub.partition_ids}
    return {each: position for each, position in positions.items() if position is not None}


def _judge_all(stack: EmbeddedStack, outcome: Outcome) -> None:
    lake = Lake(str(stack.lake))
    for found in verify(lake):
        if not found.holds:
            outcome.tally.note(found.sentence)
    for difference in compare(lake, stack.ledgers, FINGERPRINT).differences:
        outcome.tally.note(difference)


def _search(stack: EmbeddedStack, broker: BrokerProcess, outcome: Outcome) -> None:
    """No caller's key and no hub key stands in the lake or in what Dagster wrote."""
    secrets = [key for seed in stack.seeds for key in team_keys(seed).values()]
    secrets.append(broker.connection_string.partition("SharedAccessKey=")[2].partition(";")[0])
    looked_at, hits = leaks([stack.lake, stack.folder / "dagster"], secrets)
    outcome.tally.leaked += len(hits)
    outcome.tally.faults += hits[:5]
    outcome.details["searched for keys"] = f"{looked_at / 1e6:,.0f} MB"
