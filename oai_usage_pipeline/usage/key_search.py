"""Where keys stand: the values of fields whose names say that they carry one.

Belongs here: names, and reading from a name to its value in bytes that nothing need parse. What is
done with a value found is for `key_fields`.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from pydantic_core import SchemaValidator, core_schema

from oai_usage_pipeline.usage.credentials import CREDENTIAL_HINTS, ESCAPED, MARK_HINTS, WIDE_SPACE
from oai_usage_pipeline.usage.key_looks import (
    Judge,
    is_any,
    is_credential,
    is_gateway_key,
    is_password,
    is_token,
)

_BACKSLASH = ord("\\")
_FROM_NAME_TO_VALUE = 512
"""Bytes: how far behind its name the value of a pair is looked for."""

# Possessive throughout: no run of backslashes or white space is tried in more than one way.
SPACE = rb"(?:\s++|\\++[nrt]|" + WIDE_SPACE + rb")*+"
_QUOTE = rb"""(?P<escapes>\\*+) (?P<quote>["'])"""
_SCHEME = rb"(?: (?:bearer|basic)(?:\s|%20|" + WIDE_SPACE + rb")++ )?+"
_MARKUP = rb"(?: \*\* | `{1,3}+ | \\++u0060 ){0,2}+"
_MORE = rb"(?: > | \\++u003e )"
# An element's value counts only before the end of the element: much else stands behind '>'.
_TEXT = rb"""(?: [^\s<>"'{}\\]++ | """ + ESCAPED + b")++"
_ELEMENT = _MORE + SPACE + b"(?=" + _TEXT + SPACE + rb"(?: < | \\++u003c ) \\*+/ )"
# '=>' only before a quote, as an arrow may mean a function; '|' between the cells of a table.
_ARROW = b"= " + _MORE + rb"(?=" + SPACE + rb"""\\*+["'])"""
_SIGN = rb"(?: :=?+ (?:\*\*)?+ | " + _ARROW + rb" | =(?!" + _MORE + rb") | (?P<cell>\|) )"
# The start of a value: quoted at any depth of escaping, or bare.
_ASSIGNED = (
    rb"""(?: (?P<close>\\*+["'])?+ """ + _MARKUP + SPACE + _SIGN + SPACE + _MARKUP + b"(?:" + _QUOTE + b")?+"
    rb"| " + _ELEMENT + b")" + _SCHEME
)
_NAMES = r"""(?: subscription[-_]?key | api[-_]?key | functions[-_]?key | authorization
              | (?P<id>subscription[-_]?id)
              | (?P<pair>(?:primary|secondary|account|shared[-_]?access)[-_]?key | client[-_]?secret
                  | (?:access|refresh)[-_]?token)
              | (?P<word>secret|token)(?![\w-]) | (?P<password>pass(?:word|wd|phrase)|pwd)(?![\w-]) )"""
_NAME = re.compile(_NAMES, re.IGNORECASE | re.VERBOSE)
_LONGEST_NAME = 17
_ENDINGS = (
    b"key",
    b"authorization",
    b"secret",
    b"token",
    b"password",
    b"passwd",
    b"passphrase",
    b"pwd",
    b"subscriptionid",
    b"subscription-id",
    b"subscription_id",
)
_SHORT = 512
_NAME_IN_BYTES = re.compile(_NAMES.encode(), re.IGNORECASE | re.VERBOSE)
_NAME_TO_END = re.compile(_NAMES.encode() + rb"\Z", re.VERBOSE)
# A name that is itself a value belongs to a pair such as {"name": "api-key", "value": "..."}.
_KEY_NAME = re.compile(
    _NAMES.encode() + rb"[\w-]{0,16}+ (?:" + _ASSIGNED + rb"""| (?P<alone>\\*+["']) )""",
    re.IGNORECASE | re.VERBOSE,
)
# The second of two in brackets, the first of which is a name: ["api-key", "..."].
_OPENING = re.compile(rb"[\[(]\s*+\Z")
_LIST_VALUE = re.compile(
    rb"(?P<close>\\*+[\"'])" + SPACE + b"," + SPACE + _QUOTE + _SCHEME, re.IGNORECASE | re.VERBOSE
)
_LONGEST_PREFIX = 32
_LONGEST_LISTED = 8192
_PAIR_VALUE = re.compile(b"values?+" + _ASSIGNED, re.IGNORECASE | re.VERBOSE)
_IN_CONTAINER = re.compile(
    rb"""(?P<bracket>[\[\]{}]) |""" + _QUOTE + _SCHEME + rb"""| (?P<bare>[^\s"'&,:;{}\[\]\\]++)""",
    re.IGNORECASE | re.VERBOSE,
)
_BRACKET = re.compile(rb"[\[\]{}]")
_BARE_VALUE = re.compile(
    rb"""(?:<(?!\\*+/))?+ (?:[^\s"'`|&,;<{}\[\]\\]++ | """ + ESCAPED + rb")*+",
    re.VERBOSE,
)
_THEN_COLON = re.compile(rb"""\\*+["']?+\s*+:""")
_NO_SECRET = (b"", b"null", b"true", b"false")

# Names as in _NAMES, and of those that many texts have only where a value may stand near them.
_IDS = r"""subscription[-_]?id(?:(?s:.{0,32})[0-9a-z+/=_-]{32}|(?:[\\"']|u002[27])+\s*[,}\])])"""
_TOKENS = r"""token(?:[^0-9a-z_\s.,;?!)-]|\s+[:=|\\])|(?:access|refresh)[-_]?token"""
# Three questions: a third of a microsecond each for a kilobyte, where one for all takes ten times that.
_names_key, _names_secret, _names_token = (
    SchemaValidator(core_schema.str_schema(strict=True, pattern=pattern)).isinstance_python
    for pattern in (
        rf"(?i:(?:subscription|api|primary|secondary|account|access|functions)[-_]?key)|{CREDENTIAL_HINTS}",
        rf"(?i:authorization|secret|passw(?:or)?d|passphrase|pwd)|{MARK_HINTS}",
        rf"(?i:{_TOKENS}|{_IDS})",
    )
)


def names_key(text: str | None) -> bool:
    """Whether a text may hold a field named like a key's, or a credential: what every event is asked.

    Never False for a text in which `key_values` finds something.
    """
    return _names_key(text) or _names_secret(text) or _names_token(text)


class KeyValue(NamedTuple):
    """Where a value stands, how deeply its quotes are escaped, and the quote that it lacks.

    `is_common` tells that its name is a word that many use.
    """

    start: int
    end: int
    escapes: int = 0
    lacks: bytes = b""
    is_common: bool = False


class _Found(NamedTuple):
    """Values, and where to go on behind them."""

    values: list[KeyValue]
    end: int


def key_values(body: bytes) -> Iterator[KeyValue]:
    """Each value that a key-like field holds, from the first to the last."""
    position = 0
    for start in _starts_of_names(body):
        found = _KEY_NAME.match(body, start)
        # A name within a value is the value's, unless what it announces stands behind the value.
        if found is None or (start < position and found.end() <= position):
            continue
        values, end = _held(body, position, found)
        for value in values:
            if body[value.start : value.end] not in _NO_SECRET:
                yield value._replace(is_common=True) if found["word"] or found["password"] else value
        # A common word at the end of a text that a name behind it announces hides nothing from that name.
        if values or not found["alone"] or found.end() - position > _FROM_NAME_TO_VALUE:
            position = max(end, found.end())


def _starts_of_names(body: bytes) -> list[int]:
    """Where a key's name begins, from the first to the last.

    In a long text, few bytes are the end of one, and those are found a hundred times faster than a name.
    """
    if len(body) < _SHORT:
        return [name.start() for name in _NAME_IN_BYTES.finditer(body)]
    lowered = body.lower()
    starts = []
    for ending in _ENDINGS:
        at = lowered.find(ending)
        while at >= 0:
            end = at + len(ending)
            if name := _NAME_TO_END.search(lowered, max(end - _LONGEST_NAME, 0), end):
                starts.append(name.start())
            at = lowered.find(ending, end)
    return sorted(starts)


def unescaped(raw: bytes, escapes: int) -> str:
    """The key itself, so that its fingerprint is the one that readable envelopes have."""
    text = raw.decode("utf-8", "replace")
    # Each depth of JSON text within JSON text doubles the backslashes and adds one: 0, 1, 3, 7.
    for _ in range((escapes + 1).bit_length()):
        if "\\" not in text and '"' not in text:
            break
        try:
            text = str(json.loads(f'"{text}"', strict=False))
        except ValueError:
            break
    return text


def _held(body: bytes, after: int, name: re.Match[bytes]) -> _Found:
    """The values that a name holds, and where to go on."""
    field = _paired(body, after, name) if name["alone"] else name
    if field is None:
        return _Found([], name.end())
    judge = is_token if name["cell"] and not name["id"] else _judge_of(name)
    if judge is not is_any:
        return _held_near(body, name, field, judge)
    if field.start() < name.start():
        return _Found(_assigned(body, field, name.start()).values, name.end())
    return _assigned(body, field, len(body))


def _held_near(body: bytes, name: re.Match[bytes], field: re.Match[bytes], judge: Judge) -> _Found:
    """What an uncertain name holds: near values that are keys; all else is looked at for itself."""
    is_before = field.start() < name.start()
    limit = name.start() if is_before else min(name.end() + _FROM_NAME_TO_VALUE, len(body))
    if _is_nested(body, field, limit):
        return _Found([], name.end())
    held, end = _assigned(body, field, limit)
    if end == limit and limit not in (name.start(), len(body)):
        return _Found([], name.end())
    values = [each for each in held if _is_key(body, each, judge)]
    if not values or is_before:
        return _Found(values, name.end())
    inner = _KEY_NAME.search(body, name.end(), end)
    until = inner.start() if inner else end
    return _Found([each for each in values if each.end <= until], until)


def _is_key(body: bytes, value: KeyValue, judge: Judge) -> bool:
    """Whether a value is a key; one that ends with the body was cut, and half a key has not its form."""
    if value.end == len(body) and body[value.start - 1 : value.start] in (b'"', b"'"):
        return True
    return judge(unescaped(body[value.start : value.end], value.escapes))


def _is_nested(body: bytes, field: re.Match[bytes], limit: int) -> bool:
    """Whether a field holds arrays or objects within one: it would be read anew for each name in it."""
    if body[field.end() : field.end() + 1] not in (b"[", b"{"):
        return False
    bracket = _BRACKET.search(body, field.end() + 1, limit)
    return bracket is None or bracket[0] in b"[{"


def judge_of(name: str) -> Judge | None:
    """What tells whether the value of a field of this name is a key; None for a name that none has."""
    found = _NAME.search(name)
    return _judge_of(found) if found else None


def _judge_of(name: re.Match[bytes] | re.Match[str]) -> Judge:
    if name["id"]:
        return is_gateway_key
    if name["password"]:
        return is_password
    return is_credential if name["pair"] or name["word"] else is_any


def _paired(body: bytes, after: int, name: re.Match[bytes]) -> re.Match[bytes] | None:
    """The field of the value next to a name within the same braces or brackets, before it or behind."""
    if listed := _listed(body, after, name):
        return listed
    opening = max(body.rfind(b"{", after, name.start()), after)
    before = _PAIR_VALUE.search(body, opening, name.start())
    if before and before["close"] == name["alone"]:
        return before
    farthest = name.end() + _FROM_NAME_TO_VALUE
    closing = body.find(b"}", name.end(), farthest)
    behind = _PAIR_VALUE.search(body, name.end(), farthest if closing < 0 else closing)
    return behind if behind and behind["close"] == name["alone"] else None


def _listed(body: bytes, after: int, name: re.Match[bytes]) -> re.Match[bytes] | None:
    """The value of a name that begins a list of two, such as headers are sent and logged in."""
    quote = name["alone"]
    start = body.rfind(quote, max(after, name.start() - _LONGEST_PREFIX), name.start())
    if start < 0 or not _OPENING.search(body, max(after, start - _LONGEST_PREFIX), start):
        return None
    value = _LIST_VALUE.match(body, name.end() - len(quote))
    if value is None or value["escapes"] + value["quote"] != quote:
        return None
    limit = min(value.end() + _LONGEST_LISTED, len(body))
    end = _closing_quote(body, value.end(), value["quote"], len(value["escapes"]), limit) + len(quote)
    return value if body[end : end + _LONGEST_PREFIX].lstrip()[:1] in (b"]", b")", b"") else None


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
