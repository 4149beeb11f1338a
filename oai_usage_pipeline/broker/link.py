"""The two directions of a link: transfers that come in, transfers that go out (part 2, section 2.6).

Belongs here: handles, credit, putting a delivery together from its frames, settling it. What is done
with a delivery, and where outgoing ones come from, is for the subclasses in `event_links` and
`request_links`.
"""

from typing import Protocol

from oai_usage_pipeline.broker.amqp_types import Symbol, UByte, UInt, ULong
from oai_usage_pipeline.broker.decoding import Buffer
from oai_usage_pipeline.broker.errors import AmqpError, DeliveryRejected, LinkFailed
from oai_usage_pipeline.broker.frames import TransferFrames
from oai_usage_pipeline.broker.performatives import (
    ACCEPTED,
    Attach,
    Detach,
    Disposition,
    Flow,
    Performative,
    Transfer,
    error,
    rejected,
)

# What Event Hubs allows in its larger tiers; batches included.
MAX_MESSAGE_SIZE = 1024 * 1024
CREDIT = 1000
FIRST = UByte(0)
SETTLED = UByte(1)


class Carrier(Protocol):
    """What a link needs of its session."""

    @property
    def may_write(self) -> bool:
        """Whether the socket takes more."""

    @property
    def window(self) -> int:
        """How many transfer frames the client takes."""

    def send(self, performative: Performative) -> None:
        """Send one frame."""

    def send_flow(self, handle: UInt, delivery_count: int, credit: int, *, drain: bool = False) -> None:
        """Send a flow frame for a link."""

    def transfer_frames(self, handle: UInt) -> TransferFrames:
        """Return the builder of a link's transfer frames."""

    def send_deliveries(self, frames: TransferFrames, payloads: list[Buffer]) -> None:
        """Send settled deliveries."""

    def soon(self, link: "OutgoingLink") -> None:
        """Let the link pump when the other clients have had their turn, or the socket takes more."""

    def release(self, link: "Link") -> None:
        """The link has detached itself."""


class Link:
    """What both directions share."""

    def __init__(self, carrier: Carrier, attach: Attach) -> None:
        self.carrier = carrier
        self.name = attach.name
        self.handle = attach.handle
        self.attached = True

    def fail(self, fault: AmqpError) -> None:
        """Detach with an error."""
        if self.attached:
            self.carrier.send(Detach(self.handle, True, error(fault)))
            self.carrier.release(self)
            self.closed()

    def flow(self, flow: Flow) -> None:
        """Take a flow frame for this link."""

    def transfer(self, transfer: Transfer, payload: bytes) -> None:  # noqa: ARG002 - see IncomingLink
        """Take a transfer frame; only a receiving link gets any."""
        raise LinkFailed("amqp:not-allowed", "This link sends; it can't be sent to.")

    def closed(self) -> None:
        """Called once when the link is gone, whoever ended it."""
        self.attached = False


