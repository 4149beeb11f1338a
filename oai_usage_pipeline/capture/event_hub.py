"""The adapter between azure-eventhub's synchronous consumer and the `Source` contract.

Belongs here: connections, what the SDK's errors mean, and the watchdog for its silences. Which
events are wanted, and what becomes of them, does not. The synchronous client is used because it
reads several times faster than the asynchronous one, which sleeps 50 ms between iterations.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any, cast

from azure.core.exceptions import ClientAuthenticationError
from azure.eventhub import EventData, EventHubConsumerClient, PartitionContext, TransportType
from azure.eventhub.amqp import AmqpMessageBodyType
from azure.eventhub.exceptions import AuthenticationError, EventHubError, OwnershipLostError

from oai_usage_pipeline.capture.source import Deliver, Hub, HubEvent, PartitionBounds
from oai_usage_pipeline.errors import SourceUnavailable
from oai_usage_pipeline.settings import Settings

logger = logging.getLogger(__name__)

PREFETCH_BYTES = 192 * 2**20
FRAME_BYTES = 2**16
LARGEST_PREFETCH = 3000
CALLBACK_EVENTS = 300
"""The SDK reads at most `prefetch` frames of 64 KiB before it delivers, so that number bounds its
memory by bytes. A large one matters: it asks for more only when all that it asked for has come, and
waits 0.2 s then if a message took several frames."""

CONNECTION_EVENTS = 500_000
"""Events after which a connection is made anew: the SDK's receiver keeps the delivery tag of each for
as long as it lives (`_received_delivery_tags`), about 100 bytes an event."""

SILENCE_SECONDS = 15.0
RECONNECTS = 3


class EventHubSource:
    """Reads one Event Hub with the unmodified SDK; fulfils `Source`."""

    def __init__(self, settings: Settings, silence_seconds: float = SILENCE_SECONDS) -> None:
        self._settings = settings
        self._silence_seconds = silence_seconds
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._management: EventHubConsumerClient | None = None
        self._partition_count = 1

    def describe(self) -> Hub:
        """See `Source.describe`."""
        with self._explained():
            found = self._manager().get_eventhub_properties()
        self._partition_count = len(found["partition_ids"])
        created_at = found["created_at"].astimezone(UTC).isoformat(timespec="milliseconds")
        return Hub(
            event_hub=f"{self._settings.namespace}/{found['eventhub_name']}",
            incarnation=created_at.replace("+00:00", "Z"),
            partition_ids=tuple(sorted(found["partition_ids"], key=lambda each: (len(each), each))),
        )

    def bounds(self, partition_id: str) -> PartitionBounds:
        """See `Source.bounds`."""
        with self._explained():
            found = self._manager().get_partition_properties(partition_id)
        first, last = found["beginning_sequence_number"], found["last_enqueued_sequence_number"]
        if found["is_empty"]:
            return PartitionBounds(first=last + 1, last=last)
        return PartitionBounds(first=first, last=last)

    def read(self, partition_id: str, after: int | None, deliver: Deliver) -> None:
        """See `Source.read`; a partition that stays silent is reconnected, then given up within 60 s."""
        reception = _Reception(partition_id, after, deliver)
        silences = 0
        while silences < RECONNECTS:
            before = reception.last
            with self._explained():
                self._receive(reception)
            if reception.fault is not None:
                raise reception.fault
            if reception.is_done or self._closed.is_set():
                return
            silences = silences + 1 if reception.last == before else 0
            logger.info("Partition %s: reconnecting after event %s", partition_id, reception.last)
        raise SourceUnavailable(
            f"{self._where} partition {partition_id} holds events after {reception.last} but sent none in "
            f"{RECONNECTS} connections of {self._silence_seconds:.0f} s: check its health and its throttling"
        )

    def close(self) -> None:
        """See `Source.close`."""
        self._closed.set()
        with self._lock:
            if self._management is not None:
                self._management.close()
                self._management = None

    def _receive(self, reception: "_Reception") -> None:
        """One connection: ends when no more is wanted, on an error, on silence, or when closed."""
        client = self._client()
        reception.restart()
        thread = threading.Thread(
            target=client.receive_batch,
            kwargs={
                "on_event_batch": reception.on_events,
                "on_error": reception.on_error,
                "partition_id": reception.partition_id,
                "starting_position": "-1" if reception.last is None else reception.last,
                "starting_position_inclusive": False,
                "prefetch": self._prefetch(),
                "max_batch_size": min(CALLBACK_EVENTS, self._prefetch()),
            },
            name=f"receive-{reception.partition_id}",
            daemon=True,
        )
        thread.start()
        try:
            reception.wait(self._silence_seconds, self._closed)
        finally:
            client.close()
            thread.join(timeout=self._silence_seconds)
        if reception.error is not None:
            raise reception.error

    def _prefetch(self) -> int:
        return min(LARGEST_PREFETCH, max(1, PREFETCH_BYTES // FRAME_BYTES // self._partition_count))

    def _manager(self) -> EventHubConsumerClient:
        with self._lock:
            if self._management is None:
                self._management = self._client()
            return self._management

    def _client(self) -> EventHubConsumerClient:
        options: dict[str, Any] = {
            "retry_total": 2,
            "retry_backoff_factor": 0.4,
            "load_balancing_interval": 1,
        }
        settings = self._settings
        if settings.connection_string is not None:
            return EventHubConsumerClient.from_connection_string(
                settings.connection_string,
                settings.consumer_group,
                eventhub_name=settings.event_hub_name,
                transport_type=TransportType.Amqp,
                **options,
            )
        # Imported on use: the sign-in library is slow to load and a local hub has no need of it.
        from azure.identity import DefaultAzureCredential

        return EventHubConsumerClient(
            settings.namespace,
            settings.event_hub_name,
            settings.consumer_group,
            credential=DefaultAzureCredential(),
            transport_type=TransportType.Amqp,
            **options,
        )

    @property
    def _where(self) -> str:
        return f"Event Hub {self._settings.namespace}/{self._settings.event_hub_name}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (EventHubError, ClientAuthenticationError, OSError, ValueError) as error:
            raise SourceUnavailable(f"{self._where} {_meaning(error)}") from None


def _meaning(error: Exception) -> str:
    """What an SDK error means to a person; never the SDK's own text, which may quote credentials."""
    details = str(error).lower()
    if isinstance(error, OwnershipLostError) or "link:stolen" in details:
        return "is being read by another consumer with a higher epoch: only one may read exclusively"
    # The hub is looked up when the token is put: a missing one arrives as a failed authentication.
    if any(word in details for word in ("status code: 404", "not-found", "not found", "not be found")):
        return "isn't there: check OAI_USAGE_EVENT_HUB_NAME and OAI_USAGE_CONSUMER_GROUP"
    if isinstance(error, AuthenticationError | ClientAuthenticationError):
        return (
            "refused the credentials: check the key or, with Entra ID, the role 'Azure Event Hubs Data "
            "Receiver' on the hub"
        )
    return (
        f"can't be reached ({type(error).__name__}): check the namespace and the network; locally, start "
        "the broker with `oai-usage broker`"
    )


