"""One client's connection: headers, SASL, open and close, and its sessions (part 2, section 2.4).

Belongs here: the bytes of one socket and what ends it. A client can end its own connection with
whatever it sends, never the broker.
"""

import asyncio
import logging
import socket
import uuid
from collections.abc import Callable, Iterable
from typing import cast

from oai_usage_pipeline.broker.amqp_types import UByte, UInt, UShort
from oai_usage_pipeline.broker.decoding import Buffer
from oai_usage_pipeline.broker.encoding import symbols
from oai_usage_pipeline.broker.errors import AmqpError, ConnectionFailed, FramingError, SessionFailed
from oai_usage_pipeline.broker.frames import (
    AMQP_HEADER,
    EMPTY_FRAME,
    MAX_FRAME_SIZE,
    SASL_FRAME,
    SASL_HEADER,
    Frame,
    Inbox,
    frame,
)
from oai_usage_pipeline.broker.link import Link, OutgoingLink
from oai_usage_pipeline.broker.namespace import Namespace
from oai_usage_pipeline.broker.nodes import Nodes
from oai_usage_pipeline.broker.performatives import (
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Transfer,
    decode_performative,
    error,
)
from oai_usage_pipeline.broker.session import Session
from oai_usage_pipeline.broker.tokens import Access, SasKey

CHANNEL_MAX = 255
MECHANISMS = ("MSSBCBS", "ANONYMOUS")
# The smallest frame size that both sides must support (section 2.7.1).
MIN_MAX_FRAME_SIZE = 512
# Seconds; a client can't make the broker spin.
MIN_HEARTBEAT = 0.05
# Beyond this, readers wait until the client has taken something.
WRITE_BUFFER = 1024 * 1024

