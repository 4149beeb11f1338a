"""Capture against the SDK's bare loop: events a second into committed bronze, in one process each.

Belongs here: the cases, the rounds and the broker beside them. Both sides are timed from the first
event that the SDK hands over to the last one had (read there, committed here), so that neither
counts connecting and closing, which take seconds whatever the backlog; `call` in the lines of
progress counts those too.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.child import CPU_SECONDS, Result, measured
from benchmarks.figure import Figure
from benchmarks.preload import HUB
from oai_usage_pipeline.broker.process import BrokerProcess

AIM = 0.9


@dataclass(frozen=True)
class Case:
    """A backlog: bodies of about `size` bytes, `events` of them over all partitions."""

    size: int
    partitions: int
    events: int

    @property
    def name(self) -> str:
        partitions = "1 partition" if self.partitions == 1 else f"{self.partitions} partitions"
        return f"capture, {self.size // 1000} KB, {partitions}"


CASES = (Case(2_000, 1, 100_000), Case(2_000, 4, 100_000), Case(20_000, 1, 20_000), Case(20_000, 4, 20_000))
QUICK_CASES = (Case(2_000, 2, 2_000),)


def run(*, quick: bool) -> list[Figure]:
    """A figure for each case."""
    return [_compare(case, rounds=1 if quick else 3) for case in (QUICK_CASES if quick else CASES)]


def _compare(case: Case, rounds: int) -> Figure:
    with (
        TemporaryDirectory() as folder,
        BrokerProcess(Path(folder) / "hub", [HUB], case.partitions) as broker,
    ):
        hub: dict[str, Any] = {"connection_string": broker.connection_string}
        measured("preload:preload", **hub, partitions=case.partitions, events=case.events, size=case.size)
        pairs = []
        for n in range(rounds):
            reference = measured("bare_loop:receive", **hub)
            ours = measured("capture_loop:capture", **hub, lake=str(Path(folder) / f"lake-{n}"))
            _report(case, n, ours, reference)
            pairs.append((_speed(ours), _speed(reference)))
    return Figure.of_rounds(case.name, "events/s", pairs, "bare loop", AIM)


def _speed(result: Result) -> float:
    return result["events"] / result["stream_seconds"]


def _report(case: Case, n: int, ours: Result, reference: Result) -> None:
    if ours["events"] != reference["events"]:
        raise AssertionError(f"captured {ours['events']:.0f} events, the loop read {reference['events']:.0f}")
    print(f"{case.name}, round {n + 1}: capture {_told(ours)}; bare loop {_told(reference)}", flush=True)


def _told(result: Result) -> str:
    microseconds = result[CPU_SECONDS] / result["events"] * 1e6
    call = result["events"] / result["call_seconds"]
    return f"{_speed(result):,.0f} events/s (call {call:,.0f}, {microseconds:.0f} µs of processor an event)"
