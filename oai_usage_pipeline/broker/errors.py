"""What can go wrong in the broker, sorted by what ends because of it.

Belongs here: types only. `BrokerError` is for the person who starts the broker; the others travel
to a client as an AMQP error (OASIS AMQP 1.0, part 2, section 2.8.14).
"""


class BrokerError(Exception):
    """The broker can't start or can't use its data folder; the message says what to do."""


class AmqpError(Exception):
    """An error with an AMQP condition; the subclass says which endpoint it ends."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description


class ConnectionFailed(AmqpError):
    """Ends the connection."""


class SessionFailed(AmqpError):
    """Ends the session; the connection goes on."""


class LinkFailed(AmqpError):
    """Detaches the link; the session goes on."""


class DeliveryRejected(AmqpError):
    """Settles one delivery as rejected; the link goes on."""


class DecodeError(ConnectionFailed):
    """Bytes that are no AMQP 1.0 encoding of what was expected there."""

    def __init__(self, description: str) -> None:
        super().__init__("amqp:decode-error", description)


class FramingError(ConnectionFailed):
    """A frame with a size, offset or type that can't be right."""

    def __init__(self, description: str) -> None:
        super().__init__("amqp:connection:framing-error", description)
