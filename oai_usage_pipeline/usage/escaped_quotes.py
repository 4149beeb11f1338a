"""Quotes that a writer of JSON escaped by their number, written as others write them.

.NET's own writer makes ``\\u0022`` and ``\\u0027`` of the quotes in a text. Only their usual form, and where
they stood, belongs here, so that whoever reads JSON within JSON needs to know no other; what stands between
quotes is for `key_search`.
"""

import re
from bisect import bisect_right
from typing import NamedTuple

_MAY_BE = (b"u0022", b"u0027")
_ESCAPED = re.compile(rb"(?<!\\)(\\++)u002([27])")


class _Quote(NamedTuple):
    """A quote with its backslashes: where it stands, and where it stood; the first `same` bytes are one."""

    start: int
    end: int
    stood: int
    until: int
    same: int


class PlainQuotes:
    """`text`: the bytes with ``\\"`` and ``'`` in place of their numbers, at any depth of escaping.

    To be searched, not kept: JSON within it that says ``\\u0027`` itself says ``'`` there.
    """

    def __init__(self, body: bytes) -> None:
        self.text = body
        self._quotes: list[_Quote] = []
        if any(each in body for each in _MAY_BE):
            self._write_plainly(body)

    def place(self, position: int) -> int:
        """Where in the bytes given what stands at `position` of `text` stood."""
        index = bisect_right(self._quotes, position, key=_start_of) - 1
        if index < 0:
            return position
        quote = self._quotes[index]
        if position >= quote.end:
            return position - quote.end + quote.until
        return quote.stood + min(position - quote.start, quote.same)

    def _write_plainly(self, body: bytes) -> None:
        pieces: list[bytes] = []
        done = length = 0
        for found in _ESCAPED.finditer(body):
            run = len(found[1])
            # What is read is halved, until one backslash of an odd number is the escape's own: at that depth.
            depth = run & -run
            plain = b"\\" * (run + depth - 1) + b'"' if found[2] == b"2" else b"\\" * (run - depth) + b"'"
            start = length + found.start() - done
            length = start + len(plain)
            pieces += (body[done : found.start()], plain)
            self._quotes.append(_Quote(start, length, found.start(), found.end(), run - depth))
            done = found.end()
        self.text = b"".join((*pieces, body[done:]))


def _start_of(quote: _Quote) -> int:
    return quote.start
