"""What the local broker holds, read from its files without its leave and without capture.

Belongs here: the events of a hub's life as they lie on disk, read-only, beside a running broker or
after its end. A batch whose end is not yet written was not acknowledged, and is left out.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from oai_usage_pipeline.broker.decoding import decode
from oai_usage_pipeline.broker.message import DATA, sections
from oai_usage_pipeline.broker.record import HEADER_SIZE, Record, is_whole, records

CHUNK = 8 * 2**20


class HeldEvent(NamedTuple):
    """One event with its place; `enqueued_ms` is milliseconds since 1970-01-01 UTC."""

    sequence_number: int
    offset: int
    enqueued_ms: int
    body: bytes


@dataclass(frozen=True)
class HubFiles:
    """One life of a hub: `event_hub` is "namespace/hub" as capture names it, `folder` where it lies."""

    event_hub: str
    folder: Path

    @property
    def incarnation(self) -> str:
        """The hub's `created_at`, as capture writes it."""
        created_ms = json.loads((self.folder / "hub.json").read_text())["created_ms"]
        created_at = datetime.fromtimestamp(created_ms // 1000, UTC).replace(
            microsecond=created_ms % 1000 * 1000
        )
        return created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def partition_ids(self) -> list[str]:
        """The partitions that have files, in the order of their numbers."""
        return sorted((path.name for path in self.folder.iterdir() if path.is_dir()), key=int)

    def start_of(self, partition_id: str) -> int:
        """The first sequence number that retention has left in a partition."""
        raw = (self.folder / partition_id / "start").read_bytes()
        return int(struct.unpack(">q", raw.ljust(8, b"\x00"))[0])

    def events(self, partition_id: str, after: int = -1) -> Iterator[HeldEvent]:
        """The events of a partition above `after`, in order; also those that retention has dropped from
        the hub while their file is still there.
        """
        for path in sorted((self.folder / partition_id).glob("*.log")):
            batch: list[HeldEvent] = []
            for offset, record, chunk in _records(path):
                if not is_whole(chunk, record):
                    return
                if record.sequence_number > after:
                    body = _body(memoryview(chunk)[record.at + HEADER_SIZE : record.end])
                    batch.append(HeldEvent(record.sequence_number, offset, record.enqueued_ms, body))
                if record.following == 0:
                    yield from batch
                    batch = []


def _records(path: Path) -> Iterator[tuple[int, Record, bytes]]:
    """Every record of a file with its offset in the partition, and the chunk that it lies in."""
    base, rest = int(path.stem), b""
    with path.open("rb") as file:
        while more := file.read(CHUNK):
            chunk, end = rest + more, 0
            for record in records(chunk):
                yield base + record.at, record, chunk
                end = record.end
            base, rest = base + end, chunk[end:]


def _body(message: memoryview) -> bytes:
    """The bytes that were sent: the message's data sections."""
    values = (decode(message, each.value)[0] for each in sections(message) if each.code == DATA)
    return b"".join(bytes(value) for value in values if isinstance(value, bytes | memoryview))
