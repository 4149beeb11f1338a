"""Which link answers an attach: addresses to hubs, partitions and request-response nodes.

Belongs here: the only place that knows every kind of link. `spoiled_connection` has the one that refuses
and spoils links on order.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable

from oai_usage_pipeline.broker.address import CBS, MANAGEMENT, entity_of, node_of
from oai_usage_pipeline.broker.errors import LinkFailed
from oai_usage_pipeline.broker.event_links import RUNTIME_METRIC, ConsumerLink, PublisherLink, names_in
from oai_usage_pipeline.broker.hub import Hub, Partition
from oai_usage_pipeline.broker.link import Carrier, Link
from oai_usage_pipeline.broker.management import Management, put_token
from oai_usage_pipeline.broker.namespace import Namespace
from oai_usage_pipeline.broker.performatives import SOURCE, TARGET, Attach, composite
from oai_usage_pipeline.broker.readers import Readers
from oai_usage_pipeline.broker.request_links import Handler, RequestLink, ResponseLink
from oai_usage_pipeline.broker.selector import Start, start_of
from oai_usage_pipeline.broker.tokens import Access

EXPIRY_INTERVAL = 10.0
_ADDRESS = 0
_FILTER = 7
_SOURCE_FIELDS = 11
_TARGET_FIELDS = 7


class Nodes:
    """Opens the links of one connection."""

    def __init__(self, namespace: Namespace, access: Access, links: Callable[[], Iterable[Link]]) -> None:
        """`links` lists the connection's links: an answer may go out on another session."""
        self._namespace = namespace
        self._access = access
        self._links = links
        self._handlers: dict[str, Handler] = {
            CBS: lambda request: put_token(request, namespace, access),
            MANAGEMENT: Management(namespace, access).answer,
        }

    def open(self, carrier: Carrier, attach: Attach) -> Link:
        """Open the link that an attach asks for; raises LinkFailed to refuse it."""
        source = composite(attach.source, SOURCE, _SOURCE_FIELDS)
        target = composite(attach.target, TARGET, _TARGET_FIELDS)
        node = node_of((source if attach.role else target)[_ADDRESS])
        if node in self._handlers:
            return self._open_node(carrier, attach, node, target[_ADDRESS])
        return (
            self._consumer(carrier, attach, node, source[_FILTER])
            if attach.role
            else self._publisher(carrier, attach, node)
        )

    def _open_node(self, carrier: Carrier, attach: Attach, node: str, reply_to: object) -> Link:
        if attach.role:
            response = ResponseLink(carrier, attach, node, reply_to)
            response.start(attach, [])
            return response
        request = RequestLink(carrier, attach, self._handlers[node], lambda to: self._response_link(node, to))
        request.start(attach)
        return request

    def _response_link(self, node: str, reply_to: object) -> ResponseLink | None:
        """Find the link for an answer: by its address if the request names one, else the newest."""
        found = [link for link in self._links() if isinstance(link, ResponseLink) and link.node == node]
        named = [link for link in found if reply_to is not None and link.address == reply_to]
        return next(reversed(named or found), None)

    def _publisher(self, carrier: Carrier, attach: Attach, node: str) -> Link:
        address = entity_of(node)
        self._access.check(node)
        hub = self._namespace.hub(address.hub)
        partition = None if address.partition_id is None else hub.partition(address.partition_id)
        link = PublisherLink(carrier, attach, hub, partition)
        link.start(attach)
        self._detach_when_expired(link, node)
        return link

    def _consumer(self, carrier: Carrier, attach: Attach, node: str, filters: object) -> Link:
        address = entity_of(node)
        self._access.check(node)
        hub = self._namespace.hub(address.hub)
        if address.group is None or address.partition_id is None:
            raise LinkFailed("amqp:not-allowed", "A receiver reads one partition in a consumer group.")
        partition = hub.partition(address.partition_id)
        readers = partition.readers[address.group.lower()]
        link = self._consumer_link(carrier, attach, hub, partition, readers, start_of(filters))
        wanted = names_in(attach.desired_capabilities)
        link.start(attach, [RUNTIME_METRIC] if RUNTIME_METRIC in wanted else [])
        self._detach_when_expired(link, node)
        return link

    def _detach_when_expired(self, link: Link, node: str) -> None:
        """Detach a link once its token has expired and no other has come."""
        remaining = self._access.expires_at(node) - time.time()
        if remaining == math.inf or not link.attached:
            return
        if remaining <= 0:
            link.fail(LinkFailed("amqp:unauthorized-access", "ExpiredToken: The token is expired."))
            return
        # Looked at from time to time, so that links that are gone aren't kept for as long as their tokens.
        interval = min(remaining, EXPIRY_INTERVAL)
        asyncio.get_running_loop().call_later(interval, self._detach_when_expired, link, node)

    def _consumer_link(
        self,
        carrier: Carrier,
        attach: Attach,
        hub: Hub,  # noqa: ARG002
        partition: Partition,
        readers: Readers,
        start: Start,
    ) -> ConsumerLink:
        return ConsumerLink(carrier, attach, partition, readers, start)
