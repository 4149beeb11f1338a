"""From the hub's acknowledgement of an event to its row in gold, on the live stack as `dev` runs it.

Belongs here: starting and ending the stack, watching both ends, and the percentiles. Events become
visible in the order they were acknowledged in: the k-th acknowledged is visible when gold counts k.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figure import Figure
from oai_usage_pipeline.embedded.stack import EmbeddedStack
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.settings import PREFIX
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY

RATE = 100.0
LIMIT_SECONDS = 30.0
SECONDS, QUICK_SECONDS = 180.0, 45.0
STARTING_SECONDS = 60.0
LOOK_EVERY_SECONDS = 0.2
ENDING_SECONDS = 60.0


def run(*, quick: bool) -> list[Figure]:
    """Percentiles over the events that were acknowledged once the first had become visible."""
    with TemporaryDirectory() as folder, _dev(Path(folder)) as stack:
        watch = _Watch(stack)
        watch.until_visible(1, time.monotonic() + STARTING_SECONDS)
        settled = len(watch.acknowledged_at)
        watch.follow(QUICK_SECONDS if quick else SECONDS)
        # What was acknowledged last must become visible too: leaving it out would flatter.
        watch.until_visible(len(watch.acknowledged_at), time.monotonic() + STARTING_SECONDS)
    latencies = sorted(watch.latencies(settled))
    print(f"latency: {len(latencies):,} events, gold was written {watch.writes} times", flush=True)
    return [
        _figure(f"latency to gold, {RATE:g} events/s, p50", latencies, 0.5, None),
        _figure(f"latency to gold, {RATE:g} events/s, p95", latencies, 0.95, 1),
        _figure(f"latency to gold, {RATE:g} events/s, max", latencies, 1, None),
    ]


def _figure(name: str, latencies: list[float], share: float, aim: float | None) -> Figure:
    at = min(len(latencies) - 1, int(share * len(latencies)))
    return Figure(name, "s", latencies[at], LIMIT_SECONDS, "limit", aim, at_most=True)


@dataclass
class _Watch:
    """Both ends of the pipeline, looked at a few times a second; times are of the looks."""

    stack: EmbeddedStack
    acknowledged_at: list[float] = field(default_factory=list)
    visible: list[tuple[float, int]] = field(default_factory=list)
    writes: int = 0
    _version: int = -1
    _read: int = 0
    _waiting: int = 0

    def follow(self, seconds: float) -> None:
        """Look for that long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._look()

    def until_visible(self, count: int, deadline: float) -> None:
        """Look until that many are visible; raises TimeoutError with what was seen instead."""
        while not self.visible or self.visible[-1][1] < count:
            self._look()
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{count} events should be in gold: {len(self.acknowledged_at)} were acknowledged, "
                    f"gold counts {self.visible[-1][1] if self.visible else 'nothing'}"
                )

    def latencies(self, after: int) -> Iterator[float]:
        """Seconds for each event after the first `after`."""
        looks = iter(self.visible)
        seen_at, seen = next(looks)
        for place, acknowledged_at in enumerate(self.acknowledged_at[: self.visible[-1][1]]):
            while seen <= place:
                seen_at, seen = next(looks)
            if place >= after:
                yield seen_at - acknowledged_at

    def _look(self) -> None:
        time.sleep(LOOK_EVERY_SECONDS)
        self._look_at_ledger()
        self._look_at_gold()

    def _look_at_ledger(self) -> None:
        for path in self.stack.ledgers:
            with path.open("rb") as ledger:
                ledger.seek(self._read)
                lines = [line for line in ledger if line.endswith(b"\n")]
            self._read += sum(map(len, lines))
            for line in lines:
                self._hear(json.loads(line))

    def _hear(self, line: dict[str, object]) -> None:
        """An event's line announces it; the line of its batch says that the hub has it."""
        if "batch" in line:
            self._waiting += 1
        elif "batch_sent" in line:
            self.acknowledged_at += [time.monotonic()] * self._waiting
            self._waiting = 0

    def _look_at_gold(self) -> None:
        lake = Lake(str(self.stack.lake))
        # Opening a table makes it; that is the pipeline's to do.
        if not Path(lake.uri(TOKEN_USAGE_HOURLY), "_delta_log").exists():
            return
        table = lake.table(TOKEN_USAGE_HOURLY)
        if table.version != self._version:
            self._version = table.version
            self.writes += 1
            count = table.scan().select("request_count").sum().collect().item()
            self.visible.append((time.monotonic(), int(count)))


@contextmanager
def _dev(folder: Path) -> Iterator[EmbeddedStack]:
    """`oai-usage dev` in a folder of its own, ended as Ctrl-C ends it."""
    command = [sys.executable, "-c", "from oai_usage_pipeline.cli import main; main()", "dev"]
    command += ["--rate", f"{RATE:g}", "--port", "0", "--folder", str(folder)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with (folder / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            yield EmbeddedStack(folder)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(ENDING_SECONDS)
