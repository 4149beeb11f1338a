"""What was erased stays erased: events that come into bronze once more lose their texts on the way in.

Belongs here: telling by the marks on record whose events come again, from the hub or from files that another
program's DELETE left. Erasing what is there is for `erasure`; whose an event is, for `subject`.

The record holds keyed marks and no names. So each name that an event holds is marked with the pepper in use
and with the one before, and looked up. Where that can't tell, because an event can't be read or the pepper of
a mark is gone, no texts are kept of an event that was accepted before the erasure, whosever it is.
"""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import polars as pl

from oai_usage_pipeline.capture.landing import Keep, as_they_came
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.privacy.erasure import Erasure, erasures_of, of_other_peppers
from oai_usage_pipeline.privacy.subject import (
    Kind,
    Pairs,
    all_renewed,
    marks_of,
    named_by,
    pseudonym_of,
    rotations_of,
)
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline.usage.masking import AS_NAMED, Rename
from oai_usage_pipeline.usage.payload import without_texts

logger = logging.getLogger(__name__)

_AT = "sequence_number"
_ROW = "row"


class _Named(NamedTuple):
    """A name that an event holds."""

    kind: Kind
    name: str


class _Change(NamedTuple):
    """What is done to an event: its texts go, and a user's name becomes a pseudonym."""

    user: str = ""
    pseudonym: str = ""

    @property
    def rename(self) -> Rename:
        return Rename(self.user, self.pseudonym) if self.user else AS_NAMED


class Forgetting:
    """Takes out of rows what is on record as erased; of all others, what `keep` says.

    The record is read each time: an erasure that begins later finds the rows in the table, or refuses them.
    """

    def __init__(self, lake: Lake, fingerprint: KeyFingerprint, keep: Keep = as_they_came) -> None:
        self._lake = lake
        self._fingerprint = fingerprint
        self._keep = keep

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows as they are kept, in their order; raises LakeUnavailable or LakeDamaged."""
        records = erasures_of(self._lake)
        is_concerned = records and (rows["enqueued_at"] <= max(map(_end, records))).any()
        return self._by(records)(rows) if is_concerned else self._keep(rows)

    def by_record(self) -> Keep:
        """The same for several frames, by the record as it is now: none is read while they are written."""
        return self._by(erasures_of(self._lake))

    def _by(self, records: list[Erasure]) -> Keep:
        if not records:
            return self._keep
        last, search = max(map(_end, records)), _Search(records, self._fingerprint, rotations_of(self._lake))

        def keep(rows: pl.DataFrame) -> pl.DataFrame:
            numbered = rows.with_row_index(_ROW)
            changes = search.changes(numbered.filter(pl.col("enqueued_at") <= last))
            kept = [self._kept(numbered.filter(~pl.col(_ROW).is_in(list(changes))))]
            for each in set(changes.values()):
                theirs = [row for row, found in changes.items() if found == each]
                kept.append(_changed(numbered.filter(pl.col(_ROW).is_in(theirs)), each))
            return pl.concat(kept).sort(_ROW).drop(_ROW)

        return keep

    def _kept(self, numbered: pl.DataFrame) -> pl.DataFrame:
        return self._keep(numbered.drop(_ROW)).with_columns(numbered[_ROW]).select(numbered.columns)


class _Search:
    """Which rows are whose, by the marks of the record."""

    def __init__(self, records: list[Erasure], fingerprint: KeyFingerprint, pairs: Pairs) -> None:
        pairs |= set(fingerprint.rotated.copy().items())
        self._fingerprint = fingerprint
        self._untold = of_other_peppers(records, fingerprint, pairs)
        self._records: dict[tuple[str, str], list[Erasure]] = {}
        for each in records:
            for mark in all_renewed({each.subject}, pairs):
                self._records.setdefault((each.kind, mark), []).append(each)

    def changes(self, rows: pl.DataFrame) -> dict[int, frozenset[_Change]]:
        """By number of the row, what is done to it; rows of nobody on record are left out."""
        if rows.is_empty():
            return {}
        rows = rows.with_columns(pl.col(_ROW).cast(pl.Int64).alias(_AT))
        found: dict[int, frozenset[_Change]] = {}
        names = _names(rows)
        without = max(map(_end, self._untold), default=None)
        # Of an event that can't be read, only a name itself could tell whose it is, and there are only marks.
        told = rows.select(_ROW, "enqueued_at", pl.col("body").is_null())
        for row, accepted, is_readable in told.iter_rows():
            changes = {each for name in names.get(row, ()) for each in self._of(name, accepted)}
            is_untold = not is_readable or (without is not None and accepted <= without)
            if changes or is_untold:
                found[row] = frozenset(changes or {_Change()})
        if without is not None:
            self._tell(rows.filter(pl.col("enqueued_at") <= without).height)
        return found

    def _of(self, named: _Named, accepted: datetime) -> Iterator[_Change]:
        """What becomes of an event that was accepted then and holds that name."""
        marks = {*marks_of(named.kind, named.name, self._fingerprint), named.name}
        for mark in marks:
            for record in self._records.get((named.kind, mark), ()):
                if accepted <= _end(record):
                    is_user = named.kind == "user"
                    yield _Change(named.name, pseudonym_of(record.subject)) if is_user else _Change()

    def _tell(self, count: int) -> None:
        if count:
            versions = ", ".join(sorted({str(each.pepper_version) for each in self._untold}))
            logger.warning(
                "No texts are kept of %d events from before an erasure: whose they are can't be told without "
                "the pepper of version %s",
                count,
                versions,
            )


def _end(record: Erasure) -> datetime:
    """Events that were accepted up to then are erased; one under way has begun with those before it."""
    return record.finished_at or record.begun_at


def _changed(rows: pl.DataFrame, changes: frozenset[_Change]) -> pl.DataFrame:
    for each in sorted(changes):
        rows = without_texts(rows, each.rename)
    return rows


def _names(rows: pl.DataFrame) -> dict[int, set[_Named]]:
    """By row, whom an event may be of; rows are numbered in place of their sequence numbers."""
    found: dict[int, set[_Named]] = {}
    for row, user, subscription in derive(rows).select(_AT, "user_id", "subscription").iter_rows():
        names = {_Named("user", user), _Named("subscription", subscription)}
        found.setdefault(row, set()).update(each for each in names if each.name)
    for row, request in rows.select(_AT, "Request").drop_nulls().iter_rows():
        found.setdefault(row, set()).update(_Named("user", each) for each in named_by(request) if each)
    return found
