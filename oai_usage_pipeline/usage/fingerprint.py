"""A caller's key becomes a fingerprint, here and nowhere else, before anything is written.

A fingerprint is keyed (HMAC-SHA256 with the pepper), so that a list of keys can't be tried against
it. What an envelope is belongs in `envelope`; finding keys in unreadable bytes in `key_fields`.
"""

import hmac
import re
from collections.abc import Callable
from functools import lru_cache

from oai_usage_pipeline.usage.envelope import Envelope
from oai_usage_pipeline.usage.key_fields import SHORTEST_CREDENTIAL, escaped_forms, scrub_key_fields

_REMEMBERED_KEYS = 4096
_LONGEST_REMEMBERED_KEY = 256
_FINGERPRINT = re.compile(r"v[0-9]{1,9}-[0-9a-f]{32}")


def is_fingerprint(text: str) -> bool:
    """Whether `text` already is a fingerprint, of whatever version."""
    return _FINGERPRINT.fullmatch(text) is not None


class KeyFingerprint:
    """Makes fingerprints such as ``v1-9f86d081884c7d659a2feaa0c55ad015`` and removes keys from text.

    Few keys make most calls, so fingerprints are remembered, a bounded number of them.
    """

    def __init__(self, pepper: bytes, version: int = 1) -> None:
        if not pepper:
            raise ValueError("the pepper is empty: fingerprints could be tried against lists of keys")
        self._pepper = pepper
        self._prefix = f"v{version}-"
        self._remembered: Callable[[str], str] = lru_cache(maxsize=_REMEMBERED_KEYS)(self._make)

    def of(self, key: str) -> str:
        """The fingerprint of `key`; an empty key and a fingerprint stay what they are."""
        return self._remembered(key) if len(key) <= _LONGEST_REMEMBERED_KEY else self._make(key)

    def seal(self, envelope: Envelope) -> Envelope:
        """The envelope without its key: its own column fingerprinted, every other column scrubbed.

        Fields that the reference does not know may carry other keys: they are scrubbed by name, too.
        """
        event_time, key, request, response, properties, reason = envelope
        if properties:
            properties = self.scrub_unreadable(properties.encode()).decode("utf-8", "replace")
            envelope = envelope._replace(properties=properties)
        if not key:
            return envelope
        mark = self.of(key)
        if len(key) < SHORTEST_CREDENTIAL or mark == key:
            return Envelope(event_time, mark, request, response, properties, reason)
        return Envelope(
            event_time and _without(event_time, key, mark),
            mark,
            request and _without(request, key, mark),
            response and _without(response, key, mark),
            properties and _without(properties, key, mark),
            reason,
        )

    def scrub(self, text: str, key: str) -> str:
        """`text` with `key` replaced by its fingerprint wherever it occurs, JSON-escaped too.

        Keys shorter than `SHORTEST_CREDENTIAL` characters are not searched for.
        """
        mark = self.of(key)
        return text if len(key) < SHORTEST_CREDENTIAL or mark == key else _without(text, key, mark)

    def scrub_unreadable(self, body: bytes) -> bytes:
        """`body` with the key of every key-like field replaced, everywhere, by its fingerprint.

        For bytes that are no readable envelope: a key may be cut off, escaped twice, or stand in
        UTF-16 text. Bodies without such a field come back as they are.
        """
        return scrub_key_fields(body, self.of)

    def _make(self, key: str) -> str:
        if not key or is_fingerprint(key):
            return key
        digest = hmac.digest(self._pepper, key.encode("utf-8", "surrogatepass"), "sha256")
        return self._prefix + digest.hex()[:32]


def _without(text: str, key: str, mark: str) -> str:
    if key in text:
        text = text.replace(key, mark)
    if not key.isalnum() or not key.isascii():
        for escaped in escaped_forms(key):
            text = text.replace(escaped, mark)
    return text
