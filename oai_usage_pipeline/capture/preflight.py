"""What a capture looks at before it writes: is the table what the positions in it say?

Belongs here: what makes a table unfit to be written, and a clock that can't be right. Setting a table right
is for `repair`.

A position survives what takes rows away (RESTORE, overwrite, delete): capture would go on behind a hole.
And rows survive the loss of their position (a log entry that was cut): capture would land them again. So
the row of each position must be there once, and nothing above it.

That costs little in a table with years of history. A partition's enqueued time grows with its numbers, so
days are walked from the newest, two at first, then twice as many each time, until every partition's row
is found; and only files that may hold rows from the positions on are opened. What is wrong farther back
would not be seen so. So when another program has committed to the table since a capture found it sound, all
of it is read. Commits of a capture tell which version that was: what it looked at isn't looked at again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from oai_usage_pipeline.capture.backlog import PartitionBacklog
from oai_usage_pipeline.capture.beginning import refuse_lost_erasures, refuse_lost_table
from oai_usage_pipeline.capture.contents import contents_of, size, spans
from oai_usage_pipeline.capture.gaps import Gap
from oai_usage_pipeline.capture.same_table import lost_meanwhile
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import LakeDamaged, NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import EVENT_KEY, OPENAI_EVENTS

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far our clock may be behind the hub's; clocks that are set by the network differ by milliseconds."""

MOST_WALKED = 1000
"""How many commits back one of ours is looked for that tells which version was found sound."""

LATELY = 30
"""How many commits back another program's are looked for where none tells; the hourly checks see the rest."""

MOST_COMMITS = 200
"""How many commits are searched for the one that did the damage, once there is some."""

MOST_SHOWN = 5

FIRST_COLUMNS = (
    *EVENT_KEY,
    *("offset", "enqueued_at", "enqueued_date", "EventTime", "AppSubscriptionKey"),
    *("Request", "Response", "properties", "body", "reason"),
)
"""What bronze had from its first contract on. Columns that came later are added when they are lacking."""


@dataclass(frozen=True)
class Tip:
    """What bronze holds of a partition from its position on: rows of its number, and those above it."""

    at: int = 0
    above: int = 0
    first_above: int | None = None
    last_above: int | None = None

    def joined(self, other: "Tip") -> "Tip":
        """Both together."""
        firsts = [each for each in (self.first_above, other.first_above) if each is not None]
        lasts = [each for each in (self.last_above, other.last_above) if each is not None]
        return Tip(
            self.at + other.at,
            self.above + other.above,
            min(firsts, default=None),
            max(lasts, default=None),
        )


@dataclass(frozen=True)
class Sound:
    """Which table and version was found sound, None and -1 before its first; what is wrong with our clock."""

    table_id: str | None = None
    version: int = -1
    clock_fault: str | None = None


def preflight(lake: Lake, found: Sequence[PartitionBacklog], now: datetime) -> Sound:
    """Look at bronze before it is written.

    Raises LakeDamaged when bronze contradicts itself in any partition of `found`, or was lost, or the record
    of erasures was: nothing at all must be written then. Raises LakeUnavailable when it can't be read.
    """
    refuse_lost_table(lake)
    try:
        table = lake.existing(OPENAI_EVENTS)
    except NoTable:
        if any(each.position is not None for each in found):
            raise lost_meanwhile(lake.uri(OPENAI_EVENTS)) from None
        return Sound()
    table.refuse_strange_form(FIRST_COLUMNS)
    refuse_lost_erasures(lake, table)
    damage = table.damaged_files() or list(_contradictions(table, found))
    if not damage and table.unproven_commits(LATELY, MOST_WALKED):
        damage = list(_holes_and_spares(lake, table, found[0].hub))
    if damage:
        raise LakeDamaged(_told(table, damage))
    return Sound(table.id, table.version, clock_fault(table.newest("enqueued_at"), now))


def clock_fault(newest: datetime | None, now: datetime) -> str | None:
    """What is wrong with our clock, if the newest event in bronze was enqueued after it; else None."""
    if newest is None or newest - now <= CLOCK_TOLERANCE:
        return None
    # Not a reason to stop: rows lie in the day of the hub's time, not of ours, and positions know no time.
    # A clock of ours that is wrong only spoils what is measured or chosen by it: which days a live pass
    # refreshes (the sensor for stale days brings up the others), when a gap was found, how late data are.
    # One that is ahead can't be told from a hub that receives nothing.
    return (
        f"The clock of this machine is behind by {newest - now} or more: it says {now:%Y-%m-%d %H:%M:%S}, "
        f"and the hub accepted an event at {newest:%Y-%m-%d %H:%M:%S} UTC. No event is lost or misplaced by "
        "that, but live passes may refresh the wrong days, and ages are wrong: let the network set the clock"
    )


def _contradictions(table: LakeTable, found: Sequence[PartitionBacklog]) -> Iterator[str]:
    """Each partition whose rows are not what its position says, in a sentence.

    Positions are read from the handle that is scanned: another capture may have committed since `found`.
    Raises LakeDamaged when one that was found is none any more.
    """
    hub = found[0].hub
    positions = {each.partition_id: table.position(hub.app_id(each.partition_id)) for each in found}
    if any(each.position is not None and positions[each.partition_id] is None for each in found):
        raise lost_meanwhile(table.uri)
    # Without a position, every row has to be looked at: only where there is something to capture.
    asked = [each for each in found if positions[each.partition_id] is not None or each.event_count]
    tips = tips_of(table, hub, {each.partition_id: positions[each.partition_id] for each in asked})
    for each in asked:
        said = _contradiction(table, each, positions[each.partition_id], tips[each.partition_id])
        if said is not None:
            yield f"{hub.event_hub} partition {each.partition_id}: {said}"


