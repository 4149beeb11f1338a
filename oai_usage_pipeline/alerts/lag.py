"""How long capture has been behind, at least: marks are put at the hub's head, and taken away when reached.

Belongs here: marks. The hub doesn't tell when its oldest event that isn't captured came, but what was there
when a mark was put has waited since then. On a busy hub there is always something that waits; a mark is
reached all the same.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from pydantic import BaseModel

from oai_usage_pipeline.capture.backlog import PartitionBacklog


class Mark(BaseModel, frozen=True):
    """The number of the hub's last event at a time that is known."""

    sequence_number: int
    at: datetime


def marks(before: Mapping[str, Mark], found: Iterable[PartitionBacklog], now: datetime) -> dict[str, Mark]:
    """By the name of each partition's position, the mark that capture has yet to reach.

    There is none where nothing waits, nor where a gap has stopped the partition, which is told as a gap.
    """
    behind = {
        each.hub.app_id(each.partition_id): each for each in found if each.event_count and each.gap is None
    }
    return {name: _mark(before.get(name), each, now) for name, each in behind.items()}


def _mark(before: Mark | None, found: PartitionBacklog, now: datetime) -> Mark:
    is_reached = before is None or before.sequence_number <= found.after
    return Mark(sequence_number=found.bounds.last, at=now) if is_reached or before is None else before
