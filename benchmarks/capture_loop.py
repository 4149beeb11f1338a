"""What is held against the bare loop: a whole capture run, from the hub to committed bronze.

Belongs here: running it and taking the time. It is the product's own code with its own limits.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from benchmarks.preload import HUB
from oai_usage_pipeline.capture.event_hub import EventHubSource
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.capture.source import Deliver, Hub, HubEvent, PartitionBounds
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.settings import Settings
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint


def capture(connection_string: str, lake: str) -> dict[str, float]:
    """Capture every partition up to its head; seconds from the call to the end and from the first event.

    The last event counts as had when its commit is done. Raises the first error that stopped a partition.
    """
    settings = Settings(event_hub_connection_string=SecretStr(connection_string), event_hub_name=HUB)
    fingerprint = KeyFingerprint(settings.pepper)
    started = time.perf_counter()
    source = _Timed(EventHubSource(settings))
    committed_at: list[float] = []
    run = CaptureRun(
        source, Lake(lake), fingerprint, at_step=lambda _: committed_at.append(time.perf_counter())
    )
    try:
        result = run.execute()
    finally:
        source.close()
    if result.errors:
        raise result.errors[0]
    return {
        "events": result.event_count,
        "commits": result.commit_count,
        "disk_bytes": sum(path.stat().st_size for path in Path(lake).rglob("*.parquet")),
        "call_seconds": time.perf_counter() - started,
        "stream_seconds": committed_at[-1] - source.first_at,
    }


@dataclass
class _Timed:
    """A source that notes when the first event came."""

    inner: EventHubSource
    first_at: float = 0.0

    def describe(self) -> Hub:
        return self.inner.describe()

    def bounds(self, partition_id: str) -> PartitionBounds:
        return self.inner.bounds(partition_id)

    def read(self, partition_id: str, after: int | None, deliver: Deliver) -> None:
        def timed(events: Sequence[HubEvent]) -> bool:
            self.first_at = self.first_at or time.perf_counter()
            return deliver(events)

        self.inner.read(partition_id, after, timed)

    def close(self) -> None:
        self.inner.close()
