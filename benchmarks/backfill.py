"""A day's backfill against deriving its events alone, and on two cores against one.

Belongs here: how large the day is, and the rounds. The first is a ratio of processor time, which
other work on the machine doesn't lengthen; the second is one of time, and wants both cores to itself.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.child import PEAK_MEMORY, Result, measured
from benchmarks.figure import MB, MEMORY_LIMIT_MB, Figure

AIM_OF_DERIVE, AIM_OF_CORES = 0.8, 1.7
EVENTS, QUICK_EVENTS = 20_000, 500
ROUNDS = 3


def run(*, quick: bool) -> list[Figure]:
    """Events a second for each core, with two cores, and the peak of memory."""
    events = QUICK_EVENTS if quick else EVENTS
    with TemporaryDirectory() as folder:
        lake = str(Path(folder) / "lake")
        measured("backfill_loop:fill", lake=lake, events=events)
        rounds = [_round(lake) for _ in range(1 if quick else ROUNDS)]
    name = f"backfill of a day, {events:,} events"
    alone = [(events / one["processor"], events / derived["processor"]) for _, one, derived in rounds]
    cores = [(events / two["seconds"], events / one["seconds"]) for two, one, _ in rounds]
    peak = max(two[PEAK_MEMORY] for two, _, _ in rounds) / MB
    return [
        Figure.of_rounds(f"{name}, a core", "events/s", alone, "derive alone", AIM_OF_DERIVE),
        Figure.of_rounds(f"{name}, 2 cores", "events/s", cores, "1 core", AIM_OF_CORES),
        Figure(f"{name}: peak memory", "MB", peak, MEMORY_LIMIT_MB, "limit", 1, at_most=True),
    ]


def _round(lake: str) -> tuple[Result, Result, Result]:
    one_thread = {"POLARS_MAX_THREADS": "1"}
    return (
        measured("backfill_loop:backfill", lake=lake, cores=2),
        measured("backfill_loop:backfill", one_thread, lake=lake, cores=1),
        measured("backfill_loop:derive_alone", one_thread, lake=lake),
    )
