"""AMQP bytes to Python values, trusting nothing (OASIS AMQP 1.0, part 1, sections 1.2 and 1.6).

Belongs here: the decoding of single values, and stepping over them without decoding. Every size is
checked against the buffer, nesting is bounded, and whatever is wrong becomes a `DecodeError`.
"""

import struct
import uuid
from collections.abc import Callable

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
from oai_usage_pipeline.broker.errors import DecodeError

Buffer = bytes | memoryview

# Deeper than anything a client sends; shallow enough that nesting can't exhaust the Python stack.
MAX_DEPTH = 32

_U32 = struct.Struct(">I")
_FIXED_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}

_CONSTANTS: dict[int, object] = {
    0x40: None,
    0x41: True,
    0x42: False,
    0x43: UInt(0),
    0x44: ULong(0),
}

_FIXED: dict[int, tuple[struct.Struct, Callable[[int], object]]] = {
    0x50: (struct.Struct(">B"), UByte),
    0x51: (struct.Struct(">b"), Byte),
    0x52: (struct.Struct(">B"), UInt),
    0x53: (struct.Struct(">B"), ULong),
    0x54: (struct.Struct(">b"), Int),
    0x55: (struct.Struct(">b"), int),
    0x56: (struct.Struct(">B"), bool),
    0x60: (struct.Struct(">H"), UShort),
    0x61: (struct.Struct(">h"), Short),
    0x70: (_U32, UInt),
    0x71: (struct.Struct(">i"), Int),
    0x80: (struct.Struct(">Q"), ULong),
    0x81: (struct.Struct(">q"), int),
    0x82: (struct.Struct(">d"), float),
    0x83: (struct.Struct(">q"), Timestamp),
}

_VARIABLE: dict[int, Callable[[bytes], object]] = {
    0xA0: bytes,
    0xA1: lambda octets: str(octets, "utf-8"),
    0xA3: lambda octets: Symbol(str(octets, "ascii")),
}


def decode(buffer: Buffer, at: int = 0) -> tuple[object, int]:
    """Decode the value at a position; returns it and the position after it."""
    try:
        return _value(buffer, at, 0)
    except (IndexError, struct.error):
        raise DecodeError(f"a value is cut off at byte {len(buffer)}") from None
    except UnicodeDecodeError:
        raise DecodeError(f"a text near byte {at} has bytes that its type does not allow") from None


def skip(buffer: Buffer, at: int) -> int:
    """Return the position after the value at a position, without decoding it."""
    try:
        return _end(buffer, at)
    except (IndexError, struct.error):
        raise DecodeError(f"a value is cut off at byte {len(buffer)}") from None


def map_span(buffer: Buffer, at: int) -> tuple[int, int, int]:
    """Return (count of keys and values, start, end) of the entries of the map at a position."""
    end = skip(buffer, at)
    constructor = buffer[at]
    if constructor == 0xC1:
        return buffer[at + 2], at + 3, end
    if constructor == 0xD1:
        return _U32.unpack_from(buffer, at + 5)[0], at + 9, end
    raise DecodeError(f"a map was expected, found constructor 0x{constructor:02x}")


def _value(buffer: Buffer, at: int, depth: int) -> tuple[object, int]:
    constructor = buffer[at]
    if constructor == 0x00:
        if depth >= MAX_DEPTH:
            raise DecodeError(f"values are nested more than {MAX_DEPTH} deep")
        descriptor, at = _value(buffer, at + 1, depth + 1)
        value, at = _value(buffer, at, depth + 1)
        return Described(descriptor, value), at
    return _body(constructor, buffer, at + 1, depth)


def _body(constructor: int, buffer: Buffer, at: int, depth: int) -> tuple[object, int]:
    """Decode a value whose constructor has been read (elements of an array share theirs)."""
    fixed = _FIXED.get(constructor)
    if fixed is not None:
        layout, make = fixed
        return make(layout.unpack_from(buffer, at)[0]), at + layout.size
    if constructor in _CONSTANTS:
        return _CONSTANTS[constructor], at
    if constructor == 0x45:
        return [], at
    if constructor == 0x98:
        return uuid.UUID(bytes=bytes(_octets(buffer, at, at + 16))), at + 16
    return _sized(constructor, buffer, at, depth)


