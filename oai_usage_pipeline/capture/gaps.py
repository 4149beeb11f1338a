"""The record of gaps: which events were missing when capture came to them, and who acknowledged that.

Belongs here: the rows of `capture_gaps` and the commits that change them. What a gap is, is for
`continuity`; when one is found, for `gap_notes`; what may be acknowledged, for `acknowledgement`.

A row is open until it is acknowledged. Open rows follow what is found: they grow when more expires and
go when their events come after all. An acknowledged row never changes any more, so whoever has read an
older version of this table knows of fewer acknowledgements, never of wrong ones.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import polars as pl

from oai_usage_pipeline.capture.continuity import Ranges, acknowledging, missing
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import NoTable, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import CAPTURE_GAPS

ATTEMPTS = 20

_COUNTER = "capture_gaps"
"""The application transaction that every writer of the record moves: two at once can't both succeed."""


@dataclass(frozen=True)
class Gap:
    """Events of one partition that are missing; numbers are inclusive, times UTC (see CAPTURE_GAPS)."""

    event_hub: str
    incarnation: str
    partition_id: str
    first_sequence_number: int
    last_sequence_number: int
    after_at: datetime | None
    before_at: datetime
    found_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    reason: str | None = None

    @property
    def range(self) -> tuple[int, int]:
        """The first and the last number."""
        return self.first_sequence_number, self.last_sequence_number

    @property
    def event_count(self) -> int:
        """How many events these are."""
        return self.last_sequence_number - self.first_sequence_number + 1

    @property
    def is_open(self) -> bool:
        """Whether nobody has acknowledged it."""
        return self.acknowledged_at is None

    def is_passed_by(self, position: int | None) -> bool:
        """Whether a partition came beyond it, although it is open."""
        return self.is_open and position is not None and self.last_sequence_number <= position

    def is_of(self, hub: Hub, partition_id: str) -> bool:
        """Whether it is one of that partition, in that life of the hub."""
        return (self.event_hub, self.incarnation, self.partition_id) == (
            hub.event_hub,
            hub.incarnation,
            partition_id,
        )

    def __str__(self) -> str:
        """The record as a sentence; while it is open, with what to type."""
        first, last = self.range
        since = f"between {self.after_at:%Y-%m-%d %H:%M:%S} and" if self.after_at else "until"
        what = (
            f"{self.event_count:,} events of {self.event_hub} partition {self.partition_id} are missing: "
            f"{first} to {last} (hub created {self.incarnation}), received {since} "
            f"{self.before_at:%Y-%m-%d %H:%M:%S} UTC"
        )
        if self.acknowledged_at is None:
            command = acknowledging(self.event_hub, self.partition_id, first, last)
            return f"{what}; nobody has acknowledged it: `{command}`"
        return (
            f"{what}; acknowledged by {self.acknowledged_by} at {self.acknowledged_at:%Y-%m-%d %H:%M} UTC: "
            f"{self.reason}"
        )


def gaps_of(lake: Lake) -> list[Gap]:
    """Every gap on record, by hub, life, partition and number; looking doesn't make the table."""
    try:
        return _gaps(lake.existing(CAPTURE_GAPS))
    except NoTable:
        return []


def acknowledged(gaps: Iterable[Gap]) -> Ranges:
    """The numbers of one partition that may be passed over."""
    return tuple(sorted(each.range for each in gaps if not each.is_open))


def record_gap(
    lake: Lake,
    hub: Hub,
    partition_id: str,
    first: int,
    last: int,
    after_at: datetime | None,
    before_at: datetime | None,
    now: datetime,
) -> list[Gap]:
    """Record that the events `first` to `last` are missing; returns their open gaps, none if acknowledged.

    `after_at` and `before_at` are when the hub accepted the last event before and the first one after
    them; without `before_at`, it is `now`. Recording again changes nothing; an open gap of the same
    numbers that has grown or shrunk is replaced, and keeps the time when it was found. Numbers that are
    acknowledged already are left out. Raises PositionConflict when other writers keep getting ahead.
    """

    def with_it(gaps: list[Gap]) -> list[Gap]:
        own = [each for each in gaps if each.is_of(hub, partition_id)]
        outdated = [each for each in own if each.is_open and each.range[0] <= last and first <= each.range[1]]
        found = [
            Gap(hub.event_hub, hub.incarnation, partition_id, *numbers, after_at, before_at or now, now)
            for numbers in missing(first - 1, last + 1, acknowledged(own))
        ]
        kept = [each for each in gaps if each not in outdated]
        return kept + [_following(outdated, each) for each in found]

    return [
        each
        for each in rewrite(lake, with_it)
        if each.is_of(hub, partition_id) and each.is_open and first <= each.range[0] <= last
    ]


def rewrite(lake: Lake, change: Callable[[list[Gap]], list[Gap]]) -> list[Gap]:
    """Commit what `change` makes of the record, asked again with what is there whenever another came first.

    Returns the record as it is then. `change` may refuse by raising; given what it made, it must make
    the same again, for a commit whose outcome is unknown is tried once more.
    """
    for _ in range(ATTEMPTS):
        table = lake.table(CAPTURE_GAPS)
        before = _gaps(table)
        after = sorted(change(before), key=_place)
        if after == before:
            return before
        try:
            table.replace(_rows(after), {_COUNTER: (table.position(_COUNTER) or 0) + 1})
        except PositionConflict:
            continue
        return after
    raise PositionConflict("capture_gaps: other writers keep getting ahead: try again")


def _rows(gaps: list[Gap]) -> pl.DataFrame:
    rows = [asdict(each) | {"event_count": each.event_count} for each in gaps]
    return pl.DataFrame(rows, schema=CAPTURE_GAPS.schema)


def _gaps(table: LakeTable) -> list[Gap]:
    table.refuse_cut_files()
    rows = table.read(table.scan().select(*Gap.__dataclass_fields__))
    return sorted((Gap(**row) for row in rows.iter_rows(named=True)), key=_place)


def _place(gap: Gap) -> tuple[str, str, int, str, int]:
    # Partition ids are numbers as text: 10 comes after 9.
    return gap.event_hub, gap.incarnation, len(gap.partition_id), gap.partition_id, gap.range[0]


def _following(outdated: list[Gap], found: Gap) -> Gap:
    """What was found, with what was known of it before."""
    since = min([each.found_at for each in outdated] + [found.found_at])
    for each in outdated:
        if each.range == found.range:
            # Nothing new: the hub had these numbers behind it at either time.
            found = replace(found, before_at=min(each.before_at, found.before_at))
        if each.range[0] == found.range[0]:
            found = replace(found, after_at=each.after_at or found.after_at)
    return replace(found, found_at=since)
