"""Shared access signatures: who holds the key may come in, for as long as the token says.

Belongs here: checking tokens and remembering, per connection, what they opened. The form is that of
"Authenticate access to Event Hubs with shared access signatures" (Microsoft Learn): a base64
HMAC-SHA256 over the URL-encoded resource, a newline and the expiry in seconds.
"""

import base64
import hashlib
import hmac
import math
import time
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from oai_usage_pipeline.broker.errors import LinkFailed

SAS_TYPE = "servicebus.windows.net:sastoken"


class SasKey(NamedTuple):
    """A shared access policy: its name and its key."""

    name: str
    key: str


class Refusal(Exception):
    """A token is not accepted; the text says why and never holds the token."""


class Access:
    """What one connection may use. Without a key every token, and none, opens everything."""

    def __init__(self, key: SasKey | None) -> None:
        self._key = key
        self._granted: dict[str, float] = {}

    def grant(self, token: object, token_type: object) -> None:
        """Check a token and remember what it opens; raises Refusal."""
        if self._key is None:
            return
        if token_type != SAS_TYPE or not isinstance(token, str):
            raise Refusal("InvalidTokenType: this broker accepts shared access signatures only.")
        resource, expires_at = _verified(token, self._key)
        self._granted[resource] = expires_at

    def expires_at(self, entity: str) -> float:
        """Until when (seconds since 1970) tokens open this entity (a path such as `hub`); 0 if none does."""
        if self._key is None:
            return math.inf
        path = entity.lower()
        return max(
            (
                expires_at
                for resource, expires_at in self._granted.items()
                if not resource or path == resource or path.startswith(resource + "/")
            ),
            default=0.0,
        )

    def check(self, entity: str) -> None:
        """Raise LinkFailed unless a valid token covers this entity."""
        if self.expires_at(entity) > time.time():
            return
        raise LinkFailed(
            "amqp:unauthorized-access",
            f"Unauthorized access: a valid token for {entity[:300]!r} is required.",
        )


def _verified(token: str, key: SasKey) -> tuple[str, float]:
    scheme, _, fields = token.partition(" ")
    parts = dict(field.split("=", 1) for field in fields.split("&") if "=" in field)
    if scheme != "SharedAccessSignature" or not parts.keys() >= {"sr", "sig", "se", "skn"}:
        raise Refusal("MalformedToken: a shared access signature has sr, sig, se and skn.")
    signed = f"{parts['sr']}\n{parts['se']}".encode()
    expected = base64.b64encode(hmac.digest(key.key.encode(), signed, hashlib.sha256))
    given = unquote(parts["sig"]).encode("utf-8", "replace")
    if unquote(parts["skn"]) != key.name or not hmac.compare_digest(expected, given):
        raise Refusal("InvalidSignature: The token has an invalid signature.")
    if not parts["se"].isdecimal() or float(parts["se"]) <= time.time():
        raise Refusal("ExpiredToken: The token is expired.")
    return urlsplit(unquote(parts["sr"])).path.strip("/").lower(), float(parts["se"])
