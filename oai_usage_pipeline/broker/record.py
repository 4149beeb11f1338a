"""One event as it lies in a log file.

Belongs here: the layout of a record, walking over records in a chunk of a file, and telling a whole
record from a torn one.

    length (u32) · crc32 of all that follows (u32) · sequence number (i64) · enqueued (i64, ms UTC) ·
    records that follow in the same write (u32) · the encoded message (`length` bytes)
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

_LAYOUT = struct.Struct(">IIqqI")
_AFTER_CRC = struct.Struct(">qqI")
_CRC_END = 8

HEADER_SIZE = _LAYOUT.size


class Record(NamedTuple):
    """A record's place in the chunk it was found in, and what its header says."""

    at: int
    sequence_number: int
    enqueued_ms: int
    following: int
    end: int


def encode_record(sequence_number: int, enqueued_ms: int, following: int, message: bytes) -> bytes:
    """Encode one record."""
    fixed = _AFTER_CRC.pack(sequence_number, enqueued_ms, following)
    crc = zlib.crc32(message, zlib.crc32(fixed))
    return struct.pack(">II", len(message), crc) + fixed + message


def records(chunk: bytes, at: int = 0) -> Iterator[Record]:
    """Walk over the records that lie wholly in a chunk; the chunk must start with a record."""
    unpack, last = _LAYOUT.unpack_from, len(chunk) - HEADER_SIZE
    while at <= last:
        length, _, sequence_number, enqueued_ms, following = unpack(chunk, at)
        end = at + HEADER_SIZE + length
        if end > len(chunk):
            return
        yield Record(at, sequence_number, enqueued_ms, following, end)
        at = end


def messages(chunk: bytes, at: int, limit: int) -> tuple[list[memoryview], int]:
    """Return up to `limit` messages of the records from a position on, and the position after them."""
    view, found = memoryview(chunk), list[memoryview]()
    unpack, size = _LAYOUT.unpack_from, len(chunk)
    last = size - HEADER_SIZE
    while at <= last and len(found) < limit:
        end = at + HEADER_SIZE + unpack(chunk, at)[0]
        if end > size:
            break
        found.append(view[at + HEADER_SIZE : end])
        at = end
    return found, at


def needed(chunk: bytes, at: int) -> int:
    """Return the size of the record at a position, as far as the chunk tells it."""
    if len(chunk) - at < HEADER_SIZE:
        return HEADER_SIZE
    return HEADER_SIZE + int(_LAYOUT.unpack_from(chunk, at)[0])


def is_whole(chunk: bytes, record: Record) -> bool:
    """Tell whether the record's bytes are the ones that were written."""
    crc: int = struct.unpack_from(">I", chunk, record.at + 4)[0]
    return zlib.crc32(memoryview(chunk)[record.at + _CRC_END : record.end]) == crc
