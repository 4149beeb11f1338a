"""What looks like a caller's key: such a text is refused in reference files and never shown.

Belongs here: telling, and hiding it in messages. Making fingerprints of keys belongs in `usage`.
"""

import re

FINGERPRINT = re.compile(r"v[0-9]{1,9}-[0-9a-f]{32}")
"""As `usage` makes them of keys; a test holds the two together."""

_TOKEN = re.compile(r"[A-Za-z0-9+/_=-]{32,}")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{32}")
_PADDED = re.compile(r"[A-Za-z0-9+/_-]{30,}={1,2}")
# Ids and names are words with hyphens, 24 hexadecimals or GUIDs: none is so long without a hyphen.
_LONG = re.compile(r"(?=[a-zA-Z]*[0-9])(?=[0-9]*[a-zA-Z])[A-Za-z0-9]{32,}")
_ALL_KINDS = re.compile(r"(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])")
_CHANGE = re.compile(r"[a-z](?=[A-Z0-9])|[A-Z](?=[a-z0-9])|[0-9](?=[A-Za-z])")
_MOST_CHANGES_OF_WORDS = 0.4
"""Share of characters that another kind follows: 0.64 where chance mixes them, about 0.3 in names."""

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
    return any(form.search(token) for form in (_HEXADECIMAL, _PADDED, _LONG)) or _is_mixed(token)


def _is_mixed(token: str) -> bool:
    characters = re.sub(r"[^A-Za-z0-9]", "", token)
    changes = len(_CHANGE.findall(characters))
    return bool(_ALL_KINDS.match(characters)) and changes > _MOST_CHANGES_OF_WORDS * len(characters)
