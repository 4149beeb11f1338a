"""Days made anew from their bronze rows, and what their events take to derive alone.

Belongs here: both sides, and the cores that they are given. The days are of generated traffic of all kinds.
"""

import os
import time
from datetime import timedelta
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

DAYS = [(START + timedelta(days=number)).date().isoformat() for number in range(2)]


def fill(lake: str, events: int) -> dict[str, float]:
    """Days of bronze with `events` each, and their prices, from which nothing has followed yet."""
    land_reference(Lake(lake), Path(lake) / "no files of anybody's own")
    for number in range(len(DAYS)):
        for rows in generated_bronze(events, number).iter_slices(CHUNK_ROWS):
            Lake(lake).table(OPENAI_EVENTS).append(rows, {})
    return {"events": events * len(DAYS)}


def backfill(lake: str, days: list[str], cores: int) -> dict[str, float]:
    """Make silver, gold and cost of stale days, on so many cores; seconds and processor seconds."""
    _hold_to(cores)
    started, processor = time.perf_counter(), time.process_time()
    for derivation in DAILY:
        refresh_days(Lake(lake), derivation, days)
    return {"seconds": time.perf_counter() - started, "processor": time.process_time() - processor}


def derive_alone(lake: str) -> dict[str, float]:
    """Derive the days' rows from memory and keep nothing, on one core; processor seconds."""
    _hold_to(1)
    bronze = Lake(lake).existing(OPENAI_EVENTS)
    chunks = [chunk for day in DAYS for chunk in day_of(bronze, day).collect().iter_slices(CHUNK_ROWS)]
    processor = time.process_time()
    for chunk in chunks:
        derive(chunk)
    return {"processor": time.process_time() - processor}


def _hold_to(cores: int) -> None:
    """Threads begun at import, too, which have an affinity of their own."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), chosen)
