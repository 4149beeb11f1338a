"""Every event that the hub holds, looked for in bronze by its position: lost, doubled, altered, foreign.

Belongs here: the judgement from outside. What was sent is told by the ledgers, where it lies by the
broker's own files; neither capture nor its parsing has a part in it. Sums and tokens are for
`comparison`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from oai_usage_pipeline.embedded.hub_files import HeldEvent, HubFiles
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.traffic.ledger import LedgerEntry, read_ledger
from oai_usage_pipeline.traffic.teams import key_sha256, team_keys
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

WINDOW = 20_000
"""Events compared at once: bounds memory, whatever the hub holds."""

SHOWN = 5

PLACE = ("event_hub", "incarnation", "partition_id", "sequence_number")


class Place(NamedTuple):
    """Where an event is: which life of which hub, and its place in there."""

    event_hub: str
    incarnation: str
    partition_id: str
    sequence_number: int


@dataclass
class EventCheck:
    """What was found, by position; everything is in order when all lists are empty.

    `lost` events are held by the hub and not in bronze, `doubled` ones are there more than once,
    `altered` ones say what of them differs, `foreign` rows are no event of the hub. `unsent` are events
    (ledger, event_id) that the hub acknowledged and doesn't hold. Not faults: `expired` events, which
    retention took before they were captured, and the `unannounced_count` of events that no ledger names,
    of which only the position is compared.
    """

    event_count: int = 0
    unannounced_count: int = 0
    lost: list[Place] = field(default_factory=list)
    doubled: list[Place] = field(default_factory=list)
    altered: list[tuple[Place, str]] = field(default_factory=list)
    foreign: list[Place] = field(default_factory=list)
    unsent: list[tuple[str, int]] = field(default_factory=list)
    expired: list[Place] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether each event is in bronze once, unaltered, and nothing else."""
        return not (self.lost or self.doubled or self.altered or self.foreign or self.unsent)

    @property
    def sentence(self) -> str:
        """The finding for people: all in order, or what is wrong and where."""
        if self.holds:
            return f"Each of {self.event_count:,} events is in bronze once, unaltered"
        found = [
            _told(self.lost, "lost"),
            _told(self.doubled, "in bronze more than once"),
            _told([place for place, _ in self.altered], f"altered ({_columns(self.altered)})"),
            _told(self.foreign, "in bronze and not in the hub"),
            f"{len(self.unsent)} acknowledged by the hub and not in it" if self.unsent else "",
        ]
        return f"Of {self.event_count:,} events: " + "; ".join(each for each in found if each)


def check_events(
    lake: Lake,
    hubs: Sequence[HubFiles],
    ledgers: Iterable[Path],
    fingerprint: KeyFingerprint,
    after: Mapping[str, int] | None = None,
) -> EventCheck:
    """Compare bronze with what the hubs hold, `hubs` being all lives that were captured into the lake.

    `after` leaves out, by partition, events up to a number that were compared before; it fits a single
    life only. The hub must be captured up to its head, and payloads kept as they came. Raises NoTable.
    """
    announced = _Announced(ledgers, fingerprint)
    check = EventCheck()
    ends: list[tuple[str, str, str, int]] = []
    for hub in hubs:
        for partition_id in hub.partition_ids:
            start = (after or {}).get(partition_id, -1)
            last = _compare(lake, hub, partition_id, start, announced, check)
            ends.append((hub.event_hub, hub.incarnation, partition_id, last))
    check.foreign = list(_foreign(lake, ends))
    if after is None and not any(hub.start_of(each) for hub in hubs for each in hub.partition_ids):
        check.unsent = announced.unseen()
    return check


class _Announced:
    """What the ledgers say of a body, found by its SHA-256."""

    def __init__(self, ledgers: Iterable[Path], fingerprint: KeyFingerprint) -> None:
        self._entries: dict[str, LedgerEntry] = {}
        self._acknowledged: list[tuple[str, LedgerEntry]] = []
        self._seen: Counter[str] = Counter()
        self._keys: dict[str, str] = {}
        for path in ledgers:
            contents = read_ledger(path)
            self._keys |= {key: fingerprint.of(key) for key in team_keys(contents.header.seed).values()}
            self._acknowledged += [(path.name, entry) for entry in contents.acknowledged]
            self._entries |= {
                each.sha256: each for each in (*contents.acknowledged, *contents.unacknowledged)
            }
        self._marks = {key_sha256(key): mark for key, mark in self._keys.items()}

    def of(self, body: bytes) -> LedgerEntry | None:
        sha256 = hashlib.sha256(body).hexdigest()
        self._seen[sha256] += 1
        return self._entries.get(sha256)

    def mark(self, entry: LedgerEntry) -> str | None:
        """The fingerprint of the key that the event was sent with."""
        return self._marks.get(entry.subscription_key_sha256 or "")

    def without_keys(self, body: bytes) -> bytes:
        for key, mark in self._keys.items():
            body = body.replace(key.encode(), mark.encode())
        return body

    def unseen(self) -> list[tuple[str, int]]:
        left = self._seen.copy()
        missing = []
        for ledger, entry in self._acknowledged:
            left[entry.sha256] -= 1
            if left[entry.sha256] < 0:
                missing.append((ledger, entry.event_id))
        return missing


