"""Credentials that their own form gives away, under whatever name or none, replaced in bytes.

Tokens behind `Bearer` and `Basic`, JSON Web Tokens, signatures of SAS URLs, and keys whose makers put a
mark into them. Only what such a text looks like belongs here; what a field's name tells is for
`key_search`, and for `fingerprint` what a credential is replaced by.

The marks are those of Microsoft's Security Utilities (SEC101/156 and SEC101/200): 8Q~ in the secrets of Entra
applications, JQQJ9 in the keys of Azure's services, Azure OpenAI's among them.
"""

import base64
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pydantic_core import SchemaValidator, core_schema

from oai_usage_pipeline.usage.key_looks import Judge, is_any, is_credential, is_token

CREDENTIAL_HINTS = (
    r"(?:[bB]earer|BEARER)(?:\s|\\|%20)|(?:[bB]asic|BASIC)(?:\s|\\|%20)+[0-9A-Za-z+/]{8}"
    r"|eyJ[0-9A-Za-z_-]{8,}\.|sig=[0-9A-Za-z%+/\\_-]{16}|sk-[0-9A-Za-z_-]{20}|JQQJ9|8Q~"
)
"""What a text has in it that may hold one: a pattern for Rust, for the question that every event is asked."""

MARK_HINTS = (
    r"code=[0-9A-Za-z%+/\\_-]{16}|gh[opsur]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{22}|glpat-[0-9A-Za-z_-]{20}"
    r"|xox[abprs]-[0-9A-Za-z-]{16}|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}"
)
"""The same for codes in URLs, and for the marks of GitHub's, GitLab's, Slack's, Amazon's and Google's keys.

Apart from the others: with more beginnings in one pattern, Rust looks for them at a tenth of the speed."""

may_hold_credential = SchemaValidator(
    core_schema.str_schema(strict=True, pattern=f"{CREDENTIAL_HINTS}|{MARK_HINTS}")
).isinstance_python
"""Whether a text has any of the hints in it."""

_may_hold_mark = SchemaValidator(core_schema.str_schema(strict=True, pattern=MARK_HINTS)).isinstance_python

ESCAPED = rb"\\++(?:/|u00(?:2[BbFf]|3[Dd]|7[Ee]))"
"""One of + / = ~ as some writers of JSON write them."""

WIDE_SPACE = rb"(?:\xc2\xa0|\xe2\x80[\x80-\x8a\xaf]|\xe3\x80\x80|\\++u(?:00[aA]0|20(?:0[0-9aA]|2[fF])|3000))"
"""A space that isn't ASCII's, as it is or escaped: pages and documents have them where people copy tokens."""

_LONGEST_PAIR = 1024
_ESCAPES = re.compile(r"\\+(?:(/)|u00([0-9A-Fa-f]{2}))")
_GAP = rb"(?:\s|%20|\\++[nrt]|" + WIDE_SPACE + rb")++"
_TOKEN = rb"(?P<secret>(?:[0-9A-Za-z._~+/=-]++|" + ESCAPED + rb")++)"


class _Form(NamedTuple):
    """A pattern with the group `secret`, which is one if `judge` says so; `before`, what it begins with.

    Each pattern begins with its `literal`, which most bodies are asked for in vain at gigabytes a second, and
    takes no run of characters in more than one way. What stands before the literal, `width` characters, is
    therefore read backwards.
    """

    literal: bytes
    pattern: re.Pattern[bytes]
    judge: Judge = is_any
    before: re.Pattern[bytes] | None = None
    width: int = 0


def _begins_word(literal: bytes) -> bytes:
    """That the literal just read begins a word; the letter of an escape before it is none of its own."""
    escapes = (rb"\\[nrtbf]", rb"\\u[0-9A-Fa-f]{4}", rb"%[0-9A-Fa-f]{2}")
    behind = b"".join(b"|(?<=%s%s)" % (each, literal) for each in escapes)
    return b"(?:(?<![0-9A-Za-z_-]%s)%s)" % (literal, behind)


def _is_pair(value: str) -> bool:
    """Whether it is a name and a password, as `Basic` has them: many a word is base64, but of no text."""
    start = value[:_LONGEST_PAIR].rstrip("=")
    try:
        return ":" in base64.b64decode(start[: len(start) & ~3], validate=True).decode()
    except ValueError:
        return False


