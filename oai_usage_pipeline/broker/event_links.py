"""Links that carry events: a publisher sends them to a hub, a consumer reads a partition.

Belongs here: what a link does with events. Deliberate misbehaviour towards readers is in `spoiled_link`;
`ConsumerLink.pump` is the only place where events leave.
"""

import time

from oai_usage_pipeline.broker.amqp_types import Symbol, Timestamp
from oai_usage_pipeline.broker.decoding import Buffer
from oai_usage_pipeline.broker.errors import LinkFailed
from oai_usage_pipeline.broker.hub import Hub, Partition
from oai_usage_pipeline.broker.link import Carrier, IncomingLink, OutgoingLink
from oai_usage_pipeline.broker.log import PartitionLog
from oai_usage_pipeline.broker.message import delivery_annotations, unpack, with_delivery_annotations
from oai_usage_pipeline.broker.performatives import Attach
from oai_usage_pipeline.broker.readers import Readers
from oai_usage_pipeline.broker.selector import Start

EPOCH = "com.microsoft:epoch"
RUNTIME_METRIC = "com.microsoft:enable-receiver-runtime-metric"

# A stored message that starts with its annotations has no header and no delivery annotations.
_STARTS_WITH_ANNOTATIONS = b"\x00\x53\x72"


class PublisherLink(IncomingLink):
    """Appends what the client sends; to one partition, or to that of the key, or to each in turn."""

    def __init__(self, carrier: Carrier, attach: Attach, hub: Hub, partition: Partition | None) -> None:
        super().__init__(carrier, attach)
        self._hub = hub
        self._partition = partition

    def receive(self, payload: bytes, message_format: int) -> None:
        """Keep the events of a delivery before it is acknowledged."""
        messages, key = unpack(payload, message_format)
        partition = self._partition or self._hub.partition_for(key)
        partition.append(messages)


class ConsumerLink(OutgoingLink):
    """Sends the events of a partition from a starting position on."""

    def __init__(
        self, carrier: Carrier, attach: Attach, partition: Partition, readers: Readers, start: Start
    ) -> None:
        """Join the readers of the partition; raises LinkFailed when that or the start is refused."""
        super().__init__(carrier, attach)
        check_start(partition.log, start)
        self.epoch = epoch_of(attach.properties)
        self._log = partition.log
        self._readers = readers
        self._with_metrics = RUNTIME_METRIC in names_in(attach.desired_capabilities)
        self._cursor = self._log.cursor(start)
        self._waits = False
        readers.admit(self)

    def pump(self) -> None:
        """Send one chunk; more follows in the next turn, so that clients share the broker."""
        if not self.attached:
            return
        if not self.carrier.may_write:
            self.carrier.soon(self)
            return
        room = min(self.credit, self.carrier.window)
        payloads = self._read(room) if room else []
        if payloads:
            self.deliver(payloads)
        if self._at_end:
            self.nothing_left()
            self._wait_for_more()
        elif self.credit and self.carrier.window:
            self.carrier.soon(self)

    def deliver(self, payloads: list[Buffer]) -> None:
        """Send events, with the runtime metrics if the client wants them."""
        super().deliver(self._with_runtime_metrics(payloads) if self._with_metrics else payloads)

    def closed(self) -> None:
        """Leave the readers of the partition."""
        super().closed()
        self._readers.leave(self)

    @property
    def _at_end(self) -> bool:
        """Whether everything there is has been sent."""
        return self._cursor.at_end

    def _read(self, room: int) -> list[Buffer]:
        """The next events, as many as there is room for at most."""
        return [*self._cursor.read(room)]

    def _wait_for_more(self) -> None:
        if not self._waits:
            self._waits = True
            self._log.when_more(self._more)

    def _more(self) -> None:
        self._waits = False
        self.carrier.soon(self)

    def _with_runtime_metrics(self, payloads: list[Buffer]) -> list[Buffer]:
        """Tell with each event where the partition ends, as of this chunk."""
        entries: dict[object, object] = {
            Symbol("last_enqueued_sequence_number"): self._log.next_sequence - 1,
            Symbol("last_enqueued_offset"): str(self._log.last_offset),
            Symbol("last_enqueued_time_utc"): Timestamp(self._log.last_enqueued_ms),
            Symbol("runtime_info_retrieval_time_utc"): Timestamp(time.time_ns() // 1_000_000),
        }
        section = delivery_annotations(entries)
        return [
            section + payload
            if payload[:3] == _STARTS_WITH_ANNOTATIONS
            else with_delivery_annotations(payload, entries)
            for payload in payloads
        ]


def check_start(log: PartitionLog, start: Start) -> None:
    """Raise LinkFailed for a start beyond the end, as Event Hubs refuses it."""
    if start.value is None or start.by == "enqueued-time":
        return
    by_offset = start.by == "offset"
    last = log.last_offset if by_offset else log.next_sequence - 1
    # Inclusive, the event to come next is a fair start too.
    furthest = (log.end if by_offset else last + 1) if start.inclusive else last
    if start.value > furthest:
        name = "offset" if by_offset else "sequence number"
        raise LinkFailed(
            "com.microsoft:argument-out-of-range",
            f"The supplied {name} '{start.value}' is invalid. The last {name} in the system is '{last}'",
        )


def epoch_of(properties: object) -> int | None:
    """Read the owner level from a link's properties."""
    value = properties.get(EPOCH) if isinstance(properties, dict) else None
    return int(value) if isinstance(value, int) else None


def names_in(capabilities: object) -> list[object]:
    """Return capabilities as a list: they come as a symbol, a list or an array (section 1.5)."""
    return list(capabilities) if isinstance(capabilities, list) else [capabilities]
