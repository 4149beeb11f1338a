"""Frames and protocol headers: how performatives lie in the byte stream (part 2, sections 2.2 and 2.3).

Belongs here: cutting a stream into frames and building frames, the many transfer frames of a delivery
included. What the frames mean is not known here.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from oai_usage_pipeline.broker.amqp_types import UInt
from oai_usage_pipeline.broker.decoding import Buffer
from oai_usage_pipeline.broker.encoding import encode
from oai_usage_pipeline.broker.errors import FramingError
from oai_usage_pipeline.broker.performatives import Performative, Transfer, encode_performative

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"

# What Event Hubs announces too; a larger message comes in several frames.
MAX_FRAME_SIZE = 65536

AMQP_FRAME = 0
SASL_FRAME = 1
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"

_HEADER = struct.Struct(">IBBH")


class Frame(NamedTuple):
    """One received frame; an empty body is a heartbeat."""

    kind: int
    channel: int
    body: bytes


def frame(
    performative: Performative, channel: int = 0, kind: int = AMQP_FRAME, payload: Buffer = b""
) -> bytes:
    """Build one frame."""
    body = encode_performative(performative)
    return _HEADER.pack(8 + len(body) + len(payload), 2, kind, channel) + body + payload


class Inbox:
    """The bytes received and not yet understood; never more than one frame and one read."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what was read from the socket."""
        self._bytes += data

    def take_header(self) -> bytes | None:
        """Return the eight bytes of a protocol header, or None while they are not all there."""
        if len(self._bytes) < 8:
            return None
        header = bytes(self._bytes[:8])
        del self._bytes[:8]
        return header

    def take_frame(self) -> Frame | None:
        """Return the next whole frame, or None; raises FramingError for one that can't be right."""
        if len(self._bytes) < 8:
            return None
        size, offset, kind, channel = _HEADER.unpack_from(self._bytes)
        start = 4 * offset
        if not 8 <= size <= MAX_FRAME_SIZE or not 8 <= start <= size or kind > SASL_FRAME:
            raise FramingError(f"a frame of size {size}, data offset {offset} and type {kind} is not valid")
        if len(self._bytes) < size:
            return None
        body = bytes(self._bytes[start:size])
        del self._bytes[:size]
        return Frame(kind, channel, body)


class TransferFrames:
    """Builds the frames of settled deliveries on one link.

    Nearly all of a transfer frame is the same for every event of a link, so it is encoded once: per
    event only the frame size, the delivery id and the tag (the id again) are filled in.
    """

    def __init__(self, channel: int, handle: int, max_frame_size: int) -> None:
        self._channel = channel
        self._handle = UInt(handle)
        self._room = max_frame_size
        # Header, descriptor, list8 of 11 fields; handle, delivery-id (uint), delivery-tag (4 bytes) ...
        before = b"\x00\x53\x14\xc0"
        fields = b"\x70" + struct.pack(">I", handle) + b"\x70"
        # ... message-format 0, settled, no more frames, and five nulls.
        self._after = b"\x43\x41\x42\x40\x40\x40\x40\x40"
        size = 1 + len(fields) + 4 + 6 + len(self._after)
        self._before = struct.pack(">BBH", 2, 0, channel) + before + bytes((size, 11)) + fields
        self._overhead = 4 + len(self._before) + 4 + 6 + len(self._after)
        self._layout = struct.Struct(f">I{len(self._before)}sIHI{len(self._after)}s")

    def build(self, first_delivery_id: int, payloads: Sequence[Buffer]) -> tuple[list[Buffer], int]:
        """Return the pieces to write, in order, and the number of frames they make."""
        pack, before, after, overhead = self._layout.pack, self._before, self._after, self._overhead
        largest = self._room - overhead
        pieces: list[Buffer] = []
        frames = len(payloads)
        delivery_id = first_delivery_id
        for payload in payloads:
            size = len(payload)
            if size <= largest:
                pieces.append(pack(overhead + size, before, delivery_id, 0xA004, delivery_id, after))
                pieces.append(payload)
            else:
                parts = self._split(delivery_id, payload)
                pieces += parts
                frames += len(parts) - 1
            delivery_id = (delivery_id + 1) & 0xFFFFFFFF
        return pieces, frames

    def _split(self, delivery_id: int, payload: Buffer) -> list[bytes]:
        step = self._room - self._overhead - len(encode(UInt(0xFFFFFFFF)))
        tag = struct.pack(">I", delivery_id)
        parts = []
        for start in range(0, len(payload), step):
            more = start + step < len(payload)
            transfer = Transfer(self._handle, UInt(delivery_id), tag, UInt(0), True, more)
            parts.append(frame(transfer, self._channel, payload=payload[start : start + step]))
        return parts
