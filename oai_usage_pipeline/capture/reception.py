"""What the SDK's receiving thread and the reader that waits for it tell each other about a partition.

Belongs here: which events have come, over however many connections, and when a connection is over. Making
connections, and what their errors mean, does not.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import cast

from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpMessageBodyType

from oai_usage_pipeline.capture.source import Deliver, HubEvent

CONNECTION_EVENTS = 500_000
"""Events after which a connection is made anew: the SDK's receiver keeps the delivery tag of each for
as long as it lives (`_received_delivery_tags`), about 100 bytes an event."""


class Reception:
    """One partition's reading, over one connection after the other.

    `check` is called when a connection has brought its first events and before they are delivered. `fault`
    is what it, or `deliver`, raised; `error` is the SDK's, of the connection at hand. `moved_at` is when,
    by the monotonic clock, an event came that is newer than all before.
    """

    def __init__(
        self, partition_id: str, after: int | None, deliver: Deliver, check: Callable[[], None]
    ) -> None:
        self.partition_id = partition_id
        self.last = after
        self.error: Exception | None = None
        self.fault: BaseException | None = None
        self.is_done = False
        self._deliver = deliver
        self._check = check
        self._changed = threading.Condition()
        self._is_delivering = False
        self._connected_at = time.monotonic()
        self._event_count = 0
        self._connection = 0
        self.moved_at = self._connected_at

    def restart(self) -> int:
        """A new connection begins, which gets a number; what the last one left behind is forgotten."""
        self.error = None
        self._connected_at = time.monotonic()
        self._event_count = 0
        return self._connection

    @property
    def _is_over(self) -> bool:
        """Whether this connection has done what it was for."""
        return self.is_done or self.error is not None or self._event_count >= CONNECTION_EVENTS

    def on_events(self, connection: int, events: list[EventData]) -> None:
        """The SDK brings events; after the last wanted one, everything more is dropped."""
        if connection != self._connection or self._is_over or not events:
            return
        self._set(delivering=True)
        wants_more = self._deliver_or_fail(events)
        number = cast("int", events[-1].sequence_number)
        # What was delivered before is no progress, however much of it comes.
        moved = self.last is None or number > self.last
        self.last = number if moved else self.last
        self._event_count += len(events)
        self._set(delivering=False, moved=moved, done=not wants_more)

    def on_error(self, connection: int, error: Exception) -> None:
        """The SDK says that a connection has failed, or failed in being closed: then it isn't heard."""
        if connection == self._connection:
            self.error = error
            self._set(delivering=False)

    def wait(self, silence_seconds: float, closed: threading.Event) -> bool:
        """Until done, failed or closed, or for that long without progress: then False.

        Time spent delivering is no silence.
        """
        with self._changed:
            while not (self._is_over or closed.is_set() or self._is_silent(silence_seconds)):
                self._changed.wait(timeout=min(silence_seconds, 0.5))
            # Whatever its threads say from now on is about a connection that has been left.
            self._connection += 1
            return self._is_over or closed.is_set()

    def _is_silent(self, seconds: float) -> bool:
        silent = time.monotonic() - max(self._connected_at, self.moved_at)
        return silent >= seconds and not self._is_delivering

    def _deliver_or_fail(self, events: list[EventData]) -> bool:
        """The SDK would take an error of ours for one of the hub's, and try again."""
        try:
            if not self._event_count:
                self._check()
            return self._deliver([_hub_event(event) for event in events])
        except BaseException as error:  # noqa: BLE001 - raised again by the reader that waits
            self.fault = error
            return False

    def _set(self, *, delivering: bool, moved: bool = False, done: bool = False) -> None:
        with self._changed:
            self._is_delivering = delivering
            self.is_done = self.is_done or done
            if moved:
                self.moved_at = time.monotonic()
            if self._is_over:
                self._changed.notify_all()


def _hub_event(event: EventData) -> HubEvent:
    annotations = event.raw_amqp_message.annotations or {}
    return HubEvent(
        annotations[b"x-opt-sequence-number"],
        annotations[b"x-opt-offset"].decode(),
        annotations[b"x-opt-enqueued-time"],
        _body(event),
    )


def _body(event: EventData) -> bytes:
    """The message's bytes; AMQP values and sequences, which gateways don't send, as JSON text."""
    if event.body_type is AmqpMessageBodyType.DATA:
        return b"".join(cast(Iterable[bytes], event.body))
    is_value = event.body_type is AmqpMessageBodyType.VALUE
    body = event.body if is_value else list(cast(Iterable[object], event.body))
    return body if isinstance(body, bytes) else json.dumps(_plain(body), default=str).encode()


def _plain(value: object) -> object:
    """The value as JSON takes it: AMQP's maps may have bytes or lists for keys."""
    if isinstance(value, dict):
        return {str(_plain(name)): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
