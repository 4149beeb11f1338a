"""A connection, with its nodes, that misbehaves as ordered. For tests only.

Belongs here: silence and breaking off below the level of links, and the faults of `$cbs`, `$management`
and of attaching. What the faults on events do is for `spoiled_link`.
"""

import asyncio
import contextlib
import functools
import socket
import struct
from collections.abc import Callable, Iterable

from oai_usage_pipeline.broker.address import entity_of
from oai_usage_pipeline.broker.connection import Connection
from oai_usage_pipeline.broker.decoding import Buffer
from oai_usage_pipeline.broker.event_links import ConsumerLink
from oai_usage_pipeline.broker.fault import ATTACH, Fault
from oai_usage_pipeline.broker.hub import Hub, Partition
from oai_usage_pipeline.broker.link import Carrier, Link
from oai_usage_pipeline.broker.misbehaviour import Misbehaviour
from oai_usage_pipeline.broker.namespace import Namespace
from oai_usage_pipeline.broker.nodes import Nodes
from oai_usage_pipeline.broker.performatives import Attach
from oai_usage_pipeline.broker.readers import Readers
from oai_usage_pipeline.broker.request_links import Handler, Request, Response
from oai_usage_pipeline.broker.selector import Start
from oai_usage_pipeline.broker.spoiled_link import LINK_FAULTS, SpoiledLink
from oai_usage_pipeline.broker.tokens import Access, SasKey

STATUS = {"server-busy": 503, "refused": 401}


class SpoiledConnection(Connection):
    """Opens spoiled links; may fall silent when it is made, and break off in the middle of a frame."""

    def __init__(
        self,
        namespace: Namespace,
        key: SasKey | None,
        on_closed: Callable[[Connection], None],
        misbehaviour: Misbehaviour,
    ) -> None:
        self._misbehaviour = misbehaviour
        self._namespace = namespace
        self._is_silent = False
        self._breaks_off = False
        super().__init__(namespace, key, on_closed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket, perhaps in silence."""
        super().connection_made(transport)
        self._is_silent = bool(self._misbehaviour.at_connect(self._namespace))

    def data_received(self, data: bytes) -> None:
        """Understand what has come, or don't care."""
        if not self._is_silent:
            super().data_received(data)

    def write(self, pieces: list[Buffer]) -> None:
        """Write, or only the first half before the socket is reset."""
        if self._breaks_off and pieces:
            whole = b"".join(pieces)
            super().write([whole[: len(whole) // 2]])
            self._reset()
        else:
            super().write(pieces)

    def break_off(self) -> None:
        """Reset the connection in the middle of what is written next."""
        self._breaks_off = True

    def _open_nodes(self, namespace: Namespace, access: Access, links: Callable[[], Iterable[Link]]) -> Nodes:
        return SpoiledNodes(namespace, access, links, self._misbehaviour, self)

    def _reset(self) -> None:
        """Close with RST: the client finds its connection gone, not ended."""
        with contextlib.suppress(OSError):
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self.abort()


class SpoiledNodes(Nodes):
    """Answers, refuses or keeps silent as ordered."""

    def __init__(
        self,
        namespace: Namespace,
        access: Access,
        links: Callable[[], Iterable[Link]],
        misbehaviour: Misbehaviour,
        wire: SpoiledConnection,
    ) -> None:
        super().__init__(namespace, access, links)
        self._misbehaviour = misbehaviour
        self._wire = wire
        self._handlers = {
            node: functools.partial(self._answer, node, handler) for node, handler in self._handlers.items()
        }

    def _answer(self, node: str, handler: Handler, request: Request) -> Response | None:
        for fault in self._misbehaviour.due(node):
            if fault.kind == "silence":
                return None
            return Response(STATUS[fault.kind], LINK_FAULTS[fault.kind].description)
        return handler(request)

    def _consumer(self, carrier: Carrier, attach: Attach, node: str, filters: object) -> Link:
        for fault in self._misbehaviour.due(ATTACH, entity_of(node).partition_id or ""):
            return self._spoiled_attach(carrier, attach, fault)
        return super()._consumer(carrier, attach, node, filters)

    def _spoiled_attach(self, carrier: Carrier, attach: Attach, fault: Fault) -> Link:
        if fault.kind == "silence":
            # A link that never answers its attach.
            return Link(carrier, attach)
        raise LINK_FAULTS[fault.kind]

    def _consumer_link(
        self, carrier: Carrier, attach: Attach, hub: Hub, partition: Partition, readers: Readers, start: Start
    ) -> ConsumerLink:
        return SpoiledLink(
            carrier,
            attach,
            partition,
            readers,
            start,
            hub=hub,
            misbehaviour=self._misbehaviour,
            wire=self._wire,
        )
