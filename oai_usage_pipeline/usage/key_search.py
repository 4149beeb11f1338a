"""Where keys stand: the values of fields whose names say that they carry one.

Belongs here: names, and reading from a name to its value in bytes that nothing need parse. What is
done with a value found is for `key_fields`.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pydantic_core import SchemaValidator, core_schema

from oai_usage_pipeline.usage.key_looks import Judge, is_any, is_credential, is_gateway_key

_BACKSLASH = ord("\\")
_FROM_NAME_TO_VALUE = 512
"""Bytes: how far behind its name the value of a pair is looked for."""

# Possessive throughout: no run of backslashes or white space is tried in more than one way.
SPACE = rb"(?:\s++|\\++[nrt])*+"
_QUOTE = rb"""(?P<escapes>\\*+) (?P<quote>["'])"""
_SCHEME = rb"(?: (?:bearer|basic)\s++ )?+"
# ':' or '=', then the start of a value: quoted at any depth of escaping, or bare.
_ASSIGNED = rb"""(?P<close>\\*+["'])?+ """ + SPACE + b"[:=]" + SPACE + b"(?:" + _QUOTE + b")?+" + _SCHEME
_NAMES = r"""(?: subscription[-_]?key | api[-_]?key | functions-key | authorization
              | (?P<id>subscription[-_]?id) | (?P<pair>(?:primary|secondary)[-_]?key) )"""
_NAME = re.compile(_NAMES, re.IGNORECASE | re.VERBOSE)
# A name that is itself a value belongs to a pair such as {"name": "api-key", "value": "..."}.
_KEY_NAME = re.compile(
    _NAMES.encode() + rb"[\w-]{0,16}+ (?:" + _ASSIGNED + rb"""| (?P<alone>\\*+["']) )""",
    re.IGNORECASE | re.VERBOSE,
)
_PAIR_VALUE = re.compile(b"values?+" + _ASSIGNED, re.IGNORECASE | re.VERBOSE)
_IN_CONTAINER = re.compile(
    rb"""(?P<bracket>[\[\]{}]) |""" + _QUOTE + _SCHEME + rb"""| (?P<bare>[^\s"'&,:;{}\[\]\\]++)""",
    re.IGNORECASE | re.VERBOSE,
)
_BRACKET = re.compile(rb"[\[\]{}]")
_BARE_VALUE = re.compile(rb"""[^\s"'&,;{}\[\]\\]*""")
_THEN_COLON = re.compile(rb"""\\*+["']?+\s*+:""")
_NO_SECRET = (b"", b"null", b"true", b"false")

# A fifth of a microsecond for a kilobyte, where `in` takes twice that for each way to write a name.
names_key = SchemaValidator(
    core_schema.str_schema(
        strict=True,
        pattern="(?:[sS]ubscription|SUBSCRIPTION)[-_]?(?:[kK][eE][yY]|[iI][dD])|(?:API|[aA]pi)[-_]?[kK][eE][yY]"
        "|[aA]uthorization|AUTHORIZATION|(?:rimary|econdary)[-_]?[kK][eE][yY]|unctions-[kK][eE][yY]",
    )
).isinstance_python
"""Whether a text may hold a field that is named like a key's: the question that every event is asked."""


class KeyValue(NamedTuple):
    """Where a value stands, how deeply its quotes are escaped, and the quote that it lacks.

    `is_key` judges the value itself: of some names it alone tells.
    """

    start: int
    end: int
    escapes: int = 0
    lacks: bytes = b""
    is_key: Judge = is_any


class _Found(NamedTuple):
    """Values, and where to go on behind them."""

    values: list[KeyValue]
    end: int


def key_values(body: bytes) -> Iterator[KeyValue]:
    """Each value that a key-like field holds, first to last; `is_key` is for the caller to ask."""
    position = 0
    while found := _KEY_NAME.search(body, position):
        judge = _judge_of(found)
        values, end = _held(body, position, found, is_certain=judge is is_any)
        for value in values:
            if body[value.start : value.end] not in _NO_SECRET:
                yield value._replace(is_key=is_any if _is_cut(body, value) else judge)
        position = max(end, found.end())


def _is_cut(body: bytes, value: KeyValue) -> bool:
    """Whether a quoted value ends with the body: half a key has not its form."""
    return value.end == len(body) and body[value.start - 1 : value.start] in (b'"', b"'")


def _held(body: bytes, after: int, name: re.Match[bytes], *, is_certain: bool) -> _Found:
    """The values that a name holds, and where to go on."""
    field = _paired(body, after, name) if name["alone"] else name
    if field is None:
        return _Found([], name.end())
    if field.start() < name.start():
        return _Found(_assigned(body, field, name.start()).values, name.end())
    return _assigned(body, field, len(body)) if is_certain else _held_near(body, name, field)


def _held_near(body: bytes, name: re.Match[bytes], field: re.Match[bytes]) -> _Found:
    """What an uncertain name holds: only near values, and no names, which are looked at for themselves."""
    limit = min(name.end() + _FROM_NAME_TO_VALUE, len(body))
    if not _is_nested(body, field, limit):
        held = _assigned(body, field, limit)
        if not (held.end >= limit < len(body) or _KEY_NAME.search(body, name.end(), held.end)):
            return held
    return _Found([], name.end())


def _is_nested(body: bytes, field: re.Match[bytes], limit: int) -> bool:
    """Whether a field holds arrays or objects within one: it would be read anew for each name in it."""
    if body[field.end() : field.end() + 1] not in (b"[", b"{"):
        return False
    bracket = _BRACKET.search(body, field.end() + 1, limit)
    return bracket is None or bracket[0] in b"[{"


def judge_of(name: str) -> Judge | None:
    """What tells whether the value of a field of this name is a key; None for a name that none has."""
    found = _NAME.search(name) if names_key(name) else None
    return _judge_of(found) if found else None


def _judge_of(name: re.Match[bytes] | re.Match[str]) -> Judge:
    if name["id"]:
        return is_gateway_key
    return is_credential if name["pair"] else is_any


def _paired(body: bytes, after: int, name: re.Match[bytes]) -> re.Match[bytes] | None:
    """The field of the value next to a name within the same braces, before it or behind."""
    opening = max(body.rfind(b"{", after, name.start()), after)
    before = _PAIR_VALUE.search(body, opening, name.start())
    if before and before["close"] == name["alone"]:
        return before
    farthest = name.end() + _FROM_NAME_TO_VALUE
    closing = body.find(b"}", name.end(), farthest)
    behind = _PAIR_VALUE.search(body, name.end(), farthest if closing < 0 else closing)
    return behind if behind and behind["close"] == name["alone"] else None


def _assigned(body: bytes, field: re.Match[bytes], limit: int) -> _Found:
    """The values that follow a field's name, up to `limit`, and where they end."""
    start = field.end()
    if field["quote"]:
        escapes = len(field["escapes"])
        end = _closing_quote(body, start, field["quote"], escapes, limit)
        return _Found([KeyValue(start, end, escapes)], end)
    if field["close"] and body[start : start + 1] in (b"[", b"{"):
        return _contained(body, start, field["close"], limit)
    bare = _BARE_VALUE.match(body, start, limit)
    end = bare.end() if bare else start
    # A number becomes a text: what was JSON stays JSON.
    return _Found([KeyValue(start, end, 0, field["close"] or b"")], end)


def _contained(body: bytes, start: int, quoted: bytes, limit: int) -> _Found:
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
    return _Found(values, position)


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
