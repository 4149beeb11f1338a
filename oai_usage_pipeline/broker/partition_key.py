"""Which partition a partition key belongs to.

Belongs here: the hash that Event Hubs uses, so that a key lands in the partition that the client's own
buffered producer would choose. It is lookup3 `hashlittle2` by Bob Jenkins (public domain,
burtleburtle.net/bob/c/lookup3.c), its two results joined and folded to 16 bits.
"""

import struct

_MASK = 0xFFFFFFFF
_SEED = 0xDEADBEEF


def partition_of(key: str, partition_count: int) -> int:
    """Return the partition (0 to count - 1) of a key."""
    b, c = _hash(key.encode("utf-8", "surrogateescape"))
    folded: int = struct.unpack(">h", struct.pack(">H", (b ^ c) & 0xFFFF))[0] if key else 0
    return folded % partition_count


def _rotate(value: int, by: int) -> int:
    return ((value << by) | (value >> (32 - by))) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for shifts in ((4, 6, 8), (16, 19, 4)):
        a = ((a - c) & _MASK) ^ _rotate(c, shifts[0])
        c = (c + b) & _MASK
        b = ((b - a) & _MASK) ^ _rotate(a, shifts[1])
        a = (a + c) & _MASK
        c = ((c - b) & _MASK) ^ _rotate(b, shifts[2])
        b = (b + a) & _MASK
    return a, b, c


def _finish(a: int, b: int, c: int) -> tuple[int, int]:
    c = ((c ^ b) - _rotate(b, 14)) & _MASK
    a = ((a ^ c) - _rotate(c, 11)) & _MASK
    b = ((b ^ a) - _rotate(a, 25)) & _MASK
    c = ((c ^ b) - _rotate(b, 16)) & _MASK
    a = ((a ^ c) - _rotate(c, 4)) & _MASK
    b = ((b ^ a) - _rotate(a, 14)) & _MASK
    c = ((c ^ b) - _rotate(b, 24)) & _MASK
    return b, c


def _hash(octets: bytes) -> tuple[int, int]:
    a = b = c = (_SEED + len(octets)) & _MASK
    at = 0
    while len(octets) - at > 12:
        x, y, z = struct.unpack_from("<III", octets, at)
        a, b, c = _mix((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)
        at += 12
    if at == len(octets):
        return b, c
    x, y, z = struct.unpack("<III", octets[at:].ljust(12, b"\x00"))
    return _finish((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)
