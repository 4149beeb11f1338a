"""Where keys stand: the values of fields whose names say that they carry one.

Belongs here: names, and reading from a name to its value in bytes that nothing need parse. What is
done with a value found is for `key_fields`.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pydantic_core import SchemaValidator, core_schema

_BACKSLASH = ord("\\")
_FROM_NAME_TO_VALUE = 512
"""Bytes: how far behind its name the value of a pair is looked for."""

# Possessive throughout: no run of backslashes or white space is tried in more than one way.
SPACE = rb"(?:\s++|\\++[nrt])*+"
_QUOTE = rb"""(?P<escapes>\\*+) (?P<quote>["'])"""
_SCHEME = rb"(?: (?:bearer|basic)\s++ )?+"
# ':' or '=', then the start of a value: quoted at any depth of escaping, or bare.
_ASSIGNED = rb"""(?P<close>\\*+["'])?+ """ + SPACE + b"[:=]" + SPACE + b"(?:" + _QUOTE + b")?+" + _SCHEME
# A name that is itself a value belongs to a pair such as {"name": "api-key", "value": "..."}.
_KEY_NAME = re.compile(
    rb"""(?:subscription[-_]?key|api[-_]?key|authorization) [\w-]{0,16}+
         (?:"""
    + _ASSIGNED
    + rb"""| (?P<alone>\\*+["']) )""",
    re.IGNORECASE | re.VERBOSE,
)
_PAIR_VALUE = re.compile(b"values?+" + _ASSIGNED, re.IGNORECASE | re.VERBOSE)
_IN_CONTAINER = re.compile(
    rb"""(?P<bracket>[\[\]{}]) |""" + _QUOTE + _SCHEME + rb"""| (?P<bare>[^\s"'&,:;{}\[\]\\]++)""",
    re.IGNORECASE | re.VERBOSE,
)
_BARE_VALUE = re.compile(rb"""[^\s"'&,;{}\[\]\\]*""")
_THEN_COLON = re.compile(rb"""\\*+["']?+\s*+:""")
_NO_SECRET = (b"", b"null", b"true", b"false")

# A fifth of a microsecond for a kilobyte, where `in` takes twice that for each way to write a name.
names_key = SchemaValidator(
    core_schema.str_schema(
        strict=True,
        pattern="(?:[sS]ubscription|SUBSCRIPTION|API|[aA]pi)[-_]?[kK][eE][yY]|[aA]uthorization|AUTHORIZATION",
    )
).isinstance_python
"""Whether a text may hold a field that is named like a key's: the question that every event is asked."""


class KeyValue(NamedTuple):
    """Where a value stands, how deeply its quotes are escaped, and the quote that it lacks."""

    start: int
    end: int
    escapes: int = 0
    lacks: bytes = b""


def key_values(body: bytes) -> Iterator[KeyValue]:
    """Each value that a key-like field holds, from the first to the last."""
    position = 0
    while found := _KEY_NAME.search(body, position):
        if found["alone"]:
            values, end = _paired(body, position, found)
        else:
            values, end = _assigned(body, found, len(body))
        for value in values:
            if body[value.start : value.end] not in _NO_SECRET:
                yield value
        position = max(end, found.end())


def _paired(body: bytes, after: int, name: re.Match[bytes]) -> tuple[list[KeyValue], int]:
    """The value next to a name within the same braces, before it or behind; and where to go on."""
    opening = max(body.rfind(b"{", after, name.start()), after)
    before = _PAIR_VALUE.search(body, opening, name.start())
    if before and before["close"] == name["alone"]:
        return _assigned(body, before, name.start())[0], name.end()
    farthest = name.end() + _FROM_NAME_TO_VALUE
    closing = body.find(b"}", name.end(), farthest)
    behind = _PAIR_VALUE.search(body, name.end(), farthest if closing < 0 else closing)
    if behind and behind["close"] == name["alone"]:
        return _assigned(body, behind, len(body))
    return [], name.end()


def _assigned(body: bytes, field: re.Match[bytes], limit: int) -> tuple[list[KeyValue], int]:
    """The values that follow a field's name, up to `limit`, and where they end."""
    start = field.end()
    if field["quote"]:
        escapes = len(field["escapes"])
        end = _closing_quote(body, start, field["quote"], escapes, limit)
        return [KeyValue(start, end, escapes)], end
    if field["close"] and body[start : start + 1] in (b"[", b"{"):
        return _contained(body, start, field["close"], limit)
    bare = _BARE_VALUE.match(body, start, limit)
    end = bare.end() if bare else start
    # A number becomes a text: what was JSON stays JSON.
    return [KeyValue(start, end, 0, field["close"] or b"")], end


def _contained(body: bytes, start: int, quoted: bytes, limit: int) -> tuple[list[KeyValue], int]:
    """The values in an array or an object, and where it ends; only strings quoted as its name is."""
    values: list[KeyValue] = []
    depth, position = 0, start
    while found := _IN_CONTAINER.search(body, position, limit):
        position = found.end()
        if found["bracket"]:
            depth += 1 if found["bracket"] in b"[{" else -1
            if not depth:
                break
            continue
        value = KeyValue(found.start(), position, 0, quoted)
        if found["quote"]:
            if found["escapes"] + found["quote"] != quoted:
                break
            end = _closing_quote(body, position, found["quote"], len(quoted) - 1, limit)
            value = KeyValue(position, end, len(quoted) - 1)
            position = min(end + len(quoted), limit)
        if not _THEN_COLON.match(body, value.end):
            values.append(value)
    return values, position


def _closing_quote(body: bytes, start: int, quote: bytes, escapes: int, limit: int) -> int:
    """Where the value ends: before the first quote of the opening one's depth, or of a lesser one.

    At a depth of `escapes` backslashes, a backslash of the value itself stands as twice as many and two.
    """
    position = start
    while (position := body.find(quote, position, limit)) >= 0:
        depth = 0
        while position - depth > start and body[position - depth - 1] == _BACKSLASH:
            depth += 1
        if depth < escapes or depth % (2 * (escapes + 1)) == escapes:
            return position - min(depth, escapes)
        position += 1
    return limit
