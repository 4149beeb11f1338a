"""Acknowledging a gap: somebody says, with a reason, to go on without these events.

Belongs here: what is refused and why. The record is `gaps`. An acknowledgement is one commit to it and
nothing else: the next capture reads it and passes over these numbers, and no others.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from oai_usage_pipeline.capture.gap_notes import first_held
from oai_usage_pipeline.capture.gaps import Gap, gaps_of, rewrite
from oai_usage_pipeline.capture.source import Source
from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.lake.lake import Lake


def acknowledge_gap(
    source: Source,
    lake: Lake,
    partition_id: str,
    first: int,
    last: int,
    by: str,
    why: str,
    now: datetime,
    other_hub: str | None = None,
) -> Gap:
    """Acknowledge the open gap `first` to `last` of the hub's partition; returns it as it is recorded then.

    `other_hub` ("namespace/hub") is the gap's hub where that isn't the source's, which is not asked then.
    Raises ConfigurationError for what isn't on record exactly so, is acknowledged already, or can still
    be had from the hub; SourceUnavailable when the hub can't be asked. After a crash, call it again.
    """
    if not by.strip():
        raise ConfigurationError("It must be said who goes on without these events: --by is empty")
    if not why.strip():
        raise ConfigurationError("It must be said why these events are given up: --why is empty")
    hub = source.describe() if other_hub is None else None
    event_hub = other_hub if hub is None else hub.event_hub
    wanted = _wanted(gaps_of(lake), event_hub, partition_id, first, last)
    if hub is not None and wanted.incarnation == hub.incarnation:
        # Of another hub or a former life of this one, nothing can be had here.
        _refuse_what_can_be_had(source, wanted)

    def is_ours(gap: Gap) -> bool:
        return (gap.event_hub, gap.partition_id, gap.range, gap.acknowledged_at, gap.acknowledged_by) == (
            event_hub,
            partition_id,
            (first, last),
            now,
            by,
        )

    def with_it(gaps: list[Gap]) -> list[Gap]:
        if any(is_ours(each) for each in gaps):
            # Our own commit, whose outcome was unknown.
            return gaps
        again = _wanted(gaps, event_hub, partition_id, first, last)
        done = replace(again, acknowledged_at=now, acknowledged_by=by, reason=why)
        return [done if each == again else each for each in gaps]

    return next(each for each in rewrite(lake, with_it) if is_ours(each))


def _wanted(gaps: Sequence[Gap], event_hub: str | None, partition_id: str, first: int, last: int) -> Gap:
    """The open gap of these numbers, of the hub's newest life first."""
    own = [each for each in gaps if (each.event_hub, each.partition_id) == (event_hub, partition_id)]
    own.sort(key=lambda each: each.incarnation, reverse=True)
    same = [each for each in own if each.range == (first, last)]
    if found := [each for each in same if each.is_open]:
        return found[0]
    if same:
        raise ConfigurationError(f"It is acknowledged already: {same[0]}")
    open_ones = [str(each) for each in gaps if each.is_open]
    raise ConfigurationError(
        f"{event_hub} partition {partition_id} has no open gap {first} to {last}. "
        + (
            "Open are:\n" + "\n".join(open_ones)
            if open_ones
            else "None is open: `oai-usage repair` records what `oai-usage verify` finds missing"
        )
    )


def _refuse_what_can_be_had(source: Source, gap: Gap) -> None:
    first, last = gap.range
    held = first_held(source, gap.partition_id, first - 1)
    if held is not None and held.sequence_number <= last:
        raise ConfigurationError(
            f"The hub still has event {held.sequence_number} of partition {gap.partition_id}: nothing is "
            "given up that can be had. Run a pass (`oai-usage run --until-idle`); what is still missing then "
            "is recorded anew, smaller, and can be acknowledged"
        )
