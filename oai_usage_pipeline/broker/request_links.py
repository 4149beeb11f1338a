"""The links of request-response nodes: `$cbs` takes tokens, `$management` answers questions.

Belongs here: reading a request, finding the link for the answer and sending it. What is answered is
decided in `management`, what a token opens in `tokens`.
"""

from collections.abc import Callable
from typing import NamedTuple

from oai_usage_pipeline.broker.amqp_types import Described, Int, ULong
from oai_usage_pipeline.broker.decoding import Buffer, decode
from oai_usage_pipeline.broker.encoding import encode
from oai_usage_pipeline.broker.errors import DecodeError, DeliveryRejected
from oai_usage_pipeline.broker.link import Carrier, IncomingLink, OutgoingLink
from oai_usage_pipeline.broker.message import APPLICATION_PROPERTIES, PROPERTIES, VALUE, sections
from oai_usage_pipeline.broker.performatives import Attach

# A client that never takes its answers must not fill the memory.
MAX_PENDING = 1000
MAX_REQUEST_SIZE = 64 * 1024


class Request(NamedTuple):
    """A request message; `arguments` are its application properties."""

    message_id: object
    reply_to: object
    arguments: dict[object, object]
    body: object


class Response(NamedTuple):
    """An answer: status as in HTTP, a text, and the body."""

    status: int
    description: str
    body: object = None


Handler = Callable[[Request], Response | None]
"""None leaves the request without an answer; no honest node does."""


class ResponseLink(OutgoingLink):
    """Carries the answers of a node to the client."""

    def __init__(self, carrier: Carrier, attach: Attach, node: str, address: object) -> None:
        super().__init__(carrier, attach)
        self.node = node
        self.address = address
        self._pending: list[Buffer] = []

    def answer(self, message: bytes) -> None:
        """Send an answer, or keep it until there is credit."""
        if len(self._pending) >= MAX_PENDING:
            raise DeliveryRejected("amqp:resource-limit-exceeded", "Too many answers have not been taken.")
        self._pending.append(message)
        self.pump()

    def pump(self) -> None:
        """Send what there is credit for."""
        count = min(self.credit, self.carrier.window, len(self._pending))
        if self.attached and count:
            ready, self._pending = self._pending[:count], self._pending[count:]
            self.deliver(ready)
        if not self._pending:
            self.nothing_left()


class RequestLink(IncomingLink):
    """Takes requests to a node and answers them on the response link."""

    max_message_size = MAX_REQUEST_SIZE

    def __init__(
        self,
        carrier: Carrier,
        attach: Attach,
        handler: Handler,
        response_link: Callable[[object], ResponseLink | None],
    ) -> None:
        """`response_link` finds the link for a reply-to address."""
        super().__init__(carrier, attach)
        self._handler = handler
        self._response_link = response_link

    def receive(self, payload: bytes, message_format: int) -> None:  # noqa: ARG002 - a request is one message
        """Answer one request."""
        try:
            request = read_request(payload)
        except DecodeError as error:
            raise DeliveryRejected(error.condition, error.description) from None
        link = self._response_link(request.reply_to)
        if link is None:
            raise DeliveryRejected("amqp:not-found", "There is no link to answer on.")
        response = self._handler(request)
        if response is not None:
            link.answer(write_response(request, response))


def read_request(payload: bytes) -> Request:
    """Read a request message; raises DecodeError."""
    found: dict[int, object] = {}
    for section in sections(payload):
        found[section.code] = decode(payload, section.value)[0]
    properties, arguments = found.get(PROPERTIES), found.get(APPLICATION_PROPERTIES)
    fields = [*properties, *[None] * 5] if isinstance(properties, list) else [None] * 5
    return Request(fields[0], fields[4], arguments if isinstance(arguments, dict) else {}, found.get(VALUE))


def write_response(request: Request, response: Response) -> bytes:
    """Encode an answer; the correlation-id is the request's message-id in its exact type.

    The two nodes name the status differently (`status-code` in CBS, `statusCode` elsewhere), and
    clients look for the one or the other, so both are sent.
    """
    properties = [None] * 5 + [request.message_id]
    arguments: dict[object, object] = {
        "status-code": Int(response.status),
        "status-description": response.description,
        "statusCode": Int(response.status),
        "statusDescription": response.description,
    }
    parts = {PROPERTIES: properties, APPLICATION_PROPERTIES: arguments, VALUE: response.body}
    return b"".join(encode(Described(ULong(code), value)) for code, value in parts.items())
