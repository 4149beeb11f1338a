"""Setting bronze right after something else changed it: what is wrong, what can be done, and doing it.

Belongs here: the plan, and carrying it out step by step. What a step does is for `remedies`, where lost rows
come from for `lost_rows`.

The rows of events that are missing come, in this order, from the table's own old files, from the hub, or
from nowhere: then they are recorded as a gap. Events at a partition's end that the hub still has are not
landed here: its position is set to the last event that is there, and capture goes on from it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from oai_usage_pipeline.capture.beginning import refuse_lost_erasures
from oai_usage_pipeline.capture.contents import (
    PartitionContents,
    PartitionKey,
    contents_of,
    size,
    spans,
    within,
)
from oai_usage_pipeline.capture.continuity import Ranges, missing
from oai_usage_pipeline.capture.foreign_rows import foreign_rows
from oai_usage_pipeline.capture.landing import Keep, as_they_came
from oai_usage_pipeline.capture.lost_rows import kept_by
from oai_usage_pipeline.capture.preflight import FIRST_COLUMNS
from oai_usage_pipeline.capture.remedies import (
    DropSpares,
    ForgetFiles,
    MovePositions,
    PutBack,
    RecordGaps,
    Reland,
    Remedy,
    SetLogAside,
    Site,
)
from oai_usage_pipeline.capture.source import PartitionBounds, Source
from oai_usage_pipeline.capture.spare_rows import contradicting, spare_days
from oai_usage_pipeline.errors import LakeDamaged, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

ATTEMPTS = 20

LOG = "_delta_log/"


@dataclass(frozen=True)
class Plan:
    """What is to be done, in this order, and what nobody but a person can decide."""

    remedies: tuple[Remedy, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.remedies and not self.left


@dataclass(frozen=True)
class Repair:
    """Sets bronze right; `agree` is asked before anything is changed, `report` told of what was done.

    `keep` takes out of events that are landed again what is not to be written, what `forget` returns
    out of rows that are put back.
    """

    source: Source
    lake: Lake
    fingerprint: KeyFingerprint
    clock: Callable[[], datetime]
    agree: Callable[[Plan], bool]
    report: Callable[[str], None] = lambda _: None
    keep: Keep = as_they_came
    forget: Callable[[], Keep] = lambda: as_they_came

    def execute(self) -> Plan:
        """Do what is agreed to, until nothing is left to do; returns what is left.

        Looks at everything again before each step, and asks again when something else is to be done
        than was agreed to. Safe beside captures, and after a crash at any point: run it again. Raises
        SourceUnavailable and LakeUnavailable, NoTable where nothing was captured yet, LakeDamaged
        when a step changes nothing.
        """
        agreed: set[Remedy] = set()
        conflicts = 0
        done: Remedy | None = None
        while True:
            site, plan = self._look()
            if not plan.remedies:
                return plan
            remedy = plan.remedies[0]
            if remedy == done:
                raise LakeDamaged(f"This was done and changed nothing: {remedy}. Look at the table by hand")
            if remedy not in agreed:
                if not self.agree(plan):
                    return plan
                # Whoever was asked may have thought for long: look again before anything is done.
                agreed = set(plan.remedies)
                continue
            try:
                remedy.apply(site)
            except PositionConflict:
                conflicts += 1
                if conflicts == ATTEMPTS:
                    raise
                continue
            done = remedy
            self.report(str(remedy))

    def plan(self) -> Plan:
        """What is wrong now and what can be done about it; changes nothing."""
        return self._look()[1]

    def _look(self) -> tuple[Site, Plan]:
        self.lake.existing(OPENAI_EVENTS).refuse_strange_form(FIRST_COLUMNS)
        # Opened for writing: a table of an older contract gains the columns that rows are written with.
        table = self.lake.table(OPENAI_EVENTS)
        refuse_lost_erasures(self.lake, table)
        hub = self.source.describe()
        gone = table.gone_files()
        # The keys of rows whose files are gone can't be read.
        contents = [] if gone else contents_of(self.lake, table, hub)
        bounds = {
            each.key: self.source.bounds(each.partition_id)
            for each in contents
            if each.key[:2] == (hub.event_hub, hub.incarnation) and each.partition_id in hub.partition_ids
        }
        contents = [_known_from(each, bounds.get(each.key)) for each in contents]
        site = Site(
            self.lake,
            self.source,
            self.fingerprint,
            self.clock,
            hub,
            table,
            {each.key: each for each in contents},
            bounds,
            self.keep,
            self.forget,
        )
        return site, Plan((ForgetFiles(tuple(sorted(gone))),)) if gone else _plan(site)


def _plan(site: Site) -> Plan:
    table = site.table
    back = _from_old_files(table, site.contents.values())
    courses = [_course(site, each, back) for each in site.contents.values()]
    sound = [each for each in courses if each.left is None]
    gone = tuple((each.key, each.gone) for each in sound if each.gone)
    to_land = tuple((each.key, each.to_land) for each in sound if each.to_land)
    moves = tuple((each.key, site.contents[each.key].position, each.end) for each in sound if each.is_moved)
    damage = tuple(each for each in table.damaged_files() if each.startswith(LOG))
    remedies: list[Remedy] = [DropSpares(day, count) for day, count in spare_days(table).items()]
    remedies += back
    remedies += [RecordGaps(gone)] if gone else []
    remedies += [Reland(to_land)] if to_land else []
    remedies += [MovePositions(moves)] if moves else []
    remedies += [SetLogAside(damage)] if damage else []
    left = [*contradicting(table), *(each.left for each in courses if each.left is not None)]
    return Plan(tuple(remedies), tuple(left))


def _known_from(partition: PartitionContents, bounds: PartitionBounds | None) -> PartitionContents:
    """Capture began with the first event that the hub held then: it has had all that the hub holds now."""
    if bounds is None or partition.first is None:
        return partition
    return replace(partition, first=min(partition.first, bounds.first))


def _from_old_files(table: LakeTable, contents: Iterable[PartitionContents]) -> list[PutBack]:
    """What commits took away that is still in files, the last one first.

    Of partitions that have lost something, older numbers than are known are asked for too.
    """
    found = []
    lost = {
        each.key: (((0, each.first - 1),) if each.first else ()) + each.missing
        for each in contents
        if each.missing
    }
    for rewrite in table.rewrites() if lost else ():
        if kept := kept_by(table, rewrite, lost.items()):
            found.append(PutBack(rewrite, tuple(kept)))
            for key, ranges in kept:
                lost[key] = tuple(_less(lost[key], ranges))
            lost = {key: ranges for key, ranges in lost.items() if ranges}
    return found


@dataclass(frozen=True)
class _Course:
    """What is to be done in one partition: numbers that are gone, and those to land; its position in the end.

    `end` is None where it stays as it is. `left` says why nothing can be done.
    """

    key: PartitionKey
    gone: Ranges = ()
    to_land: Ranges = ()
    end: int | None = None
    is_moved: bool = False
    left: str | None = None


def _course(site: Site, partition: PartitionContents, back: Sequence[PutBack]) -> _Course:
    key = partition.key
    returned = [each for remedy in back for of, ranges in remedy.lost if of == key for each in ranges]
    lost = tuple(_less(partition.missing, returned))
    if partition.first is None and returned:
        # The old files tell with which event capture began.
        lost = tuple(within(lost, min(first for first, _ in returned), lost[-1][1])) if lost else ()
    last = max((end for _, end in (*partition.held, *returned)), default=None)
    bounds = site.bounds.get(key)
    if bounds and (strange := foreign_rows(site.table, site.source, partition, bounds)):
        return _Course(key, left=strange)
    if lost and key[0] != site.hub.event_hub:
        return _Course(
            key,
            left=f"{partition} lacks {size(lost):,} events, {spans(lost)}: repair it by that hub's settings",
        )
    if bounds is None:
        # Of a former life of the hub, nothing can be had; and of one that lost nothing, nothing is wanted.
        gone, to_land = lost, lost[:0]
    elif lost and lost[-1][1] > bounds.last:
        return _Course(
            key,
            left=(
                f"{partition} lacks events up to {lost[-1][1]}, but the hub's last is {bounds.last}: it has "
                "lost events too, and would give their numbers to others. Ask Azure's support; to go on, "
                "make a new hub"
            ),
        )
    else:
        gone = tuple(within(lost, 0, bounds.first - 1))
        # Those at the end are read by capture itself, from the last event that is there.
        to_land = tuple(within(lost, bounds.first, bounds.last if last is None else last))
    return _Course(key, gone, to_land, last, is_moved=last is not None and last != partition.position)


def _less(ranges: Ranges, others: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What of ranges isn't in the others."""
    known = tuple(sorted(others))
    for first, last in ranges:
        yield from missing(first - 1, last + 1, known)
