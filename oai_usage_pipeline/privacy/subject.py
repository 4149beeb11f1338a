"""Whose texts are to be erased: which events are a subscription's or a user's, and the marks of either.

Belongs here: telling events apart, and what stands for a subject. Erasing is for `erasure`.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import KEY_ROTATIONS
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline.usage.masking import AS_NAMED, Rename
from oai_usage_pipeline.usage.payload import is_accounting
from oai_usage_pipeline.usage.requests import read_request

_PLAIN = re.compile(r"[A-Za-z0-9@._:+-]+", re.ASCII)
_TEXTS = ("AppSubscriptionKey", "Request", "properties", "payload")
_AT = "sequence_number"


@dataclass(frozen=True)
class Subject:
    """A subscription, by fingerprints or the gateway's id, or a user; `mark` stands for it in the record."""

    kind: Literal["subscription", "user"]
    names: frozenset[str] = field(repr=False)
    mark: str

    @property
    def rename(self) -> Rename:
        """What the user is called from now on; a subscription keeps its name, which is no person's."""
        if self.kind == "subscription":
            return AS_NAMED
        return Rename(next(iter(self.names)), self.pseudonym)

    @property
    def pseudonym(self) -> str:
        """The same for each erasure of a user with one pepper, so that their numbers stay one sum."""
        return f"erased-{self.mark.rpartition('-')[2][:16]}"

    def is_theirs(self, bronze: pl.DataFrame) -> pl.Series:
        """Which rows hold an event of theirs; one that holds others' records as well is among them."""
        numbered = bronze.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(_AT))
        candidates = numbered.filter(self._may_be_theirs())
        if self.kind == "subscription":
            candidates = candidates.filter(~is_accounting())  # of which nothing is left to erase
        column = "subscription" if self.kind == "subscription" else "user_id"
        found = set(derive(candidates).filter(pl.col(column).is_in(list(self.names)))[_AT])
        if self.kind == "user":
            # A claim that names another user stands before the one that the request names.
            rows = candidates.select(_AT, "Request").iter_rows()
            found |= {at for at, request in rows if self.names & set(read_request(request).values())}
        return numbered[_AT].is_in(list(found))

    def _may_be_theirs(self) -> pl.Expr:
        """A cheap look; a name that JSON would escape can stand in many ways, so all rows are looked at."""
        if not all(map(_PLAIN.fullmatch, self.names)):
            return pl.lit(value=True)
        found = pl.lit(value=False)
        for name in self.names:
            for column in _TEXTS:
                found |= pl.col(column).str.contains(name, literal=True).fill_null(value=False)
            found |= pl.col("body").bin.contains(name.encode()).fill_null(value=False)
        return found


def subscription(lake: Lake, name: str, fingerprint: KeyFingerprint) -> Subject:
    """A subscription by a fingerprint or the gateway's id, and by its key's fingerprints of other peppers."""
    names = {name}
    try:
        rotations = lake.existing(KEY_ROTATIONS).scan().select("subscription", "previous_subscription")
        pairs = rotations.collect().rows()
    except NoTable:
        pairs = []
    while more := {each for pair in pairs if names & set(pair) for each in pair} - names:
        names |= more
    return Subject("subscription", frozenset(names), fingerprint.of(name))


def user(name: str, fingerprint: KeyFingerprint) -> Subject:
    """A user, by the id that calls name them by."""
    # What no key begins with: the mark of a user is never that of a key of the same letters.
    return Subject("user", frozenset((name,)), fingerprint.of(f"\0user\0{name}"))
