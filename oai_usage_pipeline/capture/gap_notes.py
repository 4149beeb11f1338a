"""What a capture run notes about gaps: those it met, with the times around them, and those that healed.

Belongs here: asking the hub and bronze what the record needs to know. The record itself is `gaps`.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import polars as pl

from oai_usage_pipeline.capture.gaps import Gap, acknowledged, gaps_of, record_gap, rewrite
from oai_usage_pipeline.capture.source import Hub, HubEvent, Source
from oai_usage_pipeline.errors import NoTable, SourceGap, SourceUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS

logger = logging.getLogger(__name__)


def note_gap(
    source: Source, lake: Lake, hub: Hub, partition_id: str, error: SourceGap, now: datetime
) -> None:
    """Record what is missing, unless it is on record already or the hub has it after all."""
    own = [each for each in gaps_of(lake) if each.is_of(hub, partition_id)]
    on_record = {each.range for each in own}
    for first, last in error.missing:
        if (first, last) in on_record:
            continue
        following = _following(source, partition_id, first - 1)
        if following is not None and following.sequence_number <= last:
            logger.warning("%s. The hub has event %d, though", error, following.sequence_number)
            continue
        before_at = None if following is None else _enqueued_at(following)
        after_at = received_before(lake, hub, partition_id, first, own)
        record_gap(lake, hub, partition_id, first, last, after_at, before_at, now)
        logger.warning("%s", error)


def forget_healed(lake: Lake, gaps: Iterable[Gap]) -> None:
    """Take open gaps out of the record whose events are all in bronze: they came after all."""
    healed = [each for each in gaps if each.is_open and _count(lake, each) == each.event_count]
    if healed:
        rewrite(lake, lambda record: [each for each in record if each not in healed])


def first_held(source: Source, partition_id: str, after: int) -> HubEvent | None:
    """The first event after a number that the hub can deliver; None if it has none.

    Raises SourceUnavailable when it has some, but delivers none.
    """
    found: list[HubEvent] = []

    def deliver(events: Sequence[HubEvent]) -> bool:
        # What was delivered last may come again after a reconnect.
        found.extend(each for each in events if each.sequence_number > after)
        return not found

    bounds = source.bounds(partition_id)
    if bounds.last <= after or bounds.last < bounds.first:
        return None
    source.read(partition_id, after if after >= 0 else None, deliver)
    return found[0] if found else None


def received_before(
    lake: Lake, hub: Hub, partition_id: str, first: int, gaps: Sequence[Gap]
) -> datetime | None:
    """When the hub accepted the last event in bronze before a number; None if there is none."""
    number = first - 1
    for begin, end in reversed(acknowledged(gaps)):
        number = begin - 1 if begin <= number <= end else number
    found = _enqueued(lake, hub.event_hub, hub.incarnation, partition_id, number, number)
    return found.item(0) if len(found) else None


def _following(source: Source, partition_id: str, after: int) -> HubEvent | None:
    """The same, None also where the hub doesn't answer: the gap is recorded all the same."""
    try:
        return first_held(source, partition_id, after)
    except SourceUnavailable as error:
        logger.warning("The event after a gap in partition %s can't be read: %s", partition_id, error)
        return None


def _enqueued_at(event: HubEvent) -> datetime:
    return datetime.fromtimestamp(event.enqueued_ms / 1000, UTC)


def _count(lake: Lake, gap: Gap) -> int:
    """How many of a gap's events are in bronze."""
    return len(_enqueued(lake, gap.event_hub, gap.incarnation, gap.partition_id, *gap.range))


def _enqueued(
    lake: Lake, event_hub: str, incarnation: str, partition_id: str, first: int, last: int
) -> pl.Series:
    """The times of a partition's events `first` to `last` in bronze, each event once."""
    try:
        table = lake.existing(OPENAI_EVENTS)
    except NoTable:
        return OPENAI_EVENTS.empty()["enqueued_at"]
    table.refuse_cut_files()
    # Numbers and partitions have statistics: few files are opened.
    found = table.scan().filter(
        pl.col("sequence_number").is_between(first, last),
        pl.col("partition_id") == partition_id,
        pl.col("event_hub") == event_hub,
        pl.col("incarnation") == incarnation,
    )
    rows = table.read(found.select("sequence_number", "enqueued_at"))
    return rows.unique("sequence_number")["enqueued_at"]
