"""What looks like a caller's key: such a text is refused in reference files and never shown.

Belongs here: telling, and hiding it in messages. Making fingerprints of keys belongs in `usage`.
"""

import re

FINGERPRINT = re.compile(r"v[0-9]{1,9}-[0-9a-f]{32}")
"""As `usage` makes them of keys; a test holds the two together."""

_TOKEN = re.compile(r"[A-Za-z0-9+/_=-]{32,}")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{32}")
_PADDED = re.compile(r"[A-Za-z0-9+/_-]{30,}={1,2}")
# Ids and names are words with hyphens, 24 hexadecimals or GUIDs: none has such a stretch.
_MIXED = re.compile(r"(?=[a-zA-Z]*[0-9])(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{16,}")
_LONG = re.compile(r"(?=[a-zA-Z]*[0-9])(?=[0-9]*[a-zA-Z])[A-Za-z0-9]{32,}")
_HIDDEN = "<something like a key, not shown>"


def looks_like_key(text: str) -> bool:
    """Whether a word of `text` holds 32 hexadecimals in a row, or is 32 characters and more of base64."""
    return any(_is_key(token) for token in _TOKEN.findall(text))


def without_keys(text: str) -> str:
    """`text` as a message may show it: each word that looks like a key is hidden."""
    return _TOKEN.sub(lambda found: _HIDDEN if _is_key(found[0]) else found[0], text)


def _is_key(token: str) -> bool:
    if FINGERPRINT.fullmatch(token):
        return False
    return any(form.search(token) for form in (_HEXADECIMAL, _PADDED, _MIXED, _LONG))
