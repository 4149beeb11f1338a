"""Finding keys in bytes that nothing can parse: by the names of the fields that carry them.

Only the search and the replacement belong here; what a key is replaced by is `fingerprint`'s.
"""

import json
import re
from collections.abc import Callable, Iterator

SHORTEST_CREDENTIAL = 8
"""Characters. A shorter key is replaced in its own field but not searched for elsewhere: it would hit
ordinary words, and nothing that short is a credential (the gateway's keys have 32 hexadecimals)."""

_BACKSLASH = ord("\\")
_MOST_SEARCHED_KEYS = 64
_LONGEST_CUT_KEY = 128

# A field name, then ':' or '=', then the start of a value: quoted at any depth of escaping, or bare.
# Possessive throughout: no run of backslashes or white space is tried in more than one way.
_KEY_FIELD = re.compile(
    rb"""(?:subscription[-_]?key|api[-_]?key|authorization) [\w-]{0,16}+
         (?P<close>\\*+["'])?+ (?:\s++|\\++[nrt])*+ [:=] (?:\s++|\\++[nrt])*+
         (?: (?P<escapes>\\*+) (?P<quote>["']) )?+
         (?: (?:bearer|basic)\s++ )?+""",
    re.IGNORECASE | re.VERBOSE,
)
_BARE_VALUE = re.compile(rb"""[^\s"'&,;{}\[\]\\]*""")
_NO_SECRET = (b"", b"null", b"true", b"false")
_TOKEN = re.compile(rb"[\w+/=.\-]{%d,}" % SHORTEST_CREDENTIAL)
_UTF16_BOMS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


def scrub_key_fields(body: bytes, fingerprint: Callable[[str], str]) -> bytes:
    """`body` with every key that a key-like field names replaced, there and everywhere else.

    The time is bounded by a small multiple of the length, whatever the bytes.
    """
    encoding = _utf16(body)
    if encoding is None:
        return _scrub(body, fingerprint)
    text = body.decode(encoding, "ignore").encode()
    scrubbed = _scrub(text, fingerprint)
    return body if scrubbed == text else scrubbed.decode("utf-8", "replace").encode(encoding)


def escaped_forms(key: str) -> list[str]:
    """`key` as it stands inside JSON text, and inside JSON text within JSON text; longest first."""
    forms = set()
    for ascii_only in (True, False):
        once = json.dumps(key, ensure_ascii=ascii_only)[1:-1]
        forms |= {once, json.dumps(once, ensure_ascii=ascii_only)[1:-1]}
    return sorted(forms - {key}, key=len, reverse=True)


def _scrub(body: bytes, fingerprint: Callable[[str], str]) -> bytes:
    replaced: list[bytes] = []
    keys: dict[bytes, bytes] = {}
    done = 0
    for start, end, escapes, quote in _key_values(body):
        raw = body[start:end]
        key = _unescaped(raw, escapes)
        mark = fingerprint(key).encode()
        replaced += (body[done:start], quote, mark, quote)
        done = end
        if len(key) >= SHORTEST_CREDENTIAL and mark != raw:
            keys |= dict.fromkeys(
                (raw, *(form.encode("utf-8", "replace") for form in (*escaped_forms(key), key))), mark
            )
    return _without_keys(b"".join((*replaced, body[done:])), keys)


def _key_values(body: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Start, end and depth of escaping of each value in a key-like field, and the quote it lacks."""
    position = 0
    while found := _KEY_FIELD.search(body, position):
        start = found.end()
        quote = b""
        if found["quote"]:
            escapes = len(found["escapes"])
            end = _closing_quote(body, start, found["quote"], escapes)
        else:
            bare = _BARE_VALUE.match(body, start)
            escapes, end = 0, bare.end() if bare else start
            # A number becomes a text: what was JSON stays JSON.
            quote = found["close"] or b""
        if body[start:end] not in _NO_SECRET:
            yield start, end, escapes, quote
        position = max(end, start)


def _closing_quote(body: bytes, start: int, quote: bytes, escapes: int) -> int:
    """Where the value ends: before the first quote of the opening one's depth, or of a lesser one.

    At a depth of `escapes` backslashes, a backslash of the value itself stands as twice as many and two.
    """
    position = start
    while (position := body.find(quote, position)) >= 0:
        depth = 0
        while position - depth > start and body[position - depth - 1] == _BACKSLASH:
            depth += 1
        if depth < escapes or depth % (2 * (escapes + 1)) == escapes:
            return position - min(depth, escapes)
        position += 1
    return len(body)


def _unescaped(raw: bytes, escapes: int) -> str:
    """The key itself, so that its fingerprint is the one that readable envelopes have."""
    text = raw.decode("utf-8", "replace")
    # Each depth of JSON text within JSON text doubles the backslashes and adds one: 0, 1, 3, 7.
    for _ in range((escapes + 1).bit_length()):
        try:
            text = str(json.loads(f'"{text}"', strict=False))
        except ValueError:
            break
    return text


def _without_keys(body: bytes, keys: dict[bytes, bytes]) -> bytes:
    if len(keys) > _MOST_SEARCHED_KEYS:
        # Searching for each would take keys x length: look every word up instead.
        return _TOKEN.sub(lambda word: keys.get(word[0], word[0]), body)
    for key in sorted(keys, key=len, reverse=True):
        body = _without_cut_key(body.replace(key, keys[key]), key, keys[key])
    return body


def _without_cut_key(body: bytes, key: bytes, mark: bytes) -> bytes:
    """A body that was cut may end in the middle of a key that it repeats: most of a key is too much."""
    for length in range(min(len(key) - 1, _LONGEST_CUT_KEY), SHORTEST_CREDENTIAL - 1, -1):
        if body.endswith(key[:length]):
            return body[:-length] + mark
    return body


def _utf16(body: bytes) -> str | None:
    if body[:2] in _UTF16_BOMS:
        return _UTF16_BOMS[body[:2]]
    if body.count(0) * 3 < len(body) or len(body) < 2 * SHORTEST_CREDENTIAL:
        return None
    return "utf-16-le" if body[1::2].count(0) > body[::2].count(0) else "utf-16-be"