_LOG = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """The protocol of one socket. Everything runs in the event loop's thread, without tasks."""

    def __init__(
        self, namespace: Namespace, key: SasKey | None, on_closed: Callable[["Connection"], None]
    ) -> None:
        self.max_frame_size = MAX_FRAME_SIZE
        self.may_write = True
        self._on_closed = on_closed
        self._nodes = self._open_nodes(
            namespace, Access(key), lambda: (link for s in self._sessions.values() for link in s.links())
        )
        self._inbox = Inbox()
        self._expected = self._on_header
        self._opened = False
        self._sessions: dict[int, Session] = {}
        self._ended: set[int] = set()
        self._paused: dict[OutgoingLink, None] = {}
        self._soon: dict[OutgoingLink, None] = {}
        self._heartbeat: asyncio.TimerHandle | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._loop = asyncio.get_running_loop()
        sock = self._transport.get_extra_info("socket")
        # A host that vanished without a word is noticed by the kernel.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended does not matter
        """Let go of everything the client had."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        for session in self._sessions.values():
            session.closed()
        self._sessions.clear()
        self._on_closed(self)

    def data_received(self, data: bytes) -> None:
        """Understand what has come; whatever is wrong with it ends this connection only."""
        self._inbox.feed(data)
        self._guarded(self._understand)

    def eof_received(self) -> None:
        """A client that has stopped sending is done; returning None closes the socket."""

    def pause_writing(self) -> None:
        """The client does not keep up: answers to what it sends would fill the memory, so it waits too."""
        self.may_write = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has taken something: let the waiting links go on."""
        self.may_write = True
        self._transport.resume_reading()
        paused, self._paused = self._paused, {}
        for link in paused:
            self.soon(link)

    # What sessions and the server call.

    def write(self, pieces: list[Buffer]) -> None:
        """Write encoded frames in one go."""
        if not self._transport.is_closing():
            self._transport.write(b"".join(pieces))

    def soon(self, link: OutgoingLink) -> None:
        """Let a link pump in the event loop's next turn, or once the socket takes more."""
        if not self.may_write:
            self._paused[link] = None
        elif link not in self._soon:
            self._soon[link] = None
            self._loop.call_soon(self._pump, link)

    def close(self, fault: AmqpError | None = None) -> None:
        """Say goodbye and close the socket once that is written."""
        if self._opened:
            self.write([frame(Close(None if fault is None else error(fault)))])
        self._transport.close()

    def abort(self) -> None:
        """Close the socket at once, whatever the client has not taken yet."""
        self._transport.abort()

    # How it goes on from header to header and frame to frame.

    def _open_nodes(self, namespace: Namespace, access: Access, links: Callable[[], Iterable[Link]]) -> Nodes:
        return Nodes(namespace, access, links)

    def _pump(self, link: OutgoingLink) -> None:
        del self._soon[link]
        self._guarded(link.pump)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except AmqpError as fault:
            _LOG.info("closing a connection: %s", fault)
            self.close(fault)
        except Exception:  # noqa: BLE001 - one client's frames must not end the others
            _LOG.exception("closing a connection after an internal error")
            self.close(ConnectionFailed("amqp:internal-error", "The broker failed on this connection."))

    def _understand(self) -> None:
        while not self._transport.is_closing() and self._expected():
            pass

    def _on_header(self) -> bool:
        header = self._inbox.take_header()
        if header == SASL_HEADER:
            self.write([SASL_HEADER, frame(SaslMechanisms(symbols(*MECHANISMS)), kind=SASL_FRAME)])
            self._expected = self._on_sasl
        elif header == AMQP_HEADER:
            self.write([AMQP_HEADER])
            self._expected = self._on_frame
        elif header is not None:
            # Section 2.2: answer with a header that we do speak, and close.
            self.write([SASL_HEADER])
            self._transport.close()
        return header is not None

    def _on_sasl(self) -> bool:
        received = self._inbox.take_frame()
        if received is None:
            return False
        init, _ = decode_performative(received.body)
        if received.kind != SASL_FRAME or not isinstance(init, SaslInit):
            raise FramingError("a SASL init was expected")
        refused = init.mechanism not in MECHANISMS
        self.write([frame(SaslOutcome(UByte(1 if refused else 0)), kind=SASL_FRAME)])
        if refused:
            self._transport.close()
        self._expected = self._on_header
        return True

    def _on_frame(self) -> bool:
        received = self._inbox.take_frame()
        if received is None:
            return False
        if received.body:
            performative, payload_at = decode_performative(received.body)
            self._on_performative(received, performative, payload_at)
        return True

    def _on_performative(self, received: Frame, performative: Performative, payload_at: int) -> None:
        if isinstance(performative, Open) and not self._opened:
            self._on_open(performative)
        elif not self._opened or received.kind == SASL_FRAME or isinstance(performative, Open):
            raise ConnectionFailed(
                "amqp:not-allowed", f"{type(performative).__name__.lower()} can't come here"
            )
        elif isinstance(performative, Close):
            self.close()
        elif isinstance(performative, Begin):
            self._on_begin(received.channel, performative)
        else:
            self._on_session(received, performative, payload_at)

    def _on_open(self, opened: Open) -> None:
        if opened.max_frame_size is not None:
            if opened.max_frame_size < MIN_MAX_FRAME_SIZE:
                raise ConnectionFailed("amqp:invalid-field", f"max-frame-size is below {MIN_MAX_FRAME_SIZE}")
            self.max_frame_size = min(MAX_FRAME_SIZE, opened.max_frame_size)
        if opened.idle_time_out:
            self._beat(max(MIN_HEARTBEAT, opened.idle_time_out / 1000 / 2))
        self._opened = True
        answer = Open(f"broker-{uuid.uuid4().hex}", None, UInt(MAX_FRAME_SIZE), UShort(CHANNEL_MAX))
        self.write([frame(answer)])

    def _beat(self, interval: float) -> None:
        """Send an empty frame twice in the client's idle time-out (section 2.4.5)."""
        if self._opened:
            self.write([EMPTY_FRAME])
        self._heartbeat = self._loop.call_later(interval, self._beat, interval)

    def _on_begin(self, channel: int, begin: Begin) -> None:
        if channel > CHANNEL_MAX or channel in self._sessions:
            raise ConnectionFailed("amqp:not-allowed", f"a session can't begin on channel {channel}")
        self._ended.discard(channel)
        self._sessions[channel] = Session(self, channel, begin, self._nodes.open)

    def _on_session(self, received: Frame, performative: Performative, payload_at: int) -> None:
        channel = received.channel
        session = self._sessions.get(channel)
        if session is None:
            # The azure-eventhub client detaches its links after it has ended their session.
            if channel not in self._ended:
                raise ConnectionFailed("amqp:not-allowed", f"there is no session on channel {channel}")
            return
        try:
            self._dispatch(session, performative, received.body[payload_at:])
        except SessionFailed as fault:
            self._end(channel, session, fault)
            return
        if isinstance(performative, End):
            self._end(channel, session, None)

    def _dispatch(self, session: Session, performative: Performative, payload: bytes) -> None:
        match performative:
            case Transfer():
                session.transfer(performative, payload)
            case Flow():
                session.flow(performative)
            case Attach():
                session.attach(performative)
            case Detach():
                session.detach(performative)
            case Disposition() | End():
                # Everything is sent settled, so there is nothing for a disposition to settle.
                pass
            case _:
                raise ConnectionFailed("amqp:not-allowed", f"{type(performative).__name__} can't come here")

    def _end(self, channel: int, session: Session, fault: SessionFailed | None) -> None:
        session.send(End(None if fault is None else error(fault)))
        session.closed()
        del self._sessions[channel]
        self._ended.add(channel)
