"""Live passes over new events, as the stack runs them, without the hub's connection and without Dagster.

Belongs here: capture from events in memory, then each day that is behind in silver, gold and cost; the
processor time and the bytes that this takes.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from statistics import fmean

from benchmarks.envelopes import envelopes
from benchmarks.history import EVENT_BYTES, FINGERPRINT, HUB, PARTITION
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.capture.source import Deliver, Hub, HubEvent, PartitionBounds
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chain import DAILY
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.tables import OPENAI_EVENTS

PROCESSOR_TIME = "processor time"
BYTES_READ = "bytes read"

_EVENT_TIME = re.compile(rb'"EventTime": *"[^"]*"')


def run(lake: str, at: str, events: int, passes: int) -> dict[str, float]:
    """Passes over so many new events each, accepted from `at` (ISO, UTC) on; the first one isn't counted.

    Processor time (s) and bytes read are means of a pass. Bytes are all that the process asked the system
    for, whether that had them cached or not.
    """
    opened = Lake(lake)
    _take_in(opened, _Waiting.behind(opened, at, events))
    spent = [_spent(opened, _Waiting.behind(opened, at, events)) for _ in range(passes)]
    return {name: fmean(each[name] for each in spent) for name in spent[0]}


@dataclass(frozen=True)
class _Waiting:
    """A source of one partition, whose events are in memory."""

    events: Sequence[HubEvent]

    @classmethod
    def behind(cls, lake: Lake, at: str, count: int) -> "_Waiting":
        """New events that follow the last one in bronze, and share no id with any."""
        position = lake.table(OPENAI_EVENTS).position(HUB.app_id(PARTITION))
        first = 0 if position is None else position + 1
        first_ms = int(datetime.fromisoformat(at).timestamp() * 1000)
        numbered = enumerate(islice(envelopes(EVENT_BYTES), count), first)
        return cls([HubEvent(n, str(n), first_ms, _told(body, at, first)) for n, body in numbered])

    def describe(self) -> Hub:
        return HUB

    def bounds(self, partition_id: str) -> PartitionBounds:
        del partition_id
        return PartitionBounds(self.events[0].sequence_number, self.events[-1].sequence_number)

    def read(self, partition_id: str, after: int | None, deliver: Deliver) -> None:
        del partition_id, after
        deliver(self.events)

    def close(self) -> None:
        """Nothing is open."""


def _told(body: bytes, at: str, first: int) -> bytes:
    """A body as of a call that was made then, with an id of its own."""
    timed = _EVENT_TIME.sub(f'"EventTime": "{at}"'.encode(), body, count=1)
    return timed.replace(b"chatcmpl-", b"chatcmpl-new-%d-" % first)


def _spent(lake: Lake, source: _Waiting) -> dict[str, float]:
    processor, read = time.process_time(), _bytes_read()
    _take_in(lake, source)
    return {PROCESSOR_TIME: time.process_time() - processor, BYTES_READ: _bytes_read() - read}


def _take_in(lake: Lake, source: _Waiting) -> None:
    captured = CaptureRun(source, lake, FINGERPRINT).execute()
    if captured.errors or captured.event_count != len(source.events):
        raise AssertionError(f"captured {captured.event_count} of {len(source.events)}: {captured.errors}")
    for derivation in DAILY:
        refresh_days(lake, derivation, [each.day for each in stale_days(lake, derivation)])


def _bytes_read() -> int:
    line = next(line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar"))
    return int(line.split()[1])