def _sized(constructor: int, buffer: Buffer, at: int, depth: int) -> tuple[object, int]:
    end = _body_end(constructor, buffer, at)
    category = constructor >> 4
    start = at + (1 if category in (0xA, 0xC, 0xE) else 4)
    if category in (0xA, 0xB):
        make = _VARIABLE.get(constructor & 0xAF)
        if make is not None:
            return make(bytes(_octets(buffer, start, end))), end
    elif category in (0xC, 0xD, 0xE, 0xF):
        return _compound(constructor, buffer, start, end, depth), end
    elif constructor in (0x72, 0x73, 0x74, 0x84, 0x94):
        return Opaque(bytes((constructor,)) + bytes(_octets(buffer, at, end))), end
    raise DecodeError(f"there is no constructor 0x{constructor:02x}")


def _compound(constructor: int, buffer: Buffer, at: int, end: int, depth: int) -> object:
    if depth >= MAX_DEPTH:
        raise DecodeError(f"values are nested more than {MAX_DEPTH} deep")
    wide = constructor & 0x10
    count = _U32.unpack_from(buffer, at)[0] if wide else buffer[at]
    first = at + (4 if wide else 1)
    # An element may take no byte at all (null), so a count needs a bound of its own.
    if count > end - at:
        raise DecodeError(f"{count} elements can't be in {end - at} bytes")
    kind = constructor & 0xEF
    if kind == 0xE0:
        return _array(buffer, first, end, count, at, depth, wide)
    values, after = _values(buffer, first, count, depth + 1)
    if after != end:
        raise DecodeError(f"a compound value says it ends at byte {end}, its elements end at {after}")
    if kind == 0xC0:
        return values
    if kind == 0xC1:
        return _map(values)
    raise DecodeError(f"there is no constructor 0x{constructor:02x}")


def _values(buffer: Buffer, at: int, count: int, depth: int) -> tuple[list[object], int]:
    values = []
    for _ in range(count):
        value, at = _value(buffer, at, depth)
        values.append(value)
    return values, at


def _map(values: list[object]) -> dict[object, object]:
    if len(values) % 2:
        raise DecodeError("a map has a key without a value")
    try:
        return dict(zip(values[::2], values[1::2], strict=True))
    except TypeError:
        raise DecodeError("a map has a key that is itself a list or a map") from None


def _array(buffer: Buffer, at: int, end: int, count: int, size_end: int, depth: int, wide: int) -> Array:
    header = size_end - (5 if wide else 2)
    encoded = bytes(buffer[header:end])
    values: list[object] = []
    if count:
        constructor = buffer[at]
        at += 1
        for _ in range(count):
            value, at = _body(constructor, buffer, at, depth + 1)
            values.append(value)
        if at != end:
            raise DecodeError(f"an array says it ends at byte {end}, its elements end at {at}")
    return Array(values, encoded)


def _octets(buffer: Buffer, start: int, end: int) -> Buffer:
    if end > len(buffer):
        raise DecodeError(f"a value ends at byte {end} of {len(buffer)}")
    return buffer[start:end]


def _end(buffer: Buffer, at: int) -> int:
    depth = 0
    while buffer[at] == 0x00:
        at = _end(buffer, at + 1) if buffer[at + 1] else _refuse_nested_descriptor()
        depth += 1
        if depth > MAX_DEPTH:
            raise DecodeError(f"values are nested more than {MAX_DEPTH} deep")
    return _body_end(buffer[at], buffer, at + 1)


def _refuse_nested_descriptor() -> int:
    raise DecodeError("a descriptor is itself a described value")


def _body_end(constructor: int, buffer: Buffer, at: int) -> int:
    """The width of a value follows from the first half of its constructor (section 1.2)."""
    category = constructor >> 4
    width = _FIXED_WIDTHS.get(category)
    if width is not None:
        end = at + width
    elif category in (0xA, 0xC, 0xE):
        end = at + 1 + buffer[at]
    elif category in (0xB, 0xD, 0xF):
        end = at + 4 + int(_U32.unpack_from(buffer, at)[0])
    else:
        raise DecodeError(f"there is no constructor 0x{constructor:02x}")
    if end > len(buffer):
        raise DecodeError(f"a value ends at byte {end} of {len(buffer)}")
    return end
