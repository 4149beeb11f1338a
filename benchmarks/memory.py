"""What a long backlog costs: memory of one capture run, and bytes on disk for each byte of a body.

Belongs here: the million events and the limits they are held to, which don't depend on the machine.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.child import PEAK_MEMORY, measured
from benchmarks.figure import MB, Figure
from benchmarks.preload import HUB
from oai_usage_pipeline.broker.process import BrokerProcess

SIZE = 2_000
PARTITIONS = 4
EVENTS, QUICK_EVENTS = 1_000_000, 20_000
LIMIT_MB = 600.0


def run(*, quick: bool) -> list[Figure]:
    """Peak memory against its limit, disk against the bodies' own bytes, the broker's memory beside."""
    with (
        TemporaryDirectory() as folder,
        BrokerProcess(Path(folder) / "hub", [HUB], PARTITIONS) as broker,
    ):
        hub: dict[str, Any] = {"connection_string": broker.connection_string}
        events = QUICK_EVENTS if quick else EVENTS
        sent = measured("preload:preload", **hub, partitions=PARTITIONS, events=events, size=SIZE)
        print(f"memory: {sent['events']:,.0f} events, {sent['bytes'] / MB:,.0f} MB of bodies", flush=True)
        result = measured("capture_loop:capture", **hub, lake=str(Path(folder) / "lake"))
        brokers = psutil.Process(broker.pid).memory_info().rss
    if result["events"] != sent["events"]:
        raise AssertionError(f"captured {result['events']:.0f} of {sent['events']:.0f} events")
    backlog = f"{result['events']:,.0f} events"
    raw = sent["bytes"] / MB
    return [
        Figure(f"peak memory, {backlog}", "MB", result[PEAK_MEMORY] / MB, LIMIT_MB, "limit", 1, at_most=True),
        Figure(f"bronze on disk, {backlog}", "MB", result["disk_bytes"] / MB, raw, "bodies", None),
        Figure(f"broker's memory, {backlog}", "MB", brokers / MB, raw, "bodies", None),
    ]
