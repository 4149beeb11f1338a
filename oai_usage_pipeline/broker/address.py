"""What the address of a link names: a hub, one of its partitions, a consumer group.

Belongs here: taking addresses apart. Whether the thing exists is the hub's business.
"""

import re
from typing import NamedTuple

from oai_usage_pipeline.broker.errors import LinkFailed

CBS = "$cbs"
MANAGEMENT = "$management"

_SCHEME_AND_HOST = re.compile(r"^[a-z]+://[^/]*/?", re.IGNORECASE)
_ENTITY = re.compile(
    r"(?P<hub>[^/]+)"
    r"(?:/ConsumerGroups/(?P<group>[^/]+))?"
    r"(?:/Partitions/(?P<partition>[^/]+)|/Publishers/(?P<publisher>[^/]+))?/?",
    re.IGNORECASE,
)


class Address(NamedTuple):
    """The parts of an entity's address that are there."""

    hub: str
    group: str | None
    partition_id: str | None


def node_of(address: object) -> str:
    """Return the path of an address, without scheme and host; raises LinkFailed when there is none."""
    if not isinstance(address, str):
        raise LinkFailed("amqp:invalid-field", "The link has no address.")
    return _SCHEME_AND_HOST.sub("", address).lstrip("/")


def entity_of(node: str) -> Address:
    """Take the path of a hub, partition or consumer group apart."""
    match = _ENTITY.fullmatch(node)
    if match is None:
        raise LinkFailed("amqp:not-found", f"The messaging entity {node[:300]!r} could not be found.")
    return Address(match["hub"], match["group"], match["partition"])
