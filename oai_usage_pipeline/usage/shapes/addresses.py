"""What the address of a call tells: the deployment and the api-version."""

import re

_DEPLOYMENT = re.compile(r"/deployments/([^/?#]+)")
_API_VERSION = re.compile(r"[?&]api-version=([^&#]+)")


def deployment_in(address: str | None) -> str | None:
    """The deployment that a path or URL names; None for APIs that name it in the body."""
    return _found(_DEPLOYMENT, address)


def api_version_in(address: str | None) -> str | None:
    """The api-version that a URL asks for."""
    return _found(_API_VERSION, address)


def _found(pattern: re.Pattern[str], address: str | None) -> str | None:
    match = pattern.search(address or "")
    return match[1] if match else None
