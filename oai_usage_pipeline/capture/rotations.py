"""After a pepper was renewed: which new fingerprint is the same key's as which old one.

Belongs here: landing the pairs that capture saw, in `key_rotations`. They are made in `usage`, and who
answers for a key is found by them in `charge`.

Pairs are landed before the events that they were seen in. So there is no event whose pair a crash has
lost; a pair without an event does no harm.
"""

from collections.abc import Callable
from datetime import datetime

import polars as pl

from oai_usage_pipeline.errors import PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import KEY_ROTATIONS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

ATTEMPTS = 20

_COUNTER = "key_rotations"
"""The application transaction that every writer moves: no pair is landed twice."""

_PAIR = ("subscription", "previous_subscription")


class Rotations:
    """What of a fingerprint maker's pairs is in the lake; for one capture run."""

    def __init__(self, lake: Lake, fingerprint: KeyFingerprint, clock: Callable[[], datetime]) -> None:
        self._lake = lake
        self._fingerprint = fingerprint
        self._clock = clock
        self._landed: set[tuple[str, str]] = set()

    def land(self) -> int:
        """Land the pairs seen so far that aren't there; returns how many. Without new ones, asks nothing.

        Raises LakeUnavailable; PositionConflict when other writers keep getting ahead.
        """
        # A copy at once: readers go on seeing keys meanwhile.
        seen = set(self._fingerprint.rotated.copy().items()) - self._landed
        if not seen:
            return 0
        added = self._append(seen)
        self._landed |= seen
        return added

    def _append(self, pairs: set[tuple[str, str]]) -> int:
        for _ in range(ATTEMPTS):
            table = self._lake.table(KEY_ROTATIONS)
            table.refuse_cut_files()
            known = set(table.read(table.scan().select(_PAIR)).iter_rows())
            new = sorted(pairs - known)
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
