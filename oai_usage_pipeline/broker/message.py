"""An encoded AMQP message: its sections, and the annotations that the broker adds (part 3, section 3.2).

Belongs here: taking messages apart without decoding their bodies, and stamping them with their place
in a partition. A message is stored as it is sent to readers, so delivering it costs no encoding.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from oai_usage_pipeline.broker.amqp_types import Symbol, ULong
from oai_usage_pipeline.broker.decoding import Buffer, decode, map_span, skip
from oai_usage_pipeline.broker.encoding import encode
from oai_usage_pipeline.broker.errors import DecodeError, DeliveryRejected

HEADER = 0x70
DELIVERY_ANNOTATIONS = 0x71
MESSAGE_ANNOTATIONS = 0x72
PROPERTIES = 0x73
APPLICATION_PROPERTIES = 0x74
DATA = 0x75
SEQUENCE = 0x76
VALUE = 0x77
FOOTER = 0x78

# The message format of a batch: each data section is itself an encoded message.
BATCH_FORMAT = 0x80013700

_SECTION = b"\x00\x53"
_MAP_32 = struct.Struct(">BII")
_PLACE = struct.Struct(">q")
_SEQUENCE_NUMBER = encode(Symbol("x-opt-sequence-number")) + b"\x81"
_OFFSET = encode(Symbol("x-opt-offset"))
_ENQUEUED_TIME = encode(Symbol("x-opt-enqueued-time")) + b"\x83"
PARTITION_KEY = "x-opt-partition-key"
_PARTITION_KEY = encode(Symbol(PARTITION_KEY))
_OURS = frozenset({"x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time"})


class Section(NamedTuple):
    """A section's descriptor code, where it starts, where its value starts and where it ends."""

    code: int
    start: int
    value: int
    end: int


def sections(message: Buffer) -> Iterator[Section]:
    """Walk through the sections of an encoded message; raises DecodeError where it is none."""
    at = 0
    while at < len(message):
        start = at
        # Nearly always the descriptor is a small ulong; that needs no general decoding.
        if message[at : at + 2] == _SECTION and at + 3 < len(message):
            descriptor, at = message[at + 2], at + 3
        else:
            descriptor, at = _descriptor(message, at)
        if not HEADER <= descriptor <= FOOTER:
            raise DecodeError(f"there is no message section 0x{descriptor:02x}")
        end = skip(message, at)
        yield Section(descriptor, start, at, end)
        at = end


class Message:
    """One message of a sender, ready to be given its place in a partition."""

    def __init__(self, encoded: Buffer, partition_key: bytes | None = None) -> None:
        """Take a message apart; `partition_key` is an encoded value for messages that have none."""
        self._head: Buffer = b""
        self._annotations: list[Buffer] = []
        self._tail: Buffer = encoded
        self._take_apart(encoded)
        if partition_key is not None and not self._has(PARTITION_KEY):
            self._annotations += [_PARTITION_KEY, partition_key]

    def _take_apart(self, encoded: Buffer) -> None:
        """Bring the sections into the order of the standard, which the SDK does not always keep."""
        head, tail = list[Buffer](), list[Buffer]()
        for section in sorted(sections(encoded)):
            if section.code == MESSAGE_ANNOTATIONS:
                self._annotations = _entries(encoded, section.value)
            else:
                part = head if section.code < MESSAGE_ANNOTATIONS else tail
                part.append(encoded[section.start : section.end])
        self._head, self._tail = b"".join(head), b"".join(tail)

    def _has(self, name: str) -> bool:
        return any(decode(key)[0] == name for key in self._annotations[::2])

    def placed(self, sequence_number: int, offset: int, enqueued_ms: int) -> bytes:
        """Return the message as readers get it, with its place in the annotations."""
        place = str(offset).encode()
        entries = b"".join(
            (
                _SEQUENCE_NUMBER,
                _PLACE.pack(sequence_number),
                _OFFSET,
                b"\xa1",
                bytes((len(place),)),
                place,
                _ENQUEUED_TIME,
                _PLACE.pack(enqueued_ms),
                *self._annotations,
            )
        )
        annotations = _map_section(MESSAGE_ANNOTATIONS, 6 + len(self._annotations), entries)
        return b"".join((self._head, annotations, self._tail))


def unpack(payload: Buffer, message_format: int) -> tuple[list[Message], str | None]:
    """Return the messages of a delivery and the partition key that routes them, if any.

    Raises DeliveryRejected when a batch holds something else than messages.
    """
    try:
        key = _partition_key(payload)
        if message_format != BATCH_FORMAT:
            return [Message(payload)], _text(key)
        parts = [_binary(payload, section.value) for section in sections(payload) if section.code == DATA]
        return [Message(part, key) for part in parts], _text(key)
    except DecodeError as error:
        raise DeliveryRejected(error.condition, error.description) from None


def with_delivery_annotations(message: Buffer, entries: dict[object, object]) -> bytes:
    """Return a stored message with further delivery annotations beside those its sender set."""
    head_end, own, rest = 0, dict[object, object](), 0
    for section in sections(message):
        if section.code == HEADER:
            head_end = rest = section.end
        elif section.code == DELIVERY_ANNOTATIONS:
            value, rest = decode(message, section.value)
            own = value if isinstance(value, dict) else {}
    return b"".join((message[:head_end], delivery_annotations({**own, **entries}), message[rest:]))


def delivery_annotations(entries: dict[object, object]) -> bytes:
    """Encode a delivery annotations section."""
    return _SECTION + bytes((DELIVERY_ANNOTATIONS,)) + encode(entries)


def _map_section(code: int, count: int, entries: bytes) -> bytes:
    return _SECTION + bytes((code,)) + _MAP_32.pack(0xD1, len(entries) + 4, count) + entries


def _entries(message: Buffer, at: int) -> list[Buffer]:
    """Return the encoded keys and values of an annotations map, without those that the broker sets."""
    if message[at] == 0x40:
        return []
    count, at, _ = map_span(message, at)
    kept: list[Buffer] = []
    for _ in range(count // 2):
        name, value_at = decode(message, at)
        end = skip(message, value_at)
        if name not in _OURS:
            kept += [message[at:value_at], message[value_at:end]]
        at = end
    return kept


def _partition_key(message: Buffer) -> bytes | None:
    for section in sections(message):
        if section.code == MESSAGE_ANNOTATIONS:
            entries = _entries(message, section.value)
            for key, value in zip(entries[::2], entries[1::2], strict=True):
                if decode(key)[0] == PARTITION_KEY:
                    return bytes(value)
    return None


def _text(encoded: bytes | None) -> str | None:
    if encoded is None:
        return None
    value, _ = decode(encoded)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else None


def _descriptor(message: Buffer, at: int) -> tuple[int, int]:
    if message[at] != 0x00:
        raise DecodeError("a message has something else than sections")
    descriptor, at = decode(message, at + 1)
    if not isinstance(descriptor, ULong):
        raise DecodeError(f"there is no message section {descriptor!r}")
    return int(descriptor), at


def _binary(message: Buffer, at: int) -> Buffer:
    constructor = message[at]
    if constructor not in (0xA0, 0xB0):
        raise DecodeError("a data section holds something else than binary")
    return message[at + (2 if constructor == 0xA0 else 5) : skip(message, at)]
