"""Quotes that a writer of JSON escaped by their number, written as others write them.

.NET's own writer makes ``\\u0022`` and ``\\u0027`` of the quotes in a text. Only their usual form belongs
here, so that whoever reads JSON within JSON needs to know no other; what stands between quotes is for
`key_search`.
"""

import re

_MAY_BE = (b"u0022", b"u0027")
_ESCAPED = re.compile(rb"(?<!\\)(\\++)u002([27])")


def with_plain_quotes(body: bytes) -> bytes:
    """The bytes with ``\\"`` and ``'`` in place of their numbers; JSON that says the same, at any depth.

    Bytes without any come back as they are, the same object.
    """
    return _ESCAPED.sub(_plain, body) if any(each in body for each in _MAY_BE) else body


def _plain(escaped: re.Match[bytes]) -> bytes:
    run = len(escaped[1])
    # What is read is halved, until one backslash of an odd number is the escape's own: at that depth.
    depth = run & -run
    return b"\\" * (run + depth - 1) + b'"' if escaped[2] == b"2" else b"\\" * (run - depth) + b"'"