class IncomingLink(Link):
    """The client sends on this link."""

    max_message_size = MAX_MESSAGE_SIZE

    def __init__(self, carrier: Carrier, attach: Attach) -> None:
        super().__init__(carrier, attach)
        self._delivery_count = int(attach.initial_delivery_count or 0)
        self._credit = 0
        self._first: Transfer | None = None
        self._payload = bytearray()

    def start(self, attach: Attach) -> None:
        """Answer the attach and give credit."""
        self.carrier.send(
            attach._replace(
                role=True,
                rcv_settle_mode=FIRST,
                unsettled=None,
                incomplete_unsettled=None,
                initial_delivery_count=None,
                max_message_size=ULong(self.max_message_size),
                offered_capabilities=None,
                desired_capabilities=None,
            )
        )
        self._grant()

    def receive(self, payload: bytes, message_format: int) -> None:
        """Take a whole delivery; raises DeliveryRejected to refuse it."""
        raise NotImplementedError

    def flow(self, flow: Flow) -> None:
        """Answer a request for the state; the client's own view of credit does not matter."""
        if flow.echo:
            self._grant()

    def transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Collect the frames of a delivery; take it when the last has come."""
        first = self._first = self._first or transfer
        if transfer.aborted:
            self._finish()
            return
        self._payload += payload
        if len(self._payload) > self.max_message_size:
            raise LinkFailed(
                "amqp:link:message-size-exceeded",
                f"The received message (delivery-id:{first.delivery_id}, size:{len(self._payload)} bytes) "
                f"exceeds the limit ({self.max_message_size} bytes) currently allowed on the link.",
            )
        if not transfer.more:
            whole, message_format = bytes(self._payload), int(first.message_format or 0)
            self._finish()
            self._take(first, whole, message_format, settled=bool(first.settled or transfer.settled))

    def _take(self, first: Transfer, payload: bytes, message_format: int, *, settled: bool) -> None:
        if first.delivery_id is None:
            raise LinkFailed("amqp:invalid-field", "The first transfer of a delivery has no delivery-id.")
        try:
            self.receive(payload, message_format)
            outcome = ACCEPTED
        except DeliveryRejected as fault:
            outcome = rejected(fault)
        if not settled:
            self.carrier.send(Disposition(True, first.delivery_id, first.delivery_id, True, outcome, None))

    def _finish(self) -> None:
        self._first = None
        self._payload.clear()
        self._delivery_count += 1
        self._credit -= 1
        if self._credit <= CREDIT // 2:
            self._grant()

    def _grant(self) -> None:
        self._credit = CREDIT
        self.carrier.send_flow(self.handle, self._delivery_count, CREDIT)


class OutgoingLink(Link):
    """The client receives on this link; everything is sent settled, as Event Hubs does."""

    def __init__(self, carrier: Carrier, attach: Attach) -> None:
        super().__init__(carrier, attach)
        self._frames = carrier.transfer_frames(attach.handle)
        self._delivery_count = 0
        self._drain = False
        self.credit = 0

    def start(self, attach: Attach, offered: list[str]) -> None:
        """Answer the attach."""
        self.carrier.send(
            attach._replace(
                role=False,
                snd_settle_mode=SETTLED,
                rcv_settle_mode=FIRST,
                unsettled=None,
                incomplete_unsettled=None,
                initial_delivery_count=UInt(0),
                max_message_size=ULong(MAX_MESSAGE_SIZE),
                offered_capabilities=[Symbol(name) for name in offered] or None,
                desired_capabilities=None,
            )
        )

    def pump(self) -> None:
        """Send what there is, as far as credit, window and socket allow."""
        raise NotImplementedError

    def flow(self, flow: Flow) -> None:
        """Take new credit and go on (section 2.6.7)."""
        if flow.link_credit is not None:
            seen = self._delivery_count if flow.delivery_count is None else flow.delivery_count
            # Serial numbers wrap around at 2^32 (RFC 1982).
            self.credit = max(0, flow.link_credit - ((self._delivery_count - seen) & 0xFFFFFFFF))
        self._drain = bool(flow.drain)
        self.pump()
        if flow.echo and self.attached:
            self.carrier.send_flow(self.handle, self._delivery_count, self.credit)

    def deliver(self, payloads: list[Buffer]) -> None:
        """Send deliveries, for which there must be credit."""
        self.carrier.send_deliveries(self._frames, payloads)
        self.credit -= len(payloads)
        self._delivery_count = (self._delivery_count + len(payloads)) & 0xFFFFFFFF

    def nothing_left(self) -> None:
        """A draining client gets its credit back when nothing is left to send (section 2.6.7)."""
        if self._drain and self.credit:
            self._delivery_count = (self._delivery_count + self.credit) & 0xFFFFFFFF
            self.credit = 0
            self.carrier.send_flow(self.handle, self._delivery_count, 0, drain=True)
        self._drain = False


def refuse(carrier: Carrier, attach: Attach, fault: LinkFailed) -> None:
    """Answer an attach that can't be granted: without the terminus, and detached (section 2.6.3)."""
    answer = attach._replace(role=not attach.role, unsettled=None)
    if attach.role:
        carrier.send(answer._replace(source=None, initial_delivery_count=UInt(0)))
    else:
        carrier.send(answer._replace(target=None, initial_delivery_count=None))
    carrier.send(Detach(attach.handle, True, error(fault)))
