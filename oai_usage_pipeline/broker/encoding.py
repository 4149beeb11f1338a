"""Python values to AMQP bytes (OASIS AMQP 1.0, part 1, section 1.6).

Belongs here: the encoding of single values. Which fields a performative has is not known here.
"""

import struct
import uuid
from collections.abc import Callable, Iterable

from oai_usage_pipeline.broker.amqp_types import (
    Array,
    Byte,
    Described,
    Int,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)

_U16 = struct.Struct(">BH")
_U32 = struct.Struct(">BI")
_U64 = struct.Struct(">BQ")
_I16 = struct.Struct(">Bh")
_I32 = struct.Struct(">Bi")
_I64 = struct.Struct(">Bq")
_DOUBLE = struct.Struct(">Bd")
_COMPOUND_32 = struct.Struct(">BII")


def encode(value: object) -> bytes:
    """Encode one value with its constructor; raises TypeError for a type that AMQP does not have."""
    try:
        encoder = _ENCODERS[type(value)]
    except KeyError:
        raise TypeError(f"{type(value).__name__} has no AMQP encoding") from None
    return encoder(value)


def symbols(*names: str) -> Array:
    """Make an array of symbols, as capabilities and SASL mechanisms are sent."""
    body = b"".join(struct.pack(">I", len(name)) + name.encode("ascii") for name in names)
    return Array([Symbol(name) for name in names], _array(0xB3, len(names), body))


def strings(*texts: str) -> Array:
    """Make an array of strings, as partition ids are sent."""
    encoded = [text.encode() for text in texts]
    body = b"".join(struct.pack(">I", len(text)) + text for text in encoded)
    return Array(list(texts), _array(0xB1, len(texts), body))


def _array(constructor: int, count: int, body: bytes) -> bytes:
    return _COMPOUND_32.pack(0xF0, len(body) + 5, count) + bytes((constructor,)) + body


def _small_or(value: int, zero: int, small: int, large: struct.Struct, code: int) -> bytes:
    if value == 0:
        return bytes((zero,))
    return bytes((small, value)) if value < 256 else large.pack(code, value)


def _signed(value: int, small: int, large: struct.Struct, code: int) -> bytes:
    return bytes((small, value & 0xFF)) if -128 <= value < 128 else large.pack(code, value)


def _variable(value: bytes, small: int) -> bytes:
    size = len(value)
    return (bytes((small, size)) if size < 256 else _U32.pack(small + 0x10, size)) + value


def _compound(parts: Iterable[bytes], count: int, small: int) -> bytes:
    body = b"".join(parts)
    if len(body) < 255 and count < 256:
        return bytes((small, len(body) + 1, count)) + body
    return _COMPOUND_32.pack(small + 0x10, len(body) + 4, count) + body


def _list(value: list[object]) -> bytes:
    return _compound(map(encode, value), len(value), 0xC0) if value else b"\x45"


def _map(value: dict[object, object]) -> bytes:
    return _compound((encode(key) + encode(item) for key, item in value.items()), 2 * len(value), 0xC1)


_ENCODERS: dict[type, Callable[..., bytes]] = {
    type(None): lambda _: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    UByte: lambda value: bytes((0x50, value)),
    UShort: lambda value: _U16.pack(0x60, value),
    UInt: lambda value: _small_or(value, 0x43, 0x52, _U32, 0x70),
    ULong: lambda value: _small_or(value, 0x44, 0x53, _U64, 0x80),
    Byte: lambda value: bytes((0x51, value & 0xFF)),
    Short: lambda value: _I16.pack(0x61, value),
    Int: lambda value: _signed(value, 0x54, _I32, 0x71),
    int: lambda value: _signed(value, 0x55, _I64, 0x81),
    float: lambda value: _DOUBLE.pack(0x82, value),
    Timestamp: lambda value: _I64.pack(0x83, value),
    uuid.UUID: lambda value: b"\x98" + value.bytes,
    bytes: lambda value: _variable(value, 0xA0),
    str: lambda value: _variable(value.encode(), 0xA1),
    Symbol: lambda value: _variable(value.encode("ascii"), 0xA3),
    list: _list,
    dict: _map,
    Array: lambda value: value.encoded,
    Opaque: lambda value: value.encoded,
    Described: lambda value: b"\x00" + encode(value.descriptor) + encode(value.value),
}