class _Reception:
    """What the SDK's receiving thread and the waiting reader tell each other."""

    def __init__(self, partition_id: str, after: int | None, deliver: Deliver) -> None:
        self.partition_id = partition_id
        self.last = after
        self.error: Exception | None = None
        self.fault: BaseException | None = None
        self.is_done = False
        self._deliver = deliver
        self._changed = threading.Condition()
        self._is_delivering = False
        self._heard_at = time.monotonic()
        self._event_count = 0

    def restart(self) -> None:
        """A new connection begins: what the last one left behind is forgotten."""
        self.error = None
        self._heard_at = time.monotonic()
        self._event_count = 0

    @property
    def _is_over(self) -> bool:
        """Whether this connection has done what it was for."""
        return self.is_done or self.error is not None or self._event_count >= CONNECTION_EVENTS

    def on_events(self, _: PartitionContext, events: list[EventData]) -> None:
        """Called by the SDK; after the last wanted event everything more is dropped."""
        if self._is_over or not events:
            return
        self._set(delivering=True)
        wants_more = self._deliver_or_fail(events)
        number = events[-1].sequence_number
        if self.last is None or (number is not None and number > self.last):
            self.last = number
        self._event_count += len(events)
        self._set(delivering=False, done=not wants_more)

    def _deliver_or_fail(self, events: list[EventData]) -> bool:
        """The SDK would take an error of ours for one of the hub's, and try again."""
        try:
            return self._deliver([_hub_event(event) for event in events])
        except BaseException as error:  # noqa: BLE001 - raised again by the reader that waits
            self.fault = error
            return False

    def on_error(self, _: PartitionContext | None, error: Exception) -> None:
        """Called by the SDK once its own retries are used up."""
        self.error = error
        self._set(delivering=False)

    def wait(self, silence_seconds: float, closed: threading.Event) -> None:
        """Until done, failed, closed, or silent for that long; time spent delivering is no silence."""
        with self._changed:
            while not (self._is_over or closed.is_set()):
                silent = time.monotonic() - self._heard_at
                if not self._is_delivering and silent >= silence_seconds:
                    return
                self._changed.wait(timeout=min(silence_seconds, 0.5))

    def _set(self, *, delivering: bool, done: bool = False) -> None:
        with self._changed:
            self._is_delivering = delivering
            self._heard_at = time.monotonic()
            self.is_done = self.is_done or done
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
    return body if isinstance(body, bytes) else json.dumps(body, default=_text).encode()


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
