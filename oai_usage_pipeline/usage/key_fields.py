"""Keys that fields name, and credentials, are replaced in bytes and texts that nothing need parse.

Only the replacement belongs here: where keys stand is for `key_search`, what gives a credential away for
`credentials`, what each is replaced by for `fingerprint`.
"""

import json
import re
from collections.abc import Callable, Sequence

from oai_usage_pipeline.usage.credentials import ESCAPED, may_hold_credential, without_credentials
from oai_usage_pipeline.usage.escaped_quotes import PlainQuotes
from oai_usage_pipeline.usage.key_looks import is_credential
from oai_usage_pipeline.usage.key_search import SPACE, key_values, names_key, unescaped

SHORTEST_CREDENTIAL = 8
"""Characters. A shorter key is replaced in its own field but not searched for elsewhere: it would hit
ordinary words, and nothing that short is a credential (the gateway's keys have 32 hexadecimals)."""

_SHORTEST_ELSEWHERE = 32
"""Characters: what its form alone or a common word tells for a credential is searched for elsewhere from this
length on. Names that calls are charged by, such as a deployment's, are shorter or have other signs in them,
and anybody may write `Bearer` or `token:` before one."""

_MOST_SEARCHED_KEYS = 128
_LONGEST_CUT_KEY = 128
_TOKEN = re.compile(rb"[\w+/=.\-]{%d,}" % SHORTEST_CREDENTIAL)
_LONG_TOKEN = re.compile(rb"[\w+/=.~-]{%d,}" % _SHORTEST_ELSEWHERE)

# In a text that is read afterwards, only whole words become marks, never a number: JSON stays JSON.
_WORD = re.compile(
    SPACE + rb"(?P<word>(?![-+.0-9eE]++(?![\w/=~])) (?=(?:[\w+/=.\-~!@\#$%%^&*?] | %b){%d})"
    rb"(?:[\w+/=.\-~!@\#$%%^&*?]++ | %b)++)" % (ESCAPED, SHORTEST_CREDENTIAL, ESCAPED) + SPACE,
    re.VERBOSE,
)
_TEXT_TOKEN = re.compile(rf"(?<!\\)[\w+/=.\-~]{{{SHORTEST_CREDENTIAL},}}", re.ASCII)


def scrub_key_fields(body: bytes, fingerprint: Callable[[str], str]) -> bytes:
    """`body` with every key that a key-like field names replaced, there and everywhere else.

    The time is bounded by a small multiple of the length, whatever the bytes.
    """
    keys: dict[bytes, bytes] = {}
    body = _scrub(body, fingerprint, keys)
    if body.count(0) < SHORTEST_CREDENTIAL:
        return body
    # UTF-16, of either order: one begins at an even byte and the other at an odd one, as far as keys go.
    for start in (0, 1):
        body = body[:start] + _scrub_utf16(body[start:], fingerprint, keys)
    return _without_keys(body, keys)


def scrub_texts(texts: Sequence[str | None], fingerprint: Callable[[str], str]) -> list[str | None]:
    """The texts with each key that a field in any of them names replaced, there and in all of them.

    Others read these texts, and callers wrote them: a caller who names a part of the answer a key must
    not spoil what is charged by. So only words are replaced, and elsewhere only those that mix letters
    and digits as credentials do.
    """
    found: dict[str, str] = {}
    scrubbed = [
        text and _scrub_words(text, fingerprint, found) if names_key(text) else text for text in texts
    ]
    marks = {form: mark for key, mark in found.items() for form in searched_forms(key)}
    return [text and without_words(text, marks) for text in scrubbed] if marks else scrubbed


def searched_forms(key: str) -> tuple[str, ...]:
    """How `key` may stand elsewhere: without white space around it, in either case, escaped; longest first.

    None for a key shorter than `SHORTEST_CREDENTIAL` characters.
    """
    if len(key) < SHORTEST_CREDENTIAL:
        return ()
    keys = {form for form in (key, key.strip()) if len(form) >= SHORTEST_CREDENTIAL}
    forms = {form for each in keys for form in (each, each.lower(), each.upper())}
    escaped = {form for each in forms if not (each.isalnum() and each.isascii()) for form in _escaped(each)}
    return tuple(sorted(forms | escaped, key=lambda form: (-len(form), form)))


