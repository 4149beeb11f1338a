"""A client that says exactly what a test wants it to say, right or wrong.

Belongs here: a bare socket with the frames of an opening conversation. Not an AMQP client.
"""

import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from oai_usage_pipeline.broker.amqp_types import Described, Symbol, UInt, ULong
from oai_usage_pipeline.broker.encoding import encode
from oai_usage_pipeline.broker.frames import (
    AMQP_HEADER,
    SASL_FRAME,
    SASL_HEADER,
    Inbox,
    frame,
)
from oai_usage_pipeline.broker.performatives import (
    SOURCE,
    TARGET,
    Attach,
    Begin,
    Disposition,
    Flow,
    Open,
    Performative,
    SaslInit,
    Transfer,
    decode_performative,
)


class RawClient:
    """A socket to the broker; `opened` takes it through header, SASL and open."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._inbox = Inbox()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def opened(self) -> Self:
        self.send(SASL_HEADER)
        self.read_header()
        self.send(frame(SaslInit(Symbol("ANONYMOUS")), kind=SASL_FRAME))
        self.read()
        self.read()
        self.send(AMQP_HEADER)
        self.read_header()
        self.perform(Open("raw"))
        self.read()
        return self

    def begun(self) -> Self:
        self.opened().perform(Begin(None, UInt(0), UInt(5000), UInt(5000)), channel=1)
        self.read()
        return self

    def attach_publisher(self, hub: str, handle: int = 0) -> Performative:
        target = Described(ULong(TARGET), [f"{hub}/Partitions/0"])
        source = Described(ULong(SOURCE), ["me"])
        self.perform(
            Attach("out", UInt(handle), False, source=source, target=target, initial_delivery_count=UInt(0)),
            channel=1,
        )
        return self.read()

    def attach_consumer(self, hub: str, credit: int, handle: int = 1, window: int = 5000) -> Performative:
        source = Described(ULong(SOURCE), [f"{hub}/ConsumerGroups/$Default/Partitions/0"])
        self.perform(
            Attach("in", UInt(handle), True, source=source, target=Described(ULong(TARGET), ["me"])),
            channel=1,
        )
        answer = self.read()
        self.flow(credit, handle, window)
        return answer

    def flow(
        self, credit: int, handle: int = 1, window: int = 5000, *, drain: bool = False, count: int = 0
    ) -> None:
        state = Flow(
            UInt(count),
            UInt(window),
            UInt(0),
            UInt(5000),
            UInt(handle),
            UInt(count),
            UInt(credit),
            None,
            drain,
        )
        self.perform(state, channel=1)

    def perform(self, performative: Performative, channel: int = 0, payload: bytes = b"") -> None:
        self.send(frame(performative, channel, payload=payload))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self) -> Performative:
        """The next performative; raises EOFError when the broker has closed the connection."""
        while (received := self._inbox.take_frame()) is None:
            self._more()
        return decode_performative(received.body)[0]

    def read_header(self) -> bytes:
        while (header := self._inbox.take_header()) is None:
            self._more()
        return header

    def is_closed_by_broker(self) -> bool:
        """Read until the broker closes the connection; times out (an error) when it does not."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionError):
            return True

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError
        self._inbox.feed(data)


def put(port: int, hub: str, bodies: Sequence[str]) -> None:
    """Put events into partition 0, each acknowledged, much faster than the SDK opens its links."""
    with RawClient(port) as client:
        client.begun().attach_publisher(hub)
        client.read()
        for number, body in enumerate(bodies):
            section = encode(Described(ULong(0x75), body.encode()))
            transfer = Transfer(UInt(0), UInt(number), b"%d" % number, UInt(0), False)
            client.perform(transfer, channel=1, payload=section)
            # New credit may come in between.
            while not isinstance(client.read(), Disposition):
                pass
