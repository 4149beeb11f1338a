"""One capture run: every partition's events up to the head it had at the start, into bronze.

Belongs here: readers, the one committer and what is reported. The steps of a commit, the order of
events and the bound on memory have files of their own.
"""

import gc
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import polars as pl

from oai_usage_pipeline.capture.backlog import PartitionBacklog, backlog
from oai_usage_pipeline.capture.batch import Batch, Intake, Limits
from oai_usage_pipeline.capture.commit import CommittedRange, Step, commit
from oai_usage_pipeline.capture.former_life import former_life
from oai_usage_pipeline.capture.gap_notes import forget_healed, note_gap
from oai_usage_pipeline.capture.gaps import Gap, gaps_of
from oai_usage_pipeline.capture.landing import Keep, as_they_came, bronze_frame, land
from oai_usage_pipeline.capture.partition import PartitionStream
from oai_usage_pipeline.capture.peppers import check_pepper
from oai_usage_pipeline.capture.preflight import Sound, preflight
from oai_usage_pipeline.capture.rotations import Rotations
from oai_usage_pipeline.capture.same_table import SameTable
from oai_usage_pipeline.capture.source import Hub, HubEvent, Source
from oai_usage_pipeline.capture.starts import note_starts
from oai_usage_pipeline.errors import PipelineError, SourceGap
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

logger = logging.getLogger(__name__)

Added = list[CommittedRange]
"""What a batch added, by partition."""


@dataclass
class CapturedPartition:
    """What a run did in one partition; numbers are inclusive, None where nothing was captured."""

    partition_id: str
    first: int | None = None
    last: int | None = None
    event_count: int = 0
    unreadable_count: int = 0
    duplicate_count: int = 0
    error: PipelineError | None = None


@dataclass
class Captured:
    """What a run did, by partition; `errors` are those that stopped a partition.

    `gaps` are those on record of the partitions that were read; `has_new_gaps` tells whether the run
    changed them. `clock_fault` says what is wrong with our clock, `former_life` what bronze has of a hub that
    was made again, when its new life is met first.
    """

    event_hub: str
    incarnation: str
    partitions: dict[str, CapturedPartition]
    commit_count: int = 0
    gaps: list[Gap] = field(default_factory=list)
    has_new_gaps: bool = False
    clock_fault: str | None = None
    former_life: str | None = None

    @property
    def event_count(self) -> int:
        """Events captured by this run."""
        return sum(partition.event_count for partition in self.partitions.values())

    @property
    def errors(self) -> list[PipelineError]:
        """Why partitions stopped before their head; empty when all is well."""
        return [partition.error for partition in self.partitions.values() if partition.error]


