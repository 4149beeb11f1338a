"""Whose texts are to be erased: which events are a subscription's or a user's, and the marks of either.

Belongs here: telling events apart, and what stands for a subject. Erasing is for `erasure`.

An event is theirs by what silver says of it and by what its request names. Of an event that can't be read,
silver may say nothing: it is theirs when its bytes hold a name of theirs as a word of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import KEY_ROTATIONS
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline.usage.masking import AS_NAMED, Rename
from oai_usage_pipeline.usage.metering import LONGEST_NAME, name_held
from oai_usage_pipeline.usage.payload import is_accounting
from oai_usage_pipeline.usage.requests import read_request

_PLAIN = re.compile(r"[A-Za-z0-9@._:+-]+", re.ASCII)
_TEXTS = ("AppSubscriptionKey", "Request", "properties", "payload")
_AT = "sequence_number"
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")
_ESCAPED = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_MOST_ESCAPED = 4
"""JSON within JSON: a body in an envelope, a text in it, and one more."""


Kind = Literal["subscription", "user"]

Pairs = set[tuple[str, str]]
"""Two fingerprints of one key: that of the pepper in use, and that of the one before."""


@dataclass(frozen=True)
class Subject:
    """A subscription, by fingerprints or the gateway's id, or a user; `mark` stands for it in the record."""

    kind: Kind
    names: frozenset[str] = field(repr=False)
    mark: str
    former_mark: str | None = None
    """With the pepper before, while that is set."""

    @property
    def rename(self) -> Rename:
        """What the user is called from now on; a subscription keeps its name, which is no person's."""
        if self.kind == "subscription":
            return AS_NAMED
        return Rename(next(iter(self.names)), self.pseudonym)

    @property
    def pseudonym(self) -> str:
        """The same for each erasure of a user with one pepper, so that their numbers stay one sum."""
        return pseudonym_of(self.mark)

    def is_theirs(self, bronze: pl.DataFrame) -> pl.Series:
        """Which rows hold an event of theirs; one that holds others' records as well is among them."""
        numbered = bronze.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(_AT))
        candidates = numbered.filter(self._may_be_theirs())
        if self.kind == "subscription":
            candidates = candidates.filter(~is_accounting())  # of which nothing is left to erase
        column = "subscription" if self.kind == "subscription" else "user_id"
        held = {*self.names, *map(name_held, self.names)}
        found = set(derive(candidates).filter(pl.col(column).is_in(list(held)))[_AT])
        found |= {
            at for at, body in candidates.select(_AT, "body").drop_nulls().iter_rows() if self._in(body)
        }
        if self.kind == "user":
            # A claim that names another user stands before the one that the request names.
            rows = candidates.select(_AT, "Request").iter_rows()
            found |= {at for at, request in rows if held & named_by(request)}
        return numbered[_AT].is_in(list(found))

    def _may_be_theirs(self) -> pl.Expr:
        """A cheap look; a name that JSON escapes can stand in many ways, so all such rows are looked at."""
        if not all(map(_PLAIN.fullmatch, self.names)):
            return pl.lit(value=True)
        found = pl.col("body").is_not_null()
        for wanted in (*map(_stem, self.names), r"\u"):
            for column in _TEXTS:
                found |= pl.col(column).str.contains(wanted, literal=True).fill_null(value=False)
        return found

    def _in(self, body: bytes) -> bool:
        """Whether the bytes of an unreadable event hold a name, however deep in JSON it is escaped."""
        names = "|".join(re.escape(_stem(name)) + r"(?!\w)" * (_stem(name) == name) for name in self.names)
        wanted = re.compile(rf"(?<!\w)(?:{names})")
        return any(wanted.search(text) for text in _unescaped(body))


def _stem(name: str) -> str:
    """What of a name is in every column that holds it: long ones are cut."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1]


def named_by(request: str | None) -> set[str | None]:
    """Whom a request names as its user, as silver has names."""
    return {name_held(each) for each in read_request(request).values() if isinstance(each, str)}


def _unescaped(body: bytes) -> Iterator[str]:
    """The text of some bytes, and what it says with its escapes resolved, once and again."""
    for encoding in _ENCODINGS if b"\0" in body else _ENCODINGS[:1]:
        text = body.decode(encoding, "replace")
        yield text
        for _ in range(_MOST_ESCAPED):
            if "\\" not in text:
                break
            text = _ESCAPED.sub(_meant, text)
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            yield text


def _meant(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    return escape[2] if escape[2] in '"/\\' else " "


def marks_of(kind: Kind, name: str, fingerprint: KeyFingerprint) -> tuple[str, ...]:
    """What stands for a name in the record, by the pepper in use, and by the one before where that is set."""
    # What no key begins with: the mark of a user is never that of a key of the same letters.
    marked = f"\0user\0{name_held(name)}" if kind == "user" else name
    makers = [each for each in (fingerprint, fingerprint.previous) if each is not None]
    return tuple(each.mark(marked) for each in makers)


def pseudonym_of(mark: str) -> str:
    """What a user is called once they are erased."""
    return f"erased-{mark.rpartition('-')[2][:16]}"


def rotations_of(lake: Lake) -> Pairs:
    """Which fingerprints are of one key, of all peppers that there were."""
    try:
        rotations = lake.existing(KEY_ROTATIONS)
    except NoTable:
        return set()
    return set(rotations.read(rotations.scan().select("subscription", "previous_subscription")).iter_rows())


def all_renewed(names: set[str], pairs: Pairs) -> set[str]:
    """The names, and all fingerprints of the same keys."""
    while more := {each for pair in pairs if names & set(pair) for each in pair} - names:
        names = names | more
    return names


def subscription(lake: Lake, name: str, fingerprint: KeyFingerprint) -> Subject:
    """A subscription by a fingerprint or the gateway's id, and by its key's fingerprints of other peppers."""
    names = all_renewed({name}, rotations_of(lake))
    return Subject("subscription", frozenset(names), *marks_of("subscription", name, fingerprint))


def user(name: str, fingerprint: KeyFingerprint) -> Subject:
    """A user, by the id that calls name them by."""
    return Subject("user", frozenset((name,)), *marks_of("user", name, fingerprint))
