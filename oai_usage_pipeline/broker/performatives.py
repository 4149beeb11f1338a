"""The performatives of AMQP 1.0 as named tuples, to and from bytes (part 2, section 2.7; SASL: part 5).

Belongs here: field lists, their types and defaults. What a performative does is decided elsewhere.
All fields are always sent, trailing nulls too: the azure-eventhub client reads them by position.
"""

from types import UnionType
from typing import ClassVar, NamedTuple, get_args

from oai_usage_pipeline.broker.amqp_types import Array, Described, Symbol, UByte, UInt, ULong, UShort
from oai_usage_pipeline.broker.decoding import Buffer, decode
from oai_usage_pipeline.broker.encoding import encode
from oai_usage_pipeline.broker.errors import AmqpError, DecodeError


class Open(NamedTuple):
    """Section 2.7.1; sizes in bytes, idle time-out in milliseconds."""

    container_id: str
    hostname: str | None = None
    max_frame_size: UInt | None = None
    channel_max: UShort | None = None
    idle_time_out: UInt | None = None
    outgoing_locales: object = None
    incoming_locales: object = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


class Begin(NamedTuple):
    """Section 2.7.2; windows in transfer frames."""

    remote_channel: UShort | None
    next_outgoing_id: UInt
    incoming_window: UInt
    outgoing_window: UInt
    handle_max: UInt | None = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


class Attach(NamedTuple):
    """Section 2.7.3; role is True for a receiver."""

    name: str
    handle: UInt
    role: bool
    snd_settle_mode: UByte | None = None
    rcv_settle_mode: UByte | None = None
    source: Described | None = None
    target: Described | None = None
    unsettled: object = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: UInt | None = None
    max_message_size: ULong | None = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


class Flow(NamedTuple):
    """Section 2.7.4; without a handle it speaks of the session only."""

    next_incoming_id: UInt | None
    incoming_window: UInt
    next_outgoing_id: UInt
    outgoing_window: UInt
    handle: UInt | None = None
    delivery_count: UInt | None = None
    link_credit: UInt | None = None
    available: UInt | None = None
    drain: bool | None = None
    echo: bool | None = None
    properties: object = None


class Transfer(NamedTuple):
    """Section 2.7.5; the payload follows it in the frame."""

    handle: UInt
    delivery_id: UInt | None = None
    delivery_tag: bytes | None = None
    message_format: UInt | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: UByte | None = None
    state: object = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


class Disposition(NamedTuple):
    """Section 2.7.6; first and last are delivery ids, both inclusive."""

    role: bool
    first: UInt
    last: UInt | None = None
    settled: bool | None = None
    state: object = None
    batchable: bool | None = None


class Detach(NamedTuple):
    """Section 2.7.7."""

    handle: UInt
    closed: bool | None = None
    error: object = None


class End(NamedTuple):
    """Section 2.7.8."""

    error: object = None


class Close(NamedTuple):
    """Section 2.7.9."""

    error: object = None


class SaslMechanisms(NamedTuple):
    """Part 5, section 5.3.3.1."""

    sasl_server_mechanisms: Array


class SaslInit(NamedTuple):
    """Part 5, section 5.3.3.2."""

    mechanism: Symbol
    initial_response: bytes | None = None
    hostname: str | None = None


class SaslOutcome(NamedTuple):
    """Part 5, section 5.3.3.5; code 0 is success, 1 a refused authentication."""

    code: UByte
    additional_data: bytes | None = None


Performative = (
    Open
    | Begin
    | Attach
    | Flow
    | Transfer
    | Disposition
    | Detach
    | End
    | Close
    | SaslMechanisms
    | SaslInit
    | SaslOutcome
)

ACCEPTED = Described(ULong(0x24), [])
SOURCE = 0x28
TARGET = 0x29


def composite(described: object, code: int, size: int) -> list[object]:
    """Return the fields of a described list, filled with nulls to `size`; an empty one for null."""
    if described is None:
        return [None] * size
    if (
        isinstance(described, Described)
        and isinstance(described.value, list)
        and described.descriptor == code
    ):
        return described.value + [None] * (size - len(described.value))
    raise DecodeError(f"a list described as 0x{code:02x} was expected")


def error(fault: AmqpError) -> Described:
    """Make the AMQP error of a fault (section 2.8.14)."""
    return Described(ULong(0x1D), [Symbol(fault.condition), fault.description, None])


def rejected(fault: AmqpError) -> Described:
    """Make the rejected outcome (part 3, section 3.4.3)."""
    return Described(ULong(0x25), [error(fault)])


def encode_performative(performative: Performative) -> bytes:
    """Encode a performative with all its fields."""
    return encode(Described(ULong(_Registry.codes[type(performative)]), list(performative)))


def decode_performative(body: Buffer) -> tuple[Performative, int]:
    """Decode the performative at the start of a frame body; returns it and where the payload starts."""
    described, end = decode(body)
    if not isinstance(described, Described) or not isinstance(described.value, list):
        raise DecodeError("a frame does not start with a performative")
    descriptor = described.descriptor
    kind = _Registry.kinds.get(descriptor) if isinstance(descriptor, ULong) else None
    if kind is None:
        raise DecodeError(f"there is no performative {descriptor!r}")
    return _checked(kind, described.value), end


def _checked(kind: type[Performative], values: list[object]) -> Performative:
    checks = _Registry.checks[kind]
    if len(values) > len(checks):
        raise DecodeError(f"{kind.__name__.lower()} has {len(checks)} fields, found {len(values)}")
    values = values + [None] * (len(checks) - len(values))
    for (name, hint), value in zip(checks, values, strict=True):
        if not isinstance(value, hint):
            raise DecodeError(
                f"{kind.__name__.lower()} has a {name} of a wrong type: {type(value).__name__.lower()}"
            )
    return kind(*values)  # type: ignore[arg-type]  # just checked, field by field


def _accepted_types(hint: object) -> tuple[type, ...]:
    members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return tuple(member for member in members if isinstance(member, type))


class _Registry:
    """Descriptor codes and field checks, taken once from the classes above."""

    kinds: ClassVar[dict[object, type[Performative]]] = {
        0x10: Open,
        0x11: Begin,
        0x12: Attach,
        0x13: Flow,
        0x14: Transfer,
        0x15: Disposition,
        0x16: Detach,
        0x17: End,
        0x18: Close,
        0x40: SaslMechanisms,
        0x41: SaslInit,
        0x44: SaslOutcome,
    }
    codes: ClassVar[dict[type, int]] = {kind: code for code, kind in kinds.items() if isinstance(code, int)}
    checks: ClassVar[dict[type, list[tuple[str, tuple[type, ...]]]]] = {}


for _kind in _Registry.codes:
    _Registry.checks[_kind] = [(name, _accepted_types(hint)) for name, hint in _kind.__annotations__.items()]
