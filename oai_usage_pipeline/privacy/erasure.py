"""Erasing the texts of one subscription or user on request, with a record of it.

Belongs here: the order of an erasure, and its record. Whose an event is, is for `subject`; how a day is
rewritten and old files go, for `rewriting`.

The record is begun before anything changes and finished when the last old file is gone. What was begun and
not finished is taken over by the next erasure of the same subject. Numbers stay, also in closed months.

1. The record is begun, and noted in bronze: that refuses every commit of a table that was opened before. So
   who lands events from now on has read the record.
2. Their events are looked for once more: some may have been landed since somebody was asked.
3. Days are rewritten, tables follow, old files go; the record is finished.

Events that arrive later are not covered: erase again, or keep no texts at all. Those that come again are for
`forgetting`, which goes by the record.
"""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import polars as pl

from oai_usage_pipeline.capture.beginning import ERASING, refuse_lost_erasures
from oai_usage_pipeline.errors import ConfigurationError, HistoryGone, NoTable, PositionConflict
from oai_usage_pipeline.lake.failures import explaining
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.privacy.rewriting import ATTEMPTS, follow, remove_old_files, rewrite_day
from oai_usage_pipeline.privacy.subject import Subject
from oai_usage_pipeline.refresh.chain import DAILY
from oai_usage_pipeline.refresh.derivation import day_of
from oai_usage_pipeline.refresh.silver import CHUNK_ROWS
from oai_usage_pipeline.tables import OPENAI_EVENTS, PAYLOAD_ERASURES
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint, version_of
from oai_usage_pipeline.usage.payload import without_texts


@dataclass(frozen=True)
class Erasure:
    """A row of `payload_erasures`."""

    begun_at: datetime
    finished_at: datetime | None
    erased_by: str
    reason: str
    kind: str
    subject: str
    day_count: int
    erased_event_count: int

    @property
    def pepper_version(self) -> int | None:
        """Of the pepper that its mark was made with."""
        return version_of(self.subject)

    def __str__(self) -> str:
        """The record as a sentence."""
        done = f"finished {self.finished_at:%Y-%m-%d %H:%M} UTC" if self.finished_at else "not finished yet"
        return (
            f"Texts of {self.kind} {self.subject}: {self.erased_event_count:,} events of {self.day_count} "
            f"days, begun by {self.erased_by} {self.begun_at:%Y-%m-%d %H:%M} UTC, {done}: {self.reason}"
        )


def events_of(lake: Lake, subject: Subject) -> dict[str, int]:
    """How many events of theirs there are that an erasure would change, by ISO date; reads all of bronze.

    Looks again, once, when files went while they were read. Raises NoTable, LakeUnavailable, LakeDamaged.
    """
    try:
        return _events_of(lake, subject)
    except HistoryGone:
        return _events_of(lake, subject)


def _events_of(lake: Lake, subject: Subject) -> dict[str, int]:
    table = lake.grown(OPENAI_EVENTS)
    counts = {}
    with explaining(table):
        for day in sorted(table.days()):
            rows = day_of(table, day).select(*OPENAI_EVENTS.schema)
            chunks: Iterator[pl.DataFrame] = rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=False)
            counts[day] = sum(int(subject.is_theirs(chunk).sum()) for chunk in chunks)
    return {day: count for day, count in counts.items() if count}


def erase(
    lake: Lake,
    subject: Subject,
    found: dict[str, int],
    by: str,
    why: str,
    clock: Callable[[], datetime],
    report: Callable[[str], None] = lambda _: None,
) -> Erasure:
    """Erase the texts of the events that `events_of` found, and of those that came since; returns the record.

    After a failure, call it again. Raises ConfigurationError without a name or a reason, PositionConflict
    when other writers keep getting ahead, LakeUnavailable, LakeDamaged.
    """
    if not by.strip() or not why.strip():
        raise ConfigurationError("It must be said who erases, and why: --by or --why is empty")
    refuse_lost_erasures(lake, lake.existing(OPENAI_EVENTS))
    subject = _as_recorded(lake, subject)
    record = _begin(lake, subject, found, by, why, clock())  # Step 1.
    _note(lake)
    there = events_of(lake, subject)  # Step 2.
    last = _last_accepted(lake)
    for day, count in there.items():  # Step 3.
        rewrite_day(lake, day, lambda rows: _erased(rows, subject))
        report(f"{day}: erased the texts of {count:,} events")
    if subject.kind == "user":
        # Their name stands in what follows from bronze, too.
        follow(lake, DAILY)
        remove_old_files(lake, [OPENAI_EVENTS, *(each.target for each in DAILY)])
    else:
        follow(lake, DAILY[:1])
        remove_old_files(lake, [OPENAI_EVENTS])
    # By the hub's clock, if ours is behind: what was there when it began is erased.
    finished_at = max(clock(), last) if last else clock()
    return _finish(lake, record, _with_late(record, found, there, finished_at))