@dataclass
class CaptureRun:
    """Reads partitions concurrently and commits them together, one committer for all.

    `only` names the partitions to read, so that several processes can share a hub; empty means
    all that the hub has at the start. `keep` takes out of rows what is not to be written.
    """

    source: Source
    lake: Lake
    fingerprint: KeyFingerprint
    only: Collection[str] = ()
    limits: Limits = field(default_factory=Limits)
    at_step: Callable[[Step], None] = lambda _: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    keep: Keep = as_they_came

    def execute(self) -> Captured:
        """Capture up to the heads as they stand now.

        A partition that has a gap, or whose reading fails, stops alone: its error is in the result
        and the others go on. A gap is recorded, for somebody to acknowledge. Raises LakeUnavailable
        when the lake can't be written, LakeDamaged for a bronze table that contradicts itself,
        ConfigurationError for a pepper that contradicts the lake, and SourceGap when positions in bronze
        went back while the run was under way.
        """
        found = backlog(self.source, self.lake, self.only)
        hub = found[0].hub
        result = Captured(
            hub.event_hub,
            hub.incarnation,
            {each.partition_id: CapturedPartition(each.partition_id, error=each.gap) for each in found},
        )
        todo = [each for each in found if each.event_count and each.gap is None]
        if todo:
            with rare_garbage_collection():
                self._capture(todo, found, result)
        else:
            self._begin(found, self._look(found, result))
        self._note_gaps(found, result)
        return result

    def _look(self, found: list[PartitionBacklog], result: Captured) -> Sound:
        """Nothing is written before: a table that contradicts itself ends the run here."""
        sound = preflight(self.lake, found, self.clock())
        result.clock_fault = sound.clock_fault
        if result.clock_fault is not None:
            logger.warning("%s", result.clock_fault)
        return sound

    def _begin(self, found: list[PartitionBacklog], sound: Sound) -> Callable[[pl.DataFrame], Added]:
        """Have all starts on record; returns what commits batches."""
        bronze = SameTable(self.lake, sound.table_id)
        starts = note_starts(bronze, self.source, found, sound.version)
        return partial(
            commit,
            bronze,
            found[0].hub,
            at_step=self.at_step,
            acknowledged={each.partition_id: each.acknowledged for each in found},
            begins={
                each.partition_id: min(each.after, starts[each.partition_id] - 1)
                for each in found
                if each.position is None
            },
            sound_at=sound.version,
            keep=self.keep,
        )

    def _look_back(self, found: list[PartitionBacklog], result: Captured) -> None:
        """Nothing of this life of the hub is in bronze: perhaps there is something of another."""
        if all(each.position is None for each in found):
            result.former_life = former_life(self.lake, found[0].hub)
        if result.former_life is not None:
            logger.warning("%s", result.former_life)

    def _capture(self, todo: list[PartitionBacklog], found: list[PartitionBacklog], result: Captured) -> None:
        total = sum(each.event_count for each in todo)
        intake = Intake((each.partition_id for each in todo), self.limits)
        with ThreadPoolExecutor(max_workers=len(todo), thread_name_prefix="read") as readers:
            reading = [readers.submit(self._read, each, intake, result) for each in todo]
            try:
                # While the readers connect, which takes longer: nothing is written before.
                sound = self._look(found, result)
                self._look_back(found, result)
                check_pepper(self.lake, self.fingerprint, self.clock)
                into_bronze = self._begin(found, sound)
                rotations = Rotations(self.lake, self.fingerprint, self.clock)
                while (batch := intake.next_batch()) is not None:
                    rotations.land()
                    self._commit(into_bronze, found[0].hub, batch, result)
                    intake.release(batch)
                    logger.info("captured %d of %d events", result.event_count, total)
            except BaseException:
                # Whatever ends the run, a signal too, ends the readers: they may be waiting on the hub.
                self.source.close()
                raise
            finally:
                intake.close()
        for each in reading:
            each.result()

    def _read(self, partition: PartitionBacklog, intake: Intake, result: Captured) -> None:
        stream = PartitionStream(
            partition.hub,
            partition.partition_id,
            partition.after,
            partition.target,
            partition.acknowledged,
        )
        outcome = result.partitions[partition.partition_id]

        def deliver(events: Sequence[HubEvent]) -> bool:
            taken = stream.take(events)
            rows = [land(stream.partition_id, event, self.fingerprint) for event in taken]
            accepted = intake.put(rows, sum(len(event.body) for event in taken))
            if stream.is_done:
                # Before the source has closed its connection, which takes it most of a second.
                intake.reader_left(stream.partition_id)
            return accepted and not stream.is_done

        try:
            self.source.read(stream.partition_id, None if stream.last < 0 else stream.last, deliver)
        except PipelineError as error:
            outcome.error = error
        finally:
            outcome.error = outcome.error or stream.gap
            outcome.duplicate_count = stream.duplicate_count
            intake.reader_left(stream.partition_id)

    def _commit(
        self, into_bronze: Callable[[pl.DataFrame], Added], hub: Hub, batch: Batch, result: Captured
    ) -> None:
        added = into_bronze(bronze_frame(hub, batch.rows))
        result.commit_count += 1
        for each in added:
            _add(result.partitions[each.partition_id], each)

    def _note_gaps(self, found: list[PartitionBacklog], result: Captured) -> None:
        """At the end, when it is known how far each partition came."""
        for each in found:
            done = result.partitions[each.partition_id]
            if isinstance(done.error, SourceGap):
                note_gap(self.source, self.lake, each.hub, each.partition_id, done.error, self.clock())
            reached = each.position if done.last is None else done.last
            forget_healed(self.lake, [gap for gap in each.recorded if gap.is_passed_by(reached)])
        before = [gap for each in found for gap in each.recorded]
        if before or result.errors:
            record = gaps_of(self.lake)
            result.gaps = [
                gap for gap in record if any(gap.is_of(each.hub, each.partition_id) for each in found)
            ]
            result.has_new_gaps = set(result.gaps) != set(before)


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Look for cycles a hundred times less often: messages hold none, and thousands are alive.

    Each look walks all of them; with Python's own thresholds that is a tenth to a fifth of the time.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _add(partition: CapturedPartition, added: CommittedRange) -> None:
    partition.first = added.first if partition.first is None else partition.first
    partition.last = added.last
    partition.event_count += added.event_count
    partition.unreadable_count += added.unreadable_count