def _escaped(key: str) -> set[str]:
    """`key` as it stands inside JSON text, and inside JSON text within JSON text."""
    forms = set()
    for ascii_only in (True, False):
        once = json.dumps(key, ensure_ascii=ascii_only)[1:-1]
        forms |= {once, json.dumps(once, ensure_ascii=ascii_only)[1:-1]}
    return forms


def _scrub(body: bytes, fingerprint: Callable[[str], str], keys: dict[bytes, bytes]) -> bytes:
    """The bytes without the keys that they name and without `keys`, to which it adds them."""
    return _without_keys(_without_named(body, fingerprint, keys), keys)


def _without_named(body: bytes, fingerprint: Callable[[str], str], keys: dict[bytes, bytes]) -> bytes:
    """The bytes without the keys that they name, which are added to `keys`."""
    plain = PlainQuotes(body)
    replaced: list[bytes] = []
    done = 0
    for start, end, escapes, quote, is_common in key_values(plain.text):
        raw = plain.text[start:end]
        key = unescaped(raw, escapes)
        mark = fingerprint(key).encode()
        first, last = plain.place(start), plain.place(end)
        replaced += (body[done:first], quote, mark, quote)
        done = last
        is_name = is_common and not _LONG_TOKEN.fullmatch(raw)
        if len(key) >= SHORTEST_CREDENTIAL and mark != raw and not is_name:
            forms = (form.encode("utf-8", "replace") for form in searched_forms(key))
            keys.update(dict.fromkeys((raw, body[first:last], *forms), mark))
    found: dict[str, str] = {}
    scrubbed = without_credentials(b"".join((*replaced, body[done:])), _noting(found, fingerprint))
    keys.update((key.encode(), mark.encode()) for key, mark in found.items())
    return scrubbed


def _noting(found: dict[str, str], fingerprint: Callable[[str], str]) -> Callable[[str], str]:
    """`fingerprint`, with those credentials put into `found` that are to be searched for elsewhere."""

    def mark(credential: str) -> str:
        made = fingerprint(credential)
        if made != credential and len(credential) >= _SHORTEST_ELSEWHERE and is_credential(credential):
            found[credential] = made
        return made

    return mark


def _scrub_words(text: str, fingerprint: Callable[[str], str], found: dict[str, str]) -> str:
    body = text.encode("utf-8", "surrogatepass")
    plain = PlainQuotes(body)
    replaced: list[bytes] = []
    done = 0
    for value in key_values(plain.text):
        if word := _WORD.fullmatch(plain.text, value.start, value.end):
            key = unescaped(word["word"], value.escapes)
            mark = fingerprint(key)
            replaced += (body[done : plain.place(word.start("word"))], mark.encode())
            done = plain.place(word.end("word"))
            is_name = value.is_common and not _LONG_TOKEN.fullmatch(word["word"])
            if mark != key and is_credential(key) and not is_name:
                found[key] = mark
    scrubbed = b"".join((*replaced, body[done:])) if replaced else body
    if may_hold_credential(text):
        scrubbed = without_credentials(scrubbed, _noting(found, fingerprint))
    return text if scrubbed == body else scrubbed.decode("utf-8", "surrogatepass")


def without_words(text: str, marks: dict[str, str]) -> str:
    """`text` with each of the words that `marks` knows replaced."""
    if len(marks) > _MOST_SEARCHED_KEYS:
        return _TEXT_TOKEN.sub(lambda word: marks.get(word[0], word[0]), text)
    for word, mark in marks.items():
        if word in text:
            text = _without_word(text, word, mark)
    return text


def _without_word(text: str, word: str, mark: str) -> str:
    """`text` without `word`, but for where its first letter belongs to an escape such as that of U+00E9."""
    first, *rest = text.split(word)
    pieces = [first]
    for piece in rest:
        backslashes = len(pieces[-1]) - len(pieces[-1].rstrip("\\"))
        pieces += (word if backslashes % 2 and word[0] in "bfnrtu" else mark, piece)
    return "".join(pieces)


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


def _scrub_utf16(body: bytes, fingerprint: Callable[[str], str], keys: dict[bytes, bytes]) -> bytes:
    """The bytes scrubbed as UTF-16; what is none comes back as it was."""
    whole = len(body) & ~1
    text = body[:whole].decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")
    scrubbed = _scrub(text, fingerprint, keys)
    if scrubbed == text:
        return body
    return scrubbed.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass") + body[whole:]