def erasures_of(lake: Lake) -> list[Erasure]:
    """Every erasure on record, oldest first."""
    try:
        table = lake.existing(PAYLOAD_ERASURES)
    except NoTable:
        return []
    return sorted(_records(table), key=lambda each: each.begun_at)


def of_other_peppers(
    records: Iterable[Erasure], fingerprint: KeyFingerprint, pairs: AbstractSet[tuple[str, str]] = frozenset()
) -> list[Erasure]:
    """Those whose subject can't be told: their pepper is neither in use nor the one before.

    `pairs` lead to further fingerprints of keys.
    """
    told = {each.version for each in (fingerprint, fingerprint.previous) if each is not None}
    paired = {each for pair in pairs for each in pair}
    return [each for each in records if each.pepper_version not in told and each.subject not in paired]


def _as_recorded(lake: Lake, subject: Subject) -> Subject:
    """The subject with the mark of an earlier erasure by the pepper before, so that a user stays one."""
    known = {each.subject for each in erasures_of(lake) if each.kind == subject.kind}
    former = subject.former_mark
    is_known_by_it = former in known and subject.mark not in known
    return replace(subject, mark=former) if former is not None and is_known_by_it else subject


def _last_accepted(lake: Lake) -> datetime | None:
    table = lake.existing(OPENAI_EVENTS)
    last: datetime | None = table.read(table.scan().select(pl.col("enqueued_at").max())).item()
    return last


def _erased(rows: pl.DataFrame, subject: Subject) -> pl.DataFrame:
    theirs = subject.is_theirs(rows)
    return pl.concat([rows.filter(~theirs), without_texts(rows.filter(theirs), subject.rename)])


def _begin(lake: Lake, subject: Subject, found: dict[str, int], by: str, why: str, now: datetime) -> Erasure:
    new = Erasure(now, None, by, why, subject.kind, subject.mark, len(found), sum(found.values()))

    def with_it(records: list[Erasure]) -> list[Erasure]:
        return records if any(_is_same(each, new) for each in records) else [*records, new]

    return next(each for each in _rewrite(lake, with_it) if _is_same(each, new))


def _is_same(record: Erasure, new: Erasure) -> bool:
    return record.finished_at is None and (record.kind, record.subject) == (new.kind, new.subject)


def _note(lake: Lake) -> None:
    """That the record is begun, in bronze: what commits to it afterwards has read the record."""
    for _ in range(ATTEMPTS):
        reached = lake.existing(PAYLOAD_ERASURES).position(ERASING) or 0
        with suppress(PositionConflict):
            lake.existing(OPENAI_EVENTS).note_erasures(reached)
            return
    raise PositionConflict(f"{OPENAI_EVENTS.name}: other writers keep getting ahead: try again")


def _with_late(
    record: Erasure, found: dict[str, int], there: dict[str, int], finished_at: datetime
) -> Erasure:
    """The record, finished, with the events that were landed after it was looked what there is."""
    return replace(
        record,
        finished_at=finished_at,
        day_count=record.day_count + len(there.keys() - found.keys()),
        erased_event_count=record.erased_event_count
        + sum(max(0, count - found.get(day, 0)) for day, count in there.items()),
    )


def _finish(lake: Lake, record: Erasure, done: Erasure) -> Erasure:
    _rewrite(lake, lambda records: [done if each == record else each for each in records])
    return done


def _rewrite(lake: Lake, change: Callable[[list[Erasure]], list[Erasure]]) -> list[Erasure]:
    for _ in range(ATTEMPTS):
        table = lake.table(PAYLOAD_ERASURES)
        before = _records(table)
        after = change(before)
        if after == before:
            return before
        rows = pl.DataFrame([asdict(each) for each in after], schema=PAYLOAD_ERASURES.schema)
        try:
            table.replace(rows, {ERASING: (table.position(ERASING) or 0) + 1})
        except PositionConflict:
            continue
        return after
    raise PositionConflict(f"{PAYLOAD_ERASURES.name}: other writers keep getting ahead: try again")


def _records(table: LakeTable) -> list[Erasure]:
    table.refuse_cut_files()
    rows = table.read(table.scan().select(*PAYLOAD_ERASURES.schema))
    return [Erasure(*row) for row in rows.iter_rows()]