def _compare(
    lake: Lake, hub: HubFiles, partition_id: str, after: int, announced: _Announced, check: EventCheck
) -> int:
    """Compare a partition window by window; returns the last number that the hub's files hold."""
    events = hub.events(partition_id, after)
    start, last = hub.start_of(partition_id), after
    while window := list(islice(events, WINDOW)):
        last = window[-1].sequence_number
        rows = _rows(lake, hub, partition_id, window[0].sequence_number, last)
        check.event_count += len(window)
        for event in window:
            place = Place(hub.event_hub, hub.incarnation, partition_id, event.sequence_number)
            found = rows.get(event.sequence_number, [])
            if not found:
                (check.lost if event.sequence_number >= start else check.expired).append(place)
            elif len(found) > 1:
                check.doubled.append(place)
            entry = announced.of(event.body)
            check.unannounced_count += entry is None
            check.altered += ((place, what) for what in _differences(found, event, entry, announced))
    return last


def _rows(
    lake: Lake, hub: HubFiles, partition_id: str, first: int, last: int
) -> dict[int, list[dict[str, Any]]]:
    of_partition = (
        (pl.col("event_hub") == hub.event_hub)
        & (pl.col("incarnation") == hub.incarnation)
        & (pl.col("partition_id") == partition_id)
    )
    found = (
        lake.existing(OPENAI_EVENTS)
        .scan()
        .filter(of_partition, pl.col("sequence_number").is_between(first, last))
        .collect()
    )
    rows: dict[int, list[dict[str, Any]]] = {}
    for row in found.iter_rows(named=True):
        rows.setdefault(row["sequence_number"], []).append(row)
    return rows


def _differences(
    rows: Sequence[dict[str, Any]], event: HeldEvent, entry: LedgerEntry | None, announced: _Announced
) -> Iterator[str]:
    """The columns of the rows that are not what was sent."""
    enqueued_at = datetime.fromtimestamp(event.enqueued_ms // 1000, UTC).replace(
        microsecond=event.enqueued_ms % 1000 * 1000
    )
    expected: dict[str, Any] = {
        "offset": str(event.offset),
        "enqueued_at": enqueued_at,
        "enqueued_date": enqueued_at.date(),
    }
    for row in rows:
        wanted = expected if entry is None else expected | _content(row, event, entry, announced)
        found = row | {name: _sha256(row[name]) for name in ("Request", "Response")}
        yield from (name for name, value in wanted.items() if found[name] != value)


def _content(
    row: dict[str, Any], event: HeldEvent, entry: LedgerEntry, announced: _Announced
) -> dict[str, Any]:
    """What the ledger says of a readable event; of another, its very bytes, the caller's key aside."""
    if row["reason"] is not None:
        return {"body": announced.without_keys(event.body)}
    return {
        "EventTime": entry.event_time,
        "AppSubscriptionKey": announced.mark(entry),
        "Request": entry.request_sha256,
        "Response": entry.response_sha256,
        "body": None,
    }


def _sha256(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def _foreign(lake: Lake, ends: Sequence[tuple[str, str, str, int]]) -> Iterator[Place]:
    """Rows that are in no partition of the hubs, or beyond what was ever in it.

    What lies before the first event on file was dropped by retention after it was captured.
    """
    known = pl.DataFrame(ends, schema=[*PLACE[:3], "last"], orient="row")
    number = pl.col("sequence_number")
    rows = lake.existing(OPENAI_EVENTS).scan().select(PLACE)
    found = rows.join(known.lazy(), on=list(PLACE[:3]), how="left").filter(
        pl.col("last").is_null() | (number > pl.col("last")) | (number < 0)
    )
    return (Place(*row) for row in found.select(PLACE).sort(PLACE).collect().iter_rows())


def _columns(altered: Iterable[tuple[Place, str]]) -> str:
    return ", ".join(sorted({column for _, column in altered}))


def _told(places: Sequence[Place], what: str) -> str:
    if not places:
        return ""
    shown = list(_ranges(places))
    more = f" and {len(shown) - SHOWN} more ranges" if len(shown) > SHOWN else ""
    return f"{len(set(places))} {what}: {', '.join(shown[:SHOWN])}{more}"


def _ranges(places: Iterable[Place]) -> Iterator[str]:
    """Neighbouring numbers of a partition as one range."""
    ranges: list[tuple[Place, int]] = []
    for place in sorted(set(places)):
        if ranges and place == ranges[-1][0]._replace(sequence_number=ranges[-1][1] + 1):
            ranges[-1] = (ranges[-1][0], place.sequence_number)
        else:
            ranges.append((place, place.sequence_number))
    for first, last in ranges:
        numbers = str(last) if last == first.sequence_number else f"{first.sequence_number} to {last}"
        yield f"partition {first.partition_id} {numbers}"