_FORMS = (
    _Form(b"earer", re.compile(rb"earer(?<=[bB]earer)" + _GAP + _TOKEN), is_token),
    _Form(b"EARER", re.compile(rb"EARER(?<=BEARER)" + _GAP + _TOKEN), is_token),
    _Form(b"asic", re.compile(rb"asic(?<=[bB]asic)" + _GAP + _TOKEN), _is_pair),
    _Form(b"ASIC", re.compile(rb"ASIC(?<=BASIC)" + _GAP + _TOKEN), _is_pair),
    _Form(
        b"eyJ",
        re.compile(
            rb"(?P<secret>eyJ" + _begins_word(b"eyJ") + rb"[\w-]{8,}+\.{1,2}[\w-]{8,}+(?:\.[\w-]++)*+)"
        ),
    ),
    _Form(b"sk-", re.compile(rb"(?P<secret>sk-" + _begins_word(b"sk-") + rb"[\w-]{20,}+)"), is_credential),
    _Form(
        b"sig=",
        re.compile(rb"sig=%s(?P<secret>(?:[0-9A-Za-z%%+/=_-]++|%s)++)" % (_begins_word(b"sig="), ESCAPED)),
        is_token,
    ),
    _Form(
        b"JQQJ9",
        re.compile(rb"(?P<secret>JQQJ9[9DH][0-9A-Za-z][A-L][0-9A-Za-z]{16}[A-Za-z][0-9A-Za-z]{7})"),
        before=re.compile(rb"[0-9A-Za-z]{52}"),
        width=52,
    ),
    _Form(
        b"8Q~",
        re.compile(rb"(?P<secret>8Q~[\w.~-]{34})(?![\w.~-])"),
        before=re.compile(rb"(?:(?<![\w.~-])|(?<=\\u[0-9A-Fa-f]{4}))[\w.~-]{3}"),
        width=3,
    ),
)

_MARKED = (
    _Form(
        b"code=",
        re.compile(
            rb"code=(?:(?<=[?&]code=)|(?<=amp;code=)|(?<=u0026code=)|(?<=%%26code=))"
            rb"(?P<secret>(?:[0-9A-Za-z%%+/=_~.-]++|%s)++)" % ESCAPED
        ),
        is_token,
    ),
    *(
        _Form(mark, re.compile(b"(?P<secret>" + mark + _begins_word(mark) + rest + b")"))
        for mark, rest in (
            *((b"gh%c_" % kind, rb"[0-9A-Za-z]{36,}+") for kind in b"opsur"),
            (b"github_pat_", rb"\w{22,}+"),
            (b"glpat-", rb"[\w-]{20,}+"),
            *((b"xox%c-" % kind, rb"[0-9A-Za-z-]{16,}+") for kind in b"abprs"),
            (b"AKIA", rb"[0-9A-Z]{16}(?!\w)"),
            (b"AIza", rb"[\w-]{35}(?![\w-])"),
        )
    ),
)


def without_credentials(body: bytes, mark: Callable[[str], str]) -> bytes:
    """`body` with each credential replaced by what `mark` makes of it; the time grows with the length."""
    # One question for all marks: to search for each takes as long as for all else together.
    is_marked = _may_hold_mark(body.decode("latin-1"))
    for form in (*_FORMS, *_MARKED) if is_marked else _FORMS:
        if form.literal not in body:
            continue
        pieces: list[bytes] = []
        done = 0
        for start, end in _spans(body, form):
            value = _unescaped(body[start:end])
            if start >= done and form.judge(value):
                pieces += (body[done:start], mark(value).encode())
                done = end
        if pieces:
            body = b"".join((*pieces, body[done:]))
    return body


def _spans(body: bytes, form: _Form) -> Iterator[tuple[int, int]]:
    for found in form.pattern.finditer(body):
        start = found.start("secret")
        if form.before is None:
            yield start, found.end("secret")
        elif start >= form.width and form.before.fullmatch(body, start - form.width, start):
            yield start - form.width, found.end("secret")


def _unescaped(raw: bytes) -> str:
    text = raw.decode()
    return _ESCAPES.sub(lambda each: each[1] or chr(int(each[2], 16)), text) if "\\" in text else text
