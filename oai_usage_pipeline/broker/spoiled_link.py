"""A reader's link that misbehaves as ordered. For tests only.

Belongs here: what the faults on events do. When they are due is for `misbehaviour`.
"""

import asyncio
from collections import deque
from typing import Protocol

from oai_usage_pipeline.broker.decoding import Buffer
from oai_usage_pipeline.broker.errors import ConnectionFailed, LinkFailed
from oai_usage_pipeline.broker.event_links import ConsumerLink
from oai_usage_pipeline.broker.fault import EVENTS, Fault
from oai_usage_pipeline.broker.hub import Hub, Partition
from oai_usage_pipeline.broker.link import Carrier
from oai_usage_pipeline.broker.misbehaviour import Misbehaviour, befall
from oai_usage_pipeline.broker.performatives import Attach
from oai_usage_pipeline.broker.readers import STOLEN, Readers
from oai_usage_pipeline.broker.selector import Start

# With the texts of Event Hubs, as far as they are known.
LINK_FAULTS = {
    "server-busy": LinkFailed(
        "com.microsoft:server-busy",
        "The request was terminated because the entity is being throttled. Error code : 50002. "
        "Please wait 4 seconds and try again.",
    ),
    "stolen": LinkFailed(
        STOLEN,
        "New receiver with higher epoch of '1' is created hence current receiver with epoch 'none' is "
        "getting disconnected. If you are recreating the receiver, make sure a higher epoch is used.",
    ),
    "detached": LinkFailed(
        "amqp:link:detach-forced", "The link is force detached by the broker because it is idle."
    ),
    "expired": LinkFailed("amqp:unauthorized-access", "ExpiredToken: The token is expired."),
    "refused": LinkFailed("amqp:unauthorized-access", "Unauthorized access: 'Listen' claim is required."),
}
IDLE = ConnectionFailed(
    "amqp:connection:forced",
    "The connection was inactive for more than the allowed 240000 milliseconds and is closed by container.",
)
TICKS = 20
"""How often a second a slow link sends."""
EVERYTHING = 2**31


class Wire(Protocol):
    """What a spoiled link needs of its connection."""

    def close(self, fault: ConnectionFailed) -> None:
        """Say goodbye and close."""

    def break_off(self) -> None:
        """Reset the connection in the middle of what is written next."""


class SpoiledLink(ConsumerLink):
    """Delivers one event after the other, with the faults that are due before each."""

    def __init__(
        self,
        carrier: Carrier,
        attach: Attach,
        partition: Partition,
        readers: Readers,
        start: Start,
        *,
        hub: Hub,
        misbehaviour: Misbehaviour,
        wire: Wire,
    ) -> None:
        super().__init__(carrier, attach, partition, readers, start)
        self._hub = hub
        self._partition = partition
        self._misbehaviour = misbehaviour
        self._wire = wire
        self._again = deque[Buffer]()
        self._doubles = 0
        self._is_silent = False
        self._rate = 0
        self._may_send_at = 0.0

    def pump(self) -> None:
        """Send nothing when silent, and one tick's worth at a time when slow."""
        if self._is_silent:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._may_send_at:
            loop.call_at(self._may_send_at, self.carrier.soon, self)
            return
        super().pump()

    @property
    def _at_end(self) -> bool:
        return super()._at_end and not self._again

    def _read(self, room: int) -> list[Buffer]:
        found: list[Buffer] = []
        while (
            len(found) < min(room, self._tick) and self.attached and not self._is_silent and not self._at_end
        ):
            if not self._again:
                for fault in self._misbehaviour.due(EVENTS, self._partition.id):
                    # What came before the fault goes out before it takes effect.
                    self._deliver_all(found)
                    self._commit(fault)
                    room = min(room, self.credit, self.carrier.window)
            found += self._next()
        if self._rate:
            self._may_send_at = asyncio.get_running_loop().time() + len(found) / self._rate
        return found if self.attached else []

    @property
    def _tick(self) -> int:
        """How many events a slow link sends at once."""
        return max(1, self._rate // TICKS) if self._rate else EVERYTHING

    def _deliver_all(self, found: list[Buffer]) -> None:
        if found:
            self.deliver(found)
            found.clear()

    def _next(self) -> list[Buffer]:
        if self._is_silent or not self.attached:
            return []
        if self._again:
            return [self._again.popleft()]
        found: list[Buffer] = [bytes(each) for each in self._cursor.read(1)]
        if self._doubles:
            self._doubles -= 1
            self._again += found
        return found

    def _commit(self, fault: Fault) -> None:
        """Let the fault happen."""
        if fault.kind in LINK_FAULTS:
            self.fail(LINK_FAULTS[fault.kind])
        elif fault.kind == "closed":
            self._wire.close(IDLE)
        elif fault.kind == "reset":
            self._wire.break_off()
        elif fault.kind == "silence":
            self._is_silent = True
        elif fault.kind == "slow":
            self._rate = max(1, fault.number)
        elif fault.kind in ("expire", "grow"):
            befall(self._hub, fault)
        else:
            self._disarrange(fault)

    def _disarrange(self, fault: Fault) -> None:
        """Spoil which events come next."""
        if fault.kind == "duplicates":
            self._doubles = fault.number
        elif fault.kind == "gap":
            self._cursor.read(fault.number)
        elif fault.kind == "reorder":
            two = [bytes(each) for _ in range(2) for each in self._cursor.read(1)]
            self._again += reversed(two)
        elif fault.kind == "replay":
            first = max(self._cursor.next_sequence - fault.number, 0)
            self._cursor = self._log.cursor(Start("sequence-number", first, inclusive=True))