def tips_of(table: LakeTable, hub: Hub, positions: Mapping[str, int | None]) -> dict[str, Tip]:
    """What lies at and above each partition's position; without one, every row lies above."""
    days = sorted(table.days(), reverse=True)
    tips = {partition_id: Tip() for partition_id in positions}
    searched, step = 0, 2
    while searched < len(days) and (wanted := [each for each, tip in tips.items() if not tip.at]):
        span = days[searched : searched + step]
        after = {each: -1 if positions[each] is None else positions[each] for each in wanted}
        for partition_id, *numbers in _from_positions(table, hub, after, span[-1], span[0]):
            tips[partition_id] = tips[partition_id].joined(Tip(*numbers))
        searched, step = searched + len(span), step * 2
    return tips


def _from_positions(
    table: LakeTable, hub: Hub, positions: Mapping[str, int | None], first_day: str, last_day: str
) -> Iterator[tuple[Any, ...]]:
    """Partition and the values of its Tip, for the days from the first to the last (ISO dates)."""
    number, partition_id = pl.col("sequence_number"), pl.col("partition_id")
    position = partition_id.replace_strict(dict(positions), default=None, return_dtype=pl.Int64)
    above = number.filter(number > position)
    found = (
        table.scan()
        .filter(
            pl.col("enqueued_date").is_between(date.fromisoformat(first_day), date.fromisoformat(last_day)),
            # Spelled out by partition: so a file's statistics tell whether it can hold any of these rows.
            pl.any_horizontal((partition_id == each) & (number >= last) for each, last in positions.items()),
            pl.col("event_hub") == hub.event_hub,
            pl.col("incarnation") == hub.incarnation,
        )
        .group_by("partition_id")
        .agg(
            (number == position).sum().alias("at"),
            above.len().alias("above"),
            above.min().alias("first_above"),
            above.max().alias("last_above"),
        )
    )
    return table.read(found).iter_rows()


def _contradiction(
    table: LakeTable, partition: PartitionBacklog, position: int | None, tip: Tip
) -> str | None:
    """What contradicts the position and what it may mean; None when nothing does."""
    above = f"{tip.above:,} rows above it, {tip.first_above} to {tip.last_above}"
    if position is None and tip.above:
        return (
            f"it was never captured, by its position, but has {tip.above:,} rows, {tip.first_above} to "
            f"{tip.last_above}. Their position was lost with a log entry, or another program wrote them"
        )
    if position is None or (tip.at == 1 and not tip.above):
        return None
    if tip.at > 1:
        more = f", with {above}" if tip.above else ""
        return f"event {position} is there {tip.at} times{more}. Another program added rows that were there"
    if tip.at == 1:
        return (
            f"event {position} is its position, but there are {above}. Their position was lost with a log "
            "entry that was cut, or another program wrote them"
        )
    if not tip.above and _is_on_record(position, partition.recorded):
        # All of it is lost, and that is on record: `repair` left the position where it was.
        return None
    there = f"which has {above}" if tip.above else _what_is_there(table, partition)
    return (
        f"event {position} is its position, but is not in the table, {there}. The table was restored to an "
        "older version, overwritten, or rows of it were deleted"
    )


def _holes_and_spares(lake: Lake, table: LakeTable, hub: Hub) -> Iterator[str]:
    """What is wrong anywhere in the table; reads all its keys."""
    for each in contents_of(lake, table, hub):
        if each.missing:
            yield f"{each}: {size(each.missing):,} events are no longer there, {spans(each.missing)}"
        if each.spare_count:
            yield f"{each}: {each.spare_count:,} rows are there more than once"


def _is_on_record(number: int, gaps: Sequence[Gap]) -> bool:
    return any(each.range[0] <= number <= each.range[1] for each in gaps)


def _what_is_there(table: LakeTable, partition: PartitionBacklog) -> str:
    hub = partition.hub
    rows = table.scan().filter(
        pl.col("partition_id") == partition.partition_id,
        pl.col("event_hub") == hub.event_hub,
        pl.col("incarnation") == hub.incarnation,
    )
    last = table.read(rows.select(pl.col("sequence_number").max())).item()
    return "nor is any other" if last is None else f"whose last one is {last}"


def _told(table: LakeTable, damage: Sequence[str]) -> str:
    others = {each.version: each for each in table.rewrites(MOST_COMMITS)}
    others |= {each.version: each for each in table.unproven_commits(LATELY, MOST_WALKED)}
    suspects = [str(others[version]) for version in sorted(others, reverse=True)][:MOST_SHOWN]
    return (
        f"{table.contract.name} contradicts itself, and nothing is captured into it:\n"
        + "\n".join(f"  {each}" for each in damage[:MOST_SHOWN])
        + (f"\n  and {len(damage) - MOST_SHOWN} more" if len(damage) > MOST_SHOWN else "")
        + (f"\nIts log shows {', '.join(suspects)}" if suspects else "")
        + "\nSee what can be done with `oai-usage repair`; it asks before it changes anything"
    )
