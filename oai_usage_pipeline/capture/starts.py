"""With which event each partition of a life of a hub begins, on record before any of its events is committed.

Belongs here: noting it. What is missing since is for `backlog`.

A partition without a position would otherwise begin with whatever the hub still holds when it is read for the
first time, and what expired before would be missing without a word: an idle partition that fills up during an
outage, one that couldn't be read at first, one that was added. So the first capture of a hub's life notes all
its partitions; one that isn't among them was added later, and begins with 0.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from oai_usage_pipeline.capture.backlog import PartitionBacklog
from oai_usage_pipeline.capture.commit import ATTEMPTS, wait_to_repeat
from oai_usage_pipeline.capture.source import Source
from oai_usage_pipeline.errors import LakeDamaged
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS


def note_starts(
    open_table: Callable[[], LakeTable],
    source: Source,
    found: Sequence[PartitionBacklog],
    sound_at: int,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, int]:
    """Have every partition's start on record; returns what is, by partition, of those without a position.

    Of two that note the same at once, one does it, and both return its numbers. `sound_at` is the version
    that preflight found sound. Raises LakeUnavailable, LakeDamaged, SourceUnavailable.
    """
    wanted = {each.partition_id: each.start for each in found if each.position is None}
    if all(each.noted_start is not None for each in found if each.position is None):
        return wanted
    hub = found[0].hub
    if not found[0].is_on_record:
        others = set(hub.partition_ids) - wanted.keys()
        wanted |= {each: source.bounds(each).first for each in sorted(others)}
    by_id = {hub.start_id(each): start for each, start in wanted.items()}
    for attempt in range(ATTEMPTS):
        try:
            noted = _note(open_table(), by_id, sound_at)
            return {each: noted[hub.start_id(each)] for each in wanted}
        except LakeDamaged:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the outcome is unknown
            wait_to_repeat(attempt, error, pause)
    raise AssertionError("unreachable: the last attempt raises")


def _note(table: LakeTable, starts: Mapping[str, int], sound_at: int) -> dict[str, int]:
    """All starts as they are on record after this."""
    known = {name: number for name in starts if (number := table.position(name)) is not None}
    if lacking := {name: start for name, start in starts.items() if name not in known}:
        table.append(OPENAI_EVENTS.empty(), lacking, sound_at=sound_at)
    return {**starts, **known}
