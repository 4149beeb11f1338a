"""A day made anew from its bronze rows, and what its events take to derive alone.

Belongs here: both sides, and the cores that they are given. The day is of generated traffic of all kinds.
"""

import os
import time
from pathlib import Path

from benchmarks.derive_loop import START, generated_bronze
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reference.landing import land_reference
from oai_usage_pipeline.refresh.chain import DAILY
from oai_usage_pipeline.refresh.day import refresh_days
from oai_usage_pipeline.refresh.derivation import day_of
from oai_usage_pipeline.refresh.silver import CHUNK_ROWS
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.derive import derive

DAY = START.date().isoformat()


def fill(lake: str, events: int) -> dict[str, float]:
    """A day of bronze, with its prices, from which nothing has followed yet."""
    land_reference(Lake(lake), Path(lake) / "no files of anybody's own")
    for rows in generated_bronze(events).iter_slices(CHUNK_ROWS):
        Lake(lake).table(OPENAI_EVENTS).append(rows, {})
    return {"events": events}


def backfill(lake: str, cores: int) -> dict[str, float]:
    """Make silver, gold and cost of the day anew, on so many cores; seconds and processor seconds."""
    _hold_to(cores)
    started, processor = time.perf_counter(), time.process_time()
    for derivation in DAILY:
        refresh_days(Lake(lake), derivation, [DAY], anew=True)
    return {"seconds": time.perf_counter() - started, "processor": time.process_time() - processor}


def derive_alone(lake: str) -> dict[str, float]:
    """Derive the day's rows from memory and keep nothing, on one core; processor seconds."""
    _hold_to(1)
    chunks = list(day_of(Lake(lake).existing(OPENAI_EVENTS), DAY).collect().iter_slices(CHUNK_ROWS))
    processor = time.process_time()
    for chunk in chunks:
        derive(chunk)
    return {"processor": time.process_time() - processor}


def _hold_to(cores: int) -> None:
    """Threads begun at import, too, which have an affinity of their own."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), chosen)
