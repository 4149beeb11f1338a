"""After a pepper was renewed: which new fingerprint is the same key's as which old one.

Belongs here: landing the pairs that capture saw, in `key_rotations`. They are made in `usage`, and who
answers for a key is found by them in `charge`.

Pairs are landed before the events that they were seen in. So there is no event whose pair a crash has
lost; a pair without an event does no harm.

Whoever reaches the gateway can send keys that nobody has, and each would get a pair. Keys that people choose
may have any form, so form doesn't tell. Beyond `MOST_PAIRS`, only those get one whose older fingerprint is
known: listed, called with, or itself renewed. Nobody is found by the others.
"""

import logging
from collections.abc import Callable
from datetime import datetime

import polars as pl

from oai_usage_pipeline.errors import NoTable, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import KEY_ROTATIONS, SUBSCRIPTIONS, USAGE_EVENTS, TableContract
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

logger = logging.getLogger(__name__)

ATTEMPTS = 20

MOST_PAIRS = 100_000
"""Pairs that the table takes of whatever keys: far more than there are callers."""

MOST_REMEMBERED = 50_000
"""Pairs that a run keeps in memory so that it needn't ask for them again."""

_COUNTER = "key_rotations"
"""The application transaction that every writer moves: no pair is landed twice."""

_PAIR = ("subscription", "previous_subscription")

_Pairs = set[tuple[str, str]]


class Rotations:
    """What of a fingerprint maker's pairs is in the lake; for one capture run."""

    def __init__(self, lake: Lake, fingerprint: KeyFingerprint, clock: Callable[[], datetime]) -> None:
        self._lake = lake
        self._fingerprint = fingerprint
        self._clock = clock
        self._settled: _Pairs = set()

    def land(self) -> int:
        """Land the pairs seen so far that aren't there; returns how many. Without new ones, asks nothing.

        Raises LakeUnavailable; PositionConflict when other writers keep getting ahead.
        """
        # A copy at once: readers go on seeing keys meanwhile.
        seen = set(self._fingerprint.rotated.copy().items()) - self._settled
        if not seen:
            return 0
        added = self._append(seen)
        self._settle(seen)
        return added

    def _settle(self, pairs: _Pairs) -> None:
        self._settled |= pairs
        if len(self._settled) > MOST_REMEMBERED:
            # One by one: what readers add meanwhile stays.
            for mark, _ in self._settled:
                self._fingerprint.rotated.pop(mark, None)
            self._settled.clear()

    def _append(self, pairs: _Pairs) -> int:
        for _ in range(ATTEMPTS):
            table = self._lake.table(KEY_ROTATIONS)
            table.refuse_cut_files()
            known = set(table.read(table.scan().select(_PAIR)).iter_rows())
            new = self._chosen(pairs - known, MOST_PAIRS - len(known))
            if not new:
                return 0
            rows = [(*pair, self._clock()) for pair in new]
            try:
                table.append(
                    pl.DataFrame(rows, schema=KEY_ROTATIONS.schema, orient="row"),
                    {_COUNTER: (table.position(_COUNTER) or 0) + 1},
                )
            except PositionConflict:
                continue
            return len(new)
        raise PositionConflict(f"{KEY_ROTATIONS.name}: other writers keep getting ahead: try again")

    def _chosen(self, pairs: _Pairs, room: int) -> list[tuple[str, str]]:
        """All that there is room for; beyond that, those that somebody could be found by."""
        if len(pairs) <= room:
            return sorted(pairs)
        old = [each for _, each in pairs]
        known = {
            each
            for contract in (SUBSCRIPTIONS, USAGE_EVENTS, KEY_ROTATIONS)
            for each in self._of(contract, old)
        }
        wanted = sorted(each for each in pairs if each[1] in known)
        others = sorted(each for each in pairs if each[1] not in known)[: max(room - len(wanted), 0)]
        logger.warning(
            "%d new keys get no row in %s, which holds %d: nobody is known by their older fingerprints. Does "
            "somebody guess keys at the gateway?",
            len(pairs) - len(wanted) - len(others),
            KEY_ROTATIONS.name,
            MOST_PAIRS - room,
        )
        return wanted + others

    def _of(self, contract: TableContract, fingerprints: list[str]) -> list[str]:
        """Which of the fingerprints a table names as a subscription."""
        try:
            table = self._lake.existing(contract)
        except NoTable:
            return []
        name = pl.col("subscription")
        rows = table.scan().filter(name.is_in(fingerprints)).select(name.unique())
        return table.read(rows)["subscription"].to_list()
