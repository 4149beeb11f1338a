"""Sends generated events with the Event Hubs SDK, keeping the ledger one step ahead of the hub.

The only module of the generator that imports the SDK. What is sent belongs in `generator`, how fast
in `pace`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from azure.core.exceptions import AzureError
from azure.eventhub import EventData, EventDataBatch, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, EventHubError
from azure.identity import DefaultAzureCredential

from oai_usage_pipeline.errors import ConfigurationError, SourceUnavailable
from oai_usage_pipeline.traffic.generator import GeneratedEvent
from oai_usage_pipeline.traffic.ledger import Ledger
from oai_usage_pipeline.traffic.pace import Pace

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Hub:
    """Where to send: a connection string, or a namespace that is signed in to with Entra ID."""

    name: str
    connection_string: str | None = None
    namespace: str | None = None

    def __repr__(self) -> str:
        return f"Hub({self.name!r})"

    def producer(self) -> EventHubProducerClient:
        """A producer that never sends a batch twice.

        The SDK's own retry sends again when only the acknowledgement was lost; the hub would then
        hold events twice that the ledger has once. Raises ConfigurationError for an address that
        can't be one.
        """
        try:
            if self.connection_string is not None:
                return EventHubProducerClient.from_connection_string(
                    self.connection_string, eventhub_name=self.name, retry_total=0
                )
            return EventHubProducerClient(
                self.namespace or "", self.name, DefaultAzureCredential(), retry_total=0
            )
        except ValueError:
            # The SDK's message may quote the connection string, key and all.
            raise ConfigurationError(
                f"The connection string of hub {self.name!r} can't be used: expected "
                "'Endpoint=sb://...;SharedAccessKeyName=...;SharedAccessKey=...'; copy it whole from the "
                "hub's shared access policies or from `oai-usage broker`"
            ) from None


def send(
    hub: Hub,
    events: Iterable[GeneratedEvent],
    ledger: Ledger,
    pace: Pace | None = None,
    progress: Progress | None = None,
) -> int:
    """Send events in batches of one partition key; returns how many the hub acknowledged.

    Per batch: (1) its events are written to the ledger, (2) it is sent, (3) the ledger notes the
    acknowledgement. So a kill leaves at most one batch of unknown fate, and setting `pace.stop`
    ends between two batches, with none. `progress` gets the count so far after each batch. Raises
    SourceUnavailable when the hub can't be reached or refuses a batch, which then stays unacknowledged.
    """
    pace = pace or Pace()
    sent = 0
    with hub.producer() as producer:
        for chunk in _chunks(iter(events), pace):
            for batch, announced in _batches(hub, producer, chunk):
                if pace.stop.is_set():
                    return sent
                # Step 1: the ledger first; what the hub may have is never missing from it.
                number = ledger.announce(event.entry for event in announced)
                # Step 2.
                _deliver(hub, producer, batch)
                # Step 3.
                ledger.acknowledge(number)
                sent += len(announced)
                if progress is not None:
                    progress(sent)
    return sent


def _chunks(events: Iterator[GeneratedEvent], pace: Pace) -> Iterator[list[GeneratedEvent]]:
    for size in pace.chunks():
        chunk = list(islice(events, size))
        if chunk:
            yield chunk
        if len(chunk) < size:
            return


def _batches(
    hub: Hub, producer: EventHubProducerClient, chunk: list[GeneratedEvent]
) -> Iterator[tuple[EventDataBatch, list[GeneratedEvent]]]:
    """The chunk by partition key, in as many batches as the hub's largest message allows."""
    by_key: dict[str, list[GeneratedEvent]] = {}
    for event in chunk:
        by_key.setdefault(event.partition_key, []).append(event)
    for key, events in by_key.items():
        batch, members = _new_batch(hub, producer, key), list[GeneratedEvent]()
        for event in events:
            if not _fits(batch, event):
                yield batch, members
                batch, members = _new_batch(hub, producer, key), []
                batch.add(EventData(event.body))
            members.append(event)
        yield batch, members


def _fits(batch: EventDataBatch, event: GeneratedEvent) -> bool:
    """Add the event to the batch, unless it is full: the SDK says so with a ValueError."""
    try:
        batch.add(EventData(event.body))
    except ValueError:
        return False
    return True


def _new_batch(hub: Hub, producer: EventHubProducerClient, key: str) -> EventDataBatch:
    """Asks the hub for its largest message at first use, so this is where an absent hub shows."""
    try:
        return producer.create_batch(partition_key=key)
    except (EventHubError, AzureError, OSError) as error:
        raise _unavailable(hub, error) from None


def _deliver(hub: Hub, producer: EventHubProducerClient, batch: EventDataBatch) -> None:
    try:
        producer.send_batch(batch)
    except (EventHubError, AzureError, OSError) as error:
        raise _unavailable(hub, error) from None


def _unavailable(hub: Hub, error: Exception) -> SourceUnavailable:
    """Names the kind of failure only: the SDK's text may quote addresses and signatures."""
    if isinstance(error, AuthenticationError):
        return SourceUnavailable(
            f"Hub {hub.name!r} refuses to let us send: expected a key or identity with the Send right; "
            "check the connection string's key, or the role assignment"
        )
    return SourceUnavailable(
        f"Hub {hub.name!r} can't be reached ({type(error).__name__}): expected an Event Hub that accepts "
        "batches; check that it (or `oai-usage broker`) is running and that its name and address are right"
    )
