"""Backfills against deriving the same events alone, and two runs at once against one.

Belongs here: how large the days are, and the rounds. The first is a ratio of processor time, which
other work on the machine doesn't lengthen; the second is one of time, and wants both cores to itself.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.backfill_loop import DAYS
from benchmarks.child import PEAK_MEMORY, Result, measured
from benchmarks.figure import MB, MEMORY_LIMIT_MB, Figure

AIM_OF_DERIVE, AIM_OF_CORES = 0.8, 1.7
EVENTS, QUICK_EVENTS = 20_000, 500
"""Of each day."""
ROUNDS = 3


def run(*, quick: bool) -> list[Figure]:
    """Events a second for each core, of two runs at once, and the peak of memory."""
    events = QUICK_EVENTS if quick else EVENTS
    with TemporaryDirectory() as folder:
        lake = str(Path(folder) / "lake")
        filled = measured("backfill_loop:fill", lake=lake, events=events)["events"]
        rounds = [_round(lake) for _ in range(1 if quick else ROUNDS)]
    name = f"backfill of {len(DAYS)} days, {filled:,.0f} events"
    alone = [(filled / one["processor"], filled / derived["processor"]) for _, one, derived in rounds]
    cores = [(filled / _slowest(runs), filled / one["seconds"]) for runs, one, _ in rounds]
    peak = max(each[PEAK_MEMORY] for runs, _, _ in rounds for each in runs) / MB
    return [
        Figure.of_rounds(f"{name}, a core", "events/s", alone, "derive alone", AIM_OF_DERIVE),
        Figure.of_rounds(
            f"{name}, {len(DAYS)} runs at once", "events/s", cores, "1 run on 1 core", AIM_OF_CORES
        ),
        Figure(f"{name}: peak memory of a run", "MB", peak, MEMORY_LIMIT_MB, "limit", 1, at_most=True),
    ]


def _round(lake: str) -> tuple[list[Result], Result, Result]:
    one_thread = {"POLARS_MAX_THREADS": "1"}
    with TemporaryDirectory() as folder:
        # Each in a lake where every day is stale, as after a change of the contract.
        both, one = (shutil.copytree(lake, Path(folder) / name) for name in ("both", "one"))
        return (
            _at_once(str(both)),
            measured("backfill_loop:backfill", one_thread, lake=str(one), days=DAYS, cores=1),
            measured("backfill_loop:derive_alone", one_thread, lake=lake),
        )


def _at_once(lake: str) -> list[Result]:
    """As Dagster runs the ranges of a backfill: a process each, on the same tables."""
    with ThreadPoolExecutor(len(DAYS)) as runs:
        return list(
            runs.map(lambda day: measured("backfill_loop:backfill", lake=lake, days=[day], cores=2), DAYS)
        )


def _slowest(runs: list[Result]) -> float:
    return max(each["seconds"] for each in runs)
