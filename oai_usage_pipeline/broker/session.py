"""A session: its links by handle, and the windows that bound transfers (part 2, section 2.5).

Belongs here: dispatching frames to links and counting transfer frames in both directions. Opening the
right kind of link for an address is left to `nodes`.
"""

from collections.abc import Callable
from typing import Protocol

from oai_usage_pipeline.broker.amqp_types import UInt, UShort
from oai_usage_pipeline.broker.decoding import Buffer
from oai_usage_pipeline.broker.errors import LinkFailed, SessionFailed
from oai_usage_pipeline.broker.frames import TransferFrames, frame
from oai_usage_pipeline.broker.link import Carrier, Link, OutgoingLink, refuse
from oai_usage_pipeline.broker.performatives import Attach, Begin, Detach, Flow, Performative, Transfer

HANDLE_MAX = 255
# Frames that a client may send before it hears from us again; link credit is the tighter bound.
INCOMING_WINDOW = 1 << 16
OUTGOING_WINDOW = UInt((1 << 31) - 1)


class Wire(Protocol):
    """What a session needs of its connection."""

    max_frame_size: int

    @property
    def may_write(self) -> bool:
        """Whether the socket takes more."""

    def write(self, pieces: list[Buffer]) -> None:
        """Write encoded frames."""

    def soon(self, link: OutgoingLink) -> None:
        """Let a link pump later."""


Opener = Callable[[Carrier, Attach], Link]


class Session:
    """One session; our channel and handles are the client's own numbers."""

    def __init__(self, wire: Wire, channel: int, begin: Begin, open_link: Opener) -> None:
        """Answer a begin; `open_link` makes the link for an attach or raises LinkFailed."""
        self._wire = wire
        self._channel = channel
        self._open_link = open_link
        # None stands for a link that we have detached and the client has not yet.
        self._links: dict[int, Link | None] = {}
        self._next_incoming = int(begin.next_outgoing_id)
        self._unannounced = 0
        self._next_outgoing = 0
        self._next_delivery = 0
        self.window = int(begin.incoming_window)
        self.send(Begin(UShort(channel), UInt(0), UInt(INCOMING_WINDOW), OUTGOING_WINDOW, UInt(HANDLE_MAX)))

    @property
    def may_write(self) -> bool:
        """Whether the socket takes more."""
        return self._wire.may_write

    def send(self, performative: Performative) -> None:
        """Send one frame on this session's channel."""
        self._wire.write([frame(performative, self._channel)])

    def soon(self, link: OutgoingLink) -> None:
        """Let a link pump later."""
        self._wire.soon(link)

    def release(self, link: Link) -> None:
        """Remember that we have detached a link."""
        self._links[link.handle] = None

    def transfer_frames(self, handle: UInt) -> TransferFrames:
        """Return the builder of a link's transfer frames."""
        return TransferFrames(self._channel, handle, self._wire.max_frame_size)

    def send_deliveries(self, frames: TransferFrames, payloads: list[Buffer]) -> None:
        """Send settled deliveries. One of several frames may overdraw the window, by itself alone."""
        pieces, count = frames.build(self._next_delivery, payloads)
        self._next_delivery = (self._next_delivery + len(payloads)) & 0xFFFFFFFF
        self._next_outgoing = (self._next_outgoing + count) & 0xFFFFFFFF
        self.window = max(0, self.window - count)
        self._wire.write(pieces)

    def send_flow(
        self, handle: UInt | None, delivery_count: int, credit: int, *, drain: bool = False
    ) -> None:
        """Send the state of the session and of a link."""
        self._unannounced = 0
        link_state = (
            () if handle is None else (handle, UInt(delivery_count & 0xFFFFFFFF), UInt(credit), None, drain)
        )
        window = (
            UInt(self._next_incoming),
            UInt(INCOMING_WINDOW),
            UInt(self._next_outgoing),
            OUTGOING_WINDOW,
        )
        self.send(Flow(*window, *link_state))

    def attach(self, attach: Attach) -> None:
        """Open a link, or refuse it."""
        if attach.handle > HANDLE_MAX:
            raise SessionFailed("amqp:not-allowed", f"Handles end at {HANDLE_MAX}.")
        if self._links.get(attach.handle) is not None:
            raise SessionFailed("amqp:session:handle-in-use", f"Handle {attach.handle} is in use.")
        try:
            self._links[attach.handle] = self._open_link(self, attach)
        except LinkFailed as fault:
            self._links[attach.handle] = None
            refuse(self, attach, fault)

    def detach(self, detach: Detach) -> None:
        """Close a link that the client detaches, or note that it has heard of ours."""
        link = self._links.pop(detach.handle, None)
        if link is not None:
            self.send(Detach(detach.handle, True))
            link.closed()

    def flow(self, flow: Flow) -> None:
        """Take the client's window, then its credit; a wider window lets all links go on."""
        seen = 0 if flow.next_incoming_id is None else flow.next_incoming_id
        self.window = max(0, flow.incoming_window - ((self._next_outgoing - seen) & 0xFFFFFFFF))
        if flow.handle is not None:
            link = self._link(flow.handle)
            if link is not None:
                self._guarded(link, lambda: link.flow(flow))
            return
        for other in self.links():
            if isinstance(other, OutgoingLink):
                other.pump()
        if flow.echo:
            self.send_flow(None, 0, 0)

    def transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Give a transfer to its link; one that we have detached loses it."""
        self._next_incoming = (self._next_incoming + 1) & 0xFFFFFFFF
        self._unannounced += 1
        link = self._link(transfer.handle)
        if link is not None:
            self._guarded(link, lambda: link.transfer(transfer, payload))
        if self._unannounced >= INCOMING_WINDOW // 2:
            self.send_flow(None, 0, 0)

    def links(self) -> list[Link]:
        """Return the links that are attached."""
        return [link for link in self._links.values() if link is not None]

    def closed(self) -> None:
        """Close all links; the session or its connection is gone."""
        for link in self.links():
            link.closed()
        self._links.clear()

    def _link(self, handle: int) -> Link | None:
        try:
            return self._links[handle]
        except KeyError:
            raise SessionFailed(
                "amqp:session:unattached-handle", f"No link is attached with handle {handle}."
            ) from None

    def _guarded(self, link: Link, action: Callable[[], None]) -> None:
        try:
            action()
        except LinkFailed as fault:
            link.fail(fault)
