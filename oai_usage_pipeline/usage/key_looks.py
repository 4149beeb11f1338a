"""What a key looks like, for fields whose names alone don't tell that they hold one.

Only judging a value belongs here; where such fields stand is for `key_search`.
"""

import re
from collections.abc import Callable

Judge = Callable[[str], bool]
"""Whether the value of a field is a key."""

# The gateway makes keys of 32 hexadecimals, and ids of 24; names have dashes, and paths slashes, so that
# those of base64 count only where its padding follows.
_GATEWAY_KEY = re.compile(
    r"\s*(?:[0-9a-fA-F]{32}|(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])"
    r"(?:[A-Za-z0-9+]{32,}|[A-Za-z0-9+/_-]{32,}={1,2}))\s*"
)
# Eight letters and digits in a row, both of them: no word, no model's name, no number such as 1e-07.
_LONGEST_LOOK = 4096
_SHORTEST_TOKEN = 16
_CREDENTIAL = re.compile(r"(?=[0-9A-Za-z]{8})(?=[A-Za-z]{0,64}[0-9])(?=[0-9eE]{0,64}[A-DF-Za-df-z])")
# Slashes are in base64, which mixes cases and digits; what begins with one is a path.
_PASSWORD = re.compile(
    r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[\w!@#$%^&*?+=.~-]{8,128}"
    r"|(?=[^0-9]*[0-9])(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9+][A-Za-z0-9+/]{15,127}={0,2}",
    re.ASCII,
)


def is_any(value: str) -> bool:
    """For names that only keys have: whatever the value is."""
    del value
    return True


def is_gateway_key(value: str) -> bool:
    """For fields of ids, where a key may be logged by mistake: whether it is of the form of API Management's.

    Its own ids, names, paths and GUIDs are not.
    """
    return _GATEWAY_KEY.fullmatch(value) is not None


def is_credential(value: str) -> bool:
    """For names that databases have, too: whether it mixes letters and digits as no word does."""
    return _CREDENTIAL.search(value, 0, _LONGEST_LOOK) is not None


def is_token(value: str) -> bool:
    """Where words stand as often as keys: whether it is a credential of 16 characters or more."""
    return len(value) >= _SHORTEST_TOKEN and is_credential(value)


def is_password(value: str) -> bool:
    """For names that programs have, too: whether it is one word of letters and digits, signs among them.

    A password that is a plain word, or shorter than that, can't be told from a type or a variable.
    """
    return _PASSWORD.fullmatch(value) is not None
