"""The AMQP types that Python has no type for (OASIS AMQP 1.0, part 1, section 1.6).

Belongs here: value types, so that what was decoded can be encoded again exactly as it came.
A plain `int` stands for AMQP `long`, `str` for `string`, `bytes` for `binary`, `float` for `double`.
"""

from typing import NamedTuple


class UByte(int):
    """An AMQP ubyte."""


class UShort(int):
    """An AMQP ushort."""


class UInt(int):
    """An AMQP uint."""


class ULong(int):
    """An AMQP ulong."""


class Byte(int):
    """An AMQP byte."""


class Short(int):
    """An AMQP short."""


class Int(int):
    """An AMQP int."""


class Timestamp(int):
    """Milliseconds since 1970-01-01T00:00:00Z."""


class Symbol(str):
    """An AMQP symbol: ASCII text from a constrained domain."""

    __slots__ = ()


class Opaque(NamedTuple):
    """A primitive that the broker only passes on (decimals, char, 32-bit float): its own encoding."""

    encoded: bytes


class Described(NamedTuple):
    """A value with a descriptor: a ulong code or a symbol."""

    descriptor: object
    value: object


class Array(list[object]):
    """An AMQP array; `encoded` is the whole encoding, because elements share one constructor."""

    def __init__(self, values: list[object], encoded: bytes) -> None:
        super().__init__(values)
        self.encoded = encoded
