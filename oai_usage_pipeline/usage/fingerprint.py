"""A caller's key becomes a fingerprint, here and nowhere else, before anything is written.

A fingerprint is keyed (HMAC-SHA256 with the pepper), so that a list of keys can't be tried against
it. Which columns there are belongs in `columns`, finding keys in unreadable bytes in `key_fields`.
"""

import hmac
import re
from collections.abc import Callable
from functools import lru_cache

from pydantic_core import from_json

from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.key_fields import scrub_key_fields, scrub_texts, searched_forms
from oai_usage_pipeline.usage.key_looks import is_gateway_key
from oai_usage_pipeline.usage.key_objects import scrub_object
from oai_usage_pipeline.usage.key_search import names_key

_REMEMBERED_KEYS = 4096
_LONGEST_REMEMBERED_KEY = 256
_Known = tuple[str, tuple[str, ...]]
"""A key's fingerprint, and the forms of the key that are searched for."""

_CHECKED = b"\0check value of this pepper"
_CHECK_BYTES = 3

_FINGERPRINT = re.compile(r"v([0-9]{1,9})-[0-9a-f]{32}")


def is_fingerprint(text: str) -> bool:
    """Whether `text` already is a fingerprint, of whatever version."""
    return _FINGERPRINT.fullmatch(text) is not None


def version_of(text: str) -> int | None:
    """The version of the pepper that a fingerprint was made with; None for a text that is none."""
    found = _FINGERPRINT.fullmatch(text)
    return int(found[1]) if found else None


class KeyFingerprint:
    """Makes fingerprints such as ``v1-9f86d081884c7d659a2feaa0c55ad015`` and removes keys from text.

    Few keys make most calls, so fingerprints are remembered, a bounded number of them.

    `previous` is the pepper before this one (its version is one less), while keys of its time are in use:
    `rotated` then gains the old fingerprint of each caller's key by the new one.
    """

    def __init__(self, pepper: bytes, version: int = 1, previous: bytes | None = None) -> None:
        if not pepper:
            raise ValueError("the pepper is empty: fingerprints could be tried against lists of keys")
        self.version = version
        self.previous = None if previous is None else KeyFingerprint(previous, version - 1)
        self.rotated: dict[str, str] = {}
        self._pepper = pepper
        self._prefix = f"v{version}-"
        self._remembered: Callable[[str], _Known] = lru_cache(maxsize=_REMEMBERED_KEYS)(self._know)

    @property
    def check_value(self) -> str:
        """Six hexadecimals that another pepper hardly has: 24 bits, too few to confirm a guess by."""
        return hmac.digest(self._pepper, _CHECKED, "sha256")[:_CHECK_BYTES].hex()

    def of(self, key: str) -> str:
        """The fingerprint of `key`, white space around it included; "" and a fingerprint stay as they are."""
        return self._known(key)[0]

    def mark(self, name: str) -> str:
        """What `of` says, of a name that is no caller's key: neither remembered nor paired."""
        if not name or is_fingerprint(name):
            return name
        return (
            self._prefix
            + hmac.digest(self._pepper, name.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]
        )

    def seal(self, envelope: Envelope) -> Envelope:
        """The envelope without its key: its own column fingerprinted, every other column scrubbed.

        Other fields and the texts may name keys of their own: those are scrubbed from all columns, too.
        Of an AppSubscriptionKey that occurs twice, only the last is known here.
        """
        event_time, key, request, response, properties, reason = envelope
        mark, forms = self._known(key) if key else (key, ())
        if self.previous is not None and key and mark and mark not in self.rotated:
            self._pair(key, mark)
        if forms and mark:
            event_time = event_time and _without(event_time, forms, mark)
            request = request and _without(request, forms, mark)
            response = response and _without(response, forms, mark)
            properties = properties and _without(properties, forms, mark)
        sealed = Envelope(event_time, mark, request, response, properties, reason)
        return (
            self._without_named(sealed) if properties or names_key(request) or names_key(response) else sealed
        )

    def scrub_unreadable(self, body: bytes) -> bytes:
        """`body` with the key of every key-like field replaced, everywhere, by its fingerprint.

        For bytes that are no readable envelope: a key may be cut off, escaped twice, or stand in
        UTF-16 text. Bodies without such a field come back as they are.
        """
        return scrub_key_fields(body, self.of)

    def _without_named(self, sealed: Envelope) -> Envelope:
        event_time, _, request, response, properties, _ = sealed
        event_time, request, response, properties = scrub_texts(
            (event_time, request, response, properties), self.of
        )
        properties = properties and self._without_fields(properties)
        return Envelope(event_time, sealed.AppSubscriptionKey, request, response, properties, sealed.reason)

    def _without_fields(self, properties: str) -> str:
        body = properties.encode("utf-8", "surrogatepass")
        scrubbed = self.scrub_unreadable(body)
        if scrubbed == body or _is_json(scrubbed) or not _is_json(body):
            return scrubbed.decode("utf-8", "surrogatepass")
        # A text that ends in a key's name had what follows taken for its value.
        return scrub_object(properties, self.of)

    def _known(self, key: str) -> _Known:
        return self._remembered(key) if len(key) <= _LONGEST_REMEMBERED_KEY else self._know(key)

    def _know(self, key: str) -> _Known:
        mark = self.mark(key)
        if mark == key:
            return key, ()
        if self.previous is not None and is_gateway_key(key):
            # It may have been logged where the caller's id belongs.
            self._pair(key, mark)
        return mark, searched_forms(key)

    def _pair(self, key: str, mark: str) -> None:
        if self.previous is not None and mark != key:
            self.rotated[mark] = self.previous.of(key)


def _without(text: str, forms: tuple[str, ...], mark: str) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, mark)
    return text


def _is_json(body: bytes) -> bool:
    try:
        from_json(body)
    except ValueError:
        return False
    return True
