"""A hub and a lake that anything may happen to, in any order, beside a model of what must come of it.

The lake is real Delta in a folder, the hub a `ListSource`; a crash leaves a run in the middle of a commit
step and nothing of it is used again. After every capture bronze is held against the model: each event once
and unaltered (I1, I2), positions that equal the last event and never go back (I3). At the end: gold to the
token (I4), a rebuild that changes nothing (I6), a run that has nothing to do (I7).
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
from deltalake import DeltaTable
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from oai_usage_pipeline.audit.invariants import (
    gold_equals_silver,
    silver_accounts_for_bronze,
    silver_equals_rebuild,
)
from oai_usage_pipeline.capture import commit as protocol
from oai_usage_pipeline.capture import run as capture_run
from oai_usage_pipeline.capture.acknowledgement import acknowledge_gap
from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.capture.commit import Step
from oai_usage_pipeline.capture.gaps import gaps_of
from oai_usage_pipeline.capture.run import Captured, CaptureRun
from oai_usage_pipeline.capture.source import HubEvent, PartitionBounds
from oai_usage_pipeline.errors import NoTable, SourceGap
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.gold import TOKEN_USAGE_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import OPENAI_EVENTS, TOKEN_USAGE_HOURLY, USAGE_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import ListSource

FINGERPRINT = KeyFingerprint(b"pepper of the tests", 1)
KEY = "0123456789abcdef0123456789abcdef"
START = datetime(2026, 3, 10, 21, tzinfo=UTC)
MOST_PARTITIONS = 3
MOST_LIVES = 3

STEPS = st.sampled_from(["opened", "checked", "appended"])
OCCURRENCES = st.integers(1, 3)
NEW = st.integers(0, 12)
"""Events that come just before a run, so that most runs have something to do."""

PLACES = st.integers(0, MOST_PARTITIONS - 1)


class Crash(BaseException):
    """The end of a process, for all that is in it: no handler of errors sees it."""


@dataclass
class Held:
    """A partition as the model knows it: all events that it ever had, the first one still held, and the
    position that bronze must have.
    """

    first: int
    events: list[HubEvent] = field(default_factory=list)
    expired: int = 0
    position: int | None = None
    begun_at: int | None = None
    given_up: set[int] = field(default_factory=set)

    @property
    def next_number(self) -> int:
        return self.first + len(self.events)

    @property
    def held(self) -> list[HubEvent]:
        return self.events[self.expired :]

    @property
    def first_held(self) -> int:
        return self.first + self.expired

    @property
    def missing(self) -> set[int]:
        """Numbers that stop the partition: expired, never captured, and not acknowledged."""
        if self.begun_at is None:
            return set()
        first = self.begun_at if self.position is None else self.position + 1
        return set(range(first, self.first_held)) - self.given_up

    def captured(self) -> list[HubEvent]:
        """What must be in bronze, given the position and where capture began."""
        if self.position is None or self.begun_at is None:
            return []
        return [
            each
            for each in self.events
            if self.begun_at <= each.sequence_number <= self.position
            and each.sequence_number not in self.given_up
        ]


class InTurn(ThreadPoolExecutor):
    """Readers one after another before the committer begins: the same steps give the same batches again."""

    def submit(self, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(task(*args, **kwargs))
        return future


class MachineSource(ListSource):
    """A ListSource whose emptied partitions say which number comes next, as a hub does."""

    def __init__(self, incarnation: str, partitions: dict[str, Held]) -> None:
        super().__init__({name: held.held for name, held in partitions.items()}, incarnation, chunk=5)
        self._held = partitions

    def bounds(self, partition_id: str) -> PartitionBounds:
        held = self._held[partition_id]
        return PartitionBounds(held.first_held, held.next_number - 1)


class CaptureMachine(RuleBasedStateMachine):
    """See the module."""

    steps_taken = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=_fast_folder()))
        self.lake = Lake(str(self.folder / "lake"))
        self.lives: dict[str, dict[str, Held]] = {}
        self.now = START
        self.is_derived = False
        self.begin_a_life(0)

    # What happens to the hub.

    def begin_a_life(self, first: int, partitions: int = 2) -> None:
        incarnation = f"2026-03-0{len(self.lives) + 1}T00:00:00.000Z"
        self.lives[incarnation] = {str(n): Held(first) for n in range(partitions)}

    @rule(first=st.sampled_from([0, 1, 60]), partitions=st.integers(1, 2))
    @precondition(lambda self: len(self.lives) < MOST_LIVES)
    def remake_the_hub(self, first: int, partitions: int) -> None:
        self.begin_a_life(first, partitions)

    @rule()
    @precondition(lambda self: len(self.partitions) < MOST_PARTITIONS)
    def add_a_partition(self) -> None:
        self.partitions[str(len(self.partitions))] = Held(0)

    @rule(place=PLACES, number=st.integers(1, 14), minutes=st.integers(0, 90), odd=st.booleans())
    def produce(self, place: int, number: int, minutes: int, odd: bool) -> None:
        self.now += timedelta(minutes=minutes)
        for _ in range(number):
            self._add(self._partition(place), odd)

    @rule(place=PLACES, number=st.integers(1, 12))
    def expire(self, place: int, number: int) -> None:
        held = self._partition(place)
        held.expired = min(held.expired + number, len(held.events))

    # What captures do.

    @rule(new=NEW)
    def run(self, new: int) -> None:
        self._receive(new)
        self._assert_all_was_done(self._capture())

    @rule(new=NEW, step=STEPS, occurrence=OCCURRENCES)
    def run_and_crash(self, new: int, step: Step, occurrence: int) -> None:
        self._receive(new)

        def crash() -> None:
            raise Crash

        with suppress(Crash):
            self._capture(_at(step, occurrence, crash))

    @rule(new=NEW, step=STEPS, occurrence=OCCURRENCES)
    def run_and_be_overtaken(self, new: int, step: Step, occurrence: int) -> None:
        self._receive(new)
        self._assert_all_was_done(self._capture(_at(step, occurrence, self._capture)))

    @rule(new=NEW, took_effect=st.booleans(), occurrence=OCCURRENCES, times=st.integers(1, 2))
    def run_without_an_answer(self, new: int, took_effect: bool, occurrence: int, times: int) -> None:
        """The outcome of a commit is unknown, before or after it took effect."""
        self._receive(new)
        commits = 0
        append = LakeTable.append

        def unanswered(table: LakeTable, *args: Any, **options: Any) -> None:
            nonlocal commits
            commits += table.contract is OPENAI_EVENTS
            is_hit = table.contract is OPENAI_EVENTS and occurrence <= commits < occurrence + times
            if took_effect or not is_hit:
                append(table, *args, **options)
            if is_hit:
                raise OSError("the connection was lost while waiting for the answer")

        with patch.object(LakeTable, "append", unanswered):
            self._assert_all_was_done(self._capture())

    @rule(place=PLACES)
    def acknowledge(self, place: int) -> None:
        partition_id = self._id(place)
        held = self.partitions[partition_id]
        open_gaps = [
            each
            for each in gaps_of(self.lake)
            if each.is_open and (each.incarnation, each.partition_id) == (self.incarnation, partition_id)
        ]
        for each in open_gaps:
            first, last = each.range
            assert set(range(first, last + 1)) <= held.missing
            acknowledge_gap(self._source(), self.lake, partition_id, first, last, "Ada", "why not", self.now)
            held.given_up |= set(range(first, last + 1))

    # What happens to the tables.

    @rule()
    def compact(self) -> None:
        self._bronze(lambda table: table.optimize.compact())

    @rule()
    def vacuum(self) -> None:
        self._bronze(lambda table: table.vacuum(0, dry_run=False, enforce_retention_duration=False))

    @rule()
    def checkpoint(self) -> None:
        self._bronze(lambda table: table.create_checkpoint())

    @rule()
    def refresh(self) -> None:
        self.is_derived = True
        for derivation in (USAGE_EVENTS_DERIVATION, TOKEN_USAGE_HOURLY_DERIVATION):
            refresh_days(self.lake, derivation, [each.day for each in stale_days(self.lake, derivation)])

    @rule(day=st.integers(10, 12))
    def backfill_a_day(self, day: int) -> None:
        self.is_derived = True
        with suppress(NoTable):
            self.lake.existing(OPENAI_EVENTS)
            refresh_days(self.lake, USAGE_EVENTS_DERIVATION, [f"2026-03-{day}"])

    # What must hold.

    @invariant()
    def count_steps(self) -> None:
        CaptureMachine.steps_taken += 1

    def teardown(self) -> None:
        try:
            self._assert_the_end()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _assert_the_end(self) -> None:
        self._assert_all_was_done(self._capture())
        try:
            version = self.lake.existing(OPENAI_EVENTS).version
        except NoTable:
            return
        self._capture()
        assert self.lake.existing(OPENAI_EVENTS).version == version, "a run with nothing to do made a commit"
        if not self.is_derived:
            # What is made in one go at the end was not made bit by bit.
            return
        self.refresh()
        for holds in (silver_accounts_for_bronze, silver_equals_rebuild, gold_equals_silver):
            assert holds(self.lake).holds, holds(self.lake).sentence
        self._assert_gold_to_the_token()

    def _assert_gold_to_the_token(self) -> None:
        captured = [each for held in self._all_partitions() for each in held.captured()]
        figures = ("request_count", "input_tokens", "output_tokens")
        gold = self.lake.table(TOKEN_USAGE_HOURLY).scan().select(pl.col(figures).sum()).collect()
        tokens = [_tokens(each) for each in captured]
        assert gold.row(0) == (len(captured), sum(t[0] for t in tokens), sum(t[1] for t in tokens))
        silver = self.lake.table(USAGE_EVENTS).scan().select(pl.len()).collect().item()
        assert silver == len(captured)

    def _assert_all_was_done(self, result: Captured) -> None:
        """Partitions without a gap are at their head; the others stopped, and say exactly at what."""
        for partition_id, held in self.partitions.items():
            error = result.partitions[partition_id].error
            if held.missing:
                assert isinstance(error, SourceGap)
                assert {n for first, last in error.missing for n in range(first, last + 1)} == held.missing
            else:
                assert error is None, error
                assert not held.held or held.position == held.next_number - 1

    def _assert_bronze(self) -> None:
        """I1, I2 and I3, for every life; takes over how far a run came."""
        try:
            table = self.lake.existing(OPENAI_EVENTS)
        except NoTable:
            return
        rows = table.scan().select(
            "incarnation", "partition_id", "sequence_number", "offset", "Response", "body"
        )
        found: dict[tuple[str, str], list[tuple[int, str, str | None, bytes | None]]] = {}
        for life, partition_id, *event in rows.collect().iter_rows():
            found.setdefault((life, partition_id), []).append(tuple(event))
        hub = self._source().describe().event_hub
        for life, partitions in self.lives.items():
            for partition_id, held in partitions.items():
                position = table.position(f"capture/{hub}/{life}/{partition_id}")
                self._follow(held, position)
                expected = [_row(each) for each in held.captured()]
                assert sorted(found.pop((life, partition_id), [])) == expected, (life, partition_id)
        assert not found, found.keys()

    @property
    def incarnation(self) -> str:
        return max(self.lives)

    @property
    def partitions(self) -> dict[str, Held]:
        """Those of the hub's present life."""
        return self.lives[self.incarnation]

    def _all_partitions(self) -> list[Held]:
        return [held for partitions in self.lives.values() for held in partitions.values()]

    def _id(self, place: int) -> str:
        return str(place % len(self.partitions))

    def _partition(self, place: int) -> Held:
        return self.partitions[self._id(place)]

    def _source(self) -> MachineSource:
        return MachineSource(self.incarnation, self.partitions)

    def _receive(self, number: int) -> None:
        """New events for a run, in turn over the partitions; some of them can't be read."""
        for n in range(number):
            self._add(self._partition(n), is_odd=number % 2 == 0)

    def _add(self, held: Held, is_odd: bool) -> None:
        self.now += timedelta(seconds=1)
        held.events.append(self._event(held, is_odd and held.next_number % 3 == 0))

    def _event(self, held: Held, is_odd: bool) -> HubEvent:
        number = held.next_number
        body = (
            b"no JSON: %d" % number
            if is_odd
            else self._call(f"{self.incarnation}-{id(held)}-{number}", number)
        )
        return HubEvent(number, str(number * 100), int(self.now.timestamp() * 1000), body)

    def _call(self, call_id: str, number: int) -> bytes:
        usage = {"prompt_tokens": number % 7 + 1, "completion_tokens": number % 5}
        usage["total_tokens"] = sum(usage.values())
        response = {"id": call_id, "object": "chat.completion", "model": "gpt-4o-2024-08-06", "usage": usage}
        envelope = {
            "EventTime": self.now.isoformat().replace("+00:00", "Z"),
            "AppSubscriptionKey": KEY,
            "Request": json.dumps({"model": "gpt-4o", "messages": []}),
            "Response": json.dumps(response),
        }
        return json.dumps(envelope).encode()

    def _begin(self) -> None:
        """Partitions begin with what the hub holds at the first run of its life; those added later with 0."""
        is_known = any(held.begun_at is not None for held in self.partitions.values())
        for held in self.partitions.values():
            if held.begun_at is None:
                held.begun_at = 0 if is_known else held.first_held

    def _capture(self, at_step: Callable[[Step], None] = lambda _: None) -> Captured:
        self._begin()
        source = self._source()
        run = CaptureRun(
            source, self.lake, FINGERPRINT, limits=Limits(rows=6), at_step=at_step, clock=lambda: self.now
        )
        try:
            with (
                patch.object(protocol, "FIRST_PAUSE_SECONDS", 0),
                patch.object(capture_run, "ThreadPoolExecutor", InTurn),
            ):
                return run.execute()
        finally:
            self._assert_bronze()

    def _bronze(self, act: Callable[[DeltaTable], object]) -> None:
        with suppress(NoTable):
            act(DeltaTable(self.lake.existing(OPENAI_EVENTS).uri))

    def _follow(self, held: Held, position: int | None) -> None:
        if position is None:
            assert held.position is None
            return
        assert held.position is None or position >= held.position
        assert position < held.next_number
        held.position = position


def _at(step: Step, occurrence: int, act: Callable[[], object]) -> Callable[[Step], None]:
    """Do something once, when a step is reached for the n-th time."""
    seen = 0

    def at_step(reached: Step) -> None:
        nonlocal seen
        seen += reached == step
        if reached == step and seen == occurrence:
            act()

    return at_step


def _row(event: HubEvent) -> tuple[int, str, str | None, bytes | None]:
    fields = _fields(event)
    if fields is None:
        return event.sequence_number, event.offset, None, event.body
    return event.sequence_number, event.offset, fields["Response"], None


def _tokens(event: HubEvent) -> tuple[int, int]:
    fields = _fields(event)
    if fields is None:
        return 0, 0
    usage = json.loads(fields["Response"])["usage"]
    return usage["prompt_tokens"], usage["completion_tokens"]


def _fields(event: HubEvent) -> dict[str, str] | None:
    try:
        found: dict[str, str] = json.loads(event.body)
    except ValueError:
        return None
    return found


def _fast_folder() -> str | None:
    """Memory where there is a file system of it: a step should take milliseconds."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
