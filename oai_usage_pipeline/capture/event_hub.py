"""The adapter between azure-eventhub's synchronous consumer and the `Source` contract.

Belongs here: how long the hub is waited for, what is tried again, and what the SDK's errors mean. Which
events are wanted, and what becomes of them, does not. The synchronous client is used because it reads
several times faster than the asynchronous one, which sleeps 50 ms between iterations.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any, TypeVar

from azure.core.exceptions import ClientAuthenticationError
from azure.eventhub import EventHubConsumerClient
from azure.eventhub.exceptions import AuthenticationError, EventHubError, OwnershipLostError

from oai_usage_pipeline.capture.hub_client import HubClient, Silence
from oai_usage_pipeline.capture.reception import Reception
from oai_usage_pipeline.capture.source import Deliver, Hub, PartitionBounds
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

SILENCE_SECONDS = 15.0
"""How long a connection may bring nothing new, and a question (twice) wait for its answer."""
SILENCES = 3
"""A partition is given up when it has brought nothing new for so many times SILENCE_SECONDS: below 60 s."""
QUESTIONS = 3
SILENT_QUESTIONS = 2
"""How often something is asked at most, and how many of these may go without any answer."""
BUSY = ("server-busy", "status code: 503", "50002")
"""Words of an error by which Event Hubs throttles, on a link and in an answer."""

Answer = TypeVar("Answer")
Sdk = EventHubConsumerClient
FAILURES = (EventHubError, ClientAuthenticationError, OSError, ValueError)


class EventHubSource:
    """Reads one Event Hub with the unmodified SDK; fulfils `Source`.

    The other waits follow from `silence_seconds`.
    """

    def __init__(self, settings: Settings, silence_seconds: float = SILENCE_SECONDS) -> None:
        self._settings = settings
        self._silence_seconds = silence_seconds
        self._closed = threading.Event()
        self._partition_count = 1
        self._described: str | None = None
        self._checked_at = 0.0
        self._checking = threading.Lock()

    def describe(self) -> Hub:
        """See `Source.describe`."""
        found = self._ask(Sdk.get_eventhub_properties)
        self._partition_count = len(found["partition_ids"])
        self._described = _incarnation(found)
        return Hub(
            event_hub=f"{self._settings.namespace}/{found['eventhub_name']}",
            incarnation=self._described,
            partition_ids=tuple(sorted(found["partition_ids"], key=lambda each: (len(each), each))),
        )

    def bounds(self, partition_id: str) -> PartitionBounds:
        """See `Source.bounds`."""
        found = self._ask(lambda sdk: sdk.get_partition_properties(partition_id))
        first, last = found["beginning_sequence_number"], found["last_enqueued_sequence_number"]
        if found["is_empty"]:
            return PartitionBounds(first=last + 1, last=last)
        return PartitionBounds(first, last, found["last_enqueued_time_utc"])

    def read(self, partition_id: str, after: int | None, deliver: Deliver) -> None:
        """See `Source.read`; a partition that brings nothing new is given up within 60 s."""
        reception = Reception(partition_id, after, deliver, self._check_same_hub)
        failures = 0
        while True:
            before = reception.last
            self._receive(reception, self._prefetch(failures))
            if reception.fault is not None:
                raise reception.fault
            if reception.is_done or self._closed.is_set():
                return
            has_moved = reception.last != before
            if reception.error is not None and _is_beyond_the_end(reception.error):
                # Rather than a hub that has lost events, it may be another one.
                self._check_same_hub()
            if reception.error is not None and _is_final(reception.error, has_worked=has_moved):
                raise self._unavailable(reception.error)
            if time.monotonic() - reception.moved_at >= SILENCES * self._silence_seconds:
                raise self._given_up(reception)
            failures = 0 if has_moved else failures + 1
            self._pause(reception.error, failures)
            logger.info("Partition %s: reconnecting after event %s", partition_id, reception.last)

    def close(self) -> None:
        """See `Source.close`."""
        self._closed.set()

    def _receive(self, reception: Reception, prefetch: int) -> None:
        """One connection: ends when no more is wanted, on an error, on silence, or when closed."""
        client = HubClient(self._settings)
        number = reception.restart()

        def receive() -> None:
            client.sdk.receive_batch(
                on_event_batch=lambda _, events: reception.on_events(number, events),
                on_error=lambda _, error: reception.on_error(number, error),
                partition_id=reception.partition_id,
                starting_position="-1" if reception.last is None else reception.last,
                starting_position_inclusive=False,
                prefetch=prefetch,
                max_batch_size=min(CALLBACK_EVENTS, prefetch),
            )

        thread = client.start(receive, f"receive-{reception.partition_id}")
        is_silent = True
        try:
            is_silent = not reception.wait(self._silence_seconds, self._closed)
        finally:
            client.close(thread, is_silent=is_silent or self._closed.is_set())

    def _check_same_hub(self) -> None:
        """Raise SourceUnavailable when the hub isn't the one described: its numbers would mean other events.

        A hub never becomes again what it was, and a connection doesn't outlive it. So if the hub is the
        same after a connection brought its first events, all that this connection brings are its events.
        One question serves all connections that were there when it was put.
        """
        connected_at = time.monotonic()
        with self._checking:
            if self._checked_at >= connected_at:
                return
            asked_at = time.monotonic()
            found = _incarnation(self._ask(Sdk.get_eventhub_properties))
            if self._described not in (None, found):
                raise SourceUnavailable(
                    f"{self._where} was deleted and made again while it was being read (created "
                    f"{self._described}, now {found}): nothing of the new hub was captured as the old one's; "
                    "the next run begins to read it"
                )
            self._described, self._checked_at = found, asked_at

    def _ask(self, question: Callable[[Sdk], Answer]) -> Answer:
        """Ask the hub, again after a failure that may pass; raises SourceUnavailable, in any case soon."""
        silences = attempts = 0
        while True:
            attempts += 1
            try:
                return HubClient(self._settings).ask(question, self._silence_seconds * 2 / 3, self._closed)
            except Silence:
                silences += 1
                if silences == SILENT_QUESTIONS or self._closed.is_set():
                    raise SourceUnavailable(
                        f"{self._where} accepts connections but doesn't answer: check its health, and the "
                        "proxies and firewalls on the way to it"
                    ) from None
            except FAILURES as error:
                if attempts == QUESTIONS or _is_final(error, has_worked=False):
                    raise self._unavailable(error) from None
                self._pause(error, attempts)

    def _pause(self, error: Exception | None, failures: int) -> None:
        """Before trying again: longer each time, and as long as Event Hubs asks for when it is busy."""
        if error is None:
            return
        longest = self._silence_seconds / 4
        self._closed.wait(
            longest if _is_busy(error) else min(longest, self._silence_seconds / 60 * 2**failures)
        )

    def _prefetch(self, failures: int) -> int:
        """How many frames the SDK reads before it delivers; a tenth after each connection that brought none.

        Where little comes, but steadily, it would go on reading and seem silent.
        """
        most = min(LARGEST_PREFETCH, PREFETCH_BYTES // FRAME_BYTES // self._partition_count)
        return max(1, int(most / 10**failures))

    def _given_up(self, reception: Reception) -> SourceUnavailable:
        if reception.error is not None:
            return self._unavailable(reception.error)
        which = "events" if reception.last is None else f"events after {reception.last}"
        return SourceUnavailable(
            f"{self._where} partition {reception.partition_id} holds {which} but sent none "
            f"for {SILENCES * self._silence_seconds:.0f} s: check its health and its throttling"
        )

    def _unavailable(self, error: Exception) -> SourceUnavailable:
        return SourceUnavailable(f"{self._where} {_meaning(error)}")

    @property
    def _where(self) -> str:
        return f"Event Hub {self._settings.namespace}/{self._settings.event_hub_name}"


def _incarnation(properties: dict[str, Any]) -> str:
    created_at = properties["created_at"].astimezone(UTC).isoformat(timespec="milliseconds")
    return str(created_at).replace("+00:00", "Z")


def _is_stolen(error: Exception) -> bool:
    return isinstance(error, OwnershipLostError) or "link:stolen" in str(error).lower()


def _is_missing(error: Exception) -> bool:
    # The hub is looked up when the token is put: a missing one arrives as a failed authentication.
    words = ("status code: 404", "not-found", "not found", "not be found")
    return any(word in str(error).lower() for word in words)


def _is_refused(error: Exception) -> bool:
    """Whether the credentials were: when the token was put, or for the link."""
    is_authentication = isinstance(error, AuthenticationError | ClientAuthenticationError)
    return is_authentication or "unauthorized-access" in str(error).lower()


def _is_busy(error: Exception) -> bool:
    return any(word in str(error).lower() for word in BUSY)


def _is_beyond_the_end(error: Exception) -> bool:
    return "argument-out-of-range" in str(error).lower()


def _is_final(error: Exception, *, has_worked: bool) -> bool:
    """Whether trying again can't help.

    A connection that has worked and is then refused had a token that expired: the next one gets another.
    """
    if isinstance(error, ValueError) or _is_stolen(error) or _is_missing(error) or _is_beyond_the_end(error):
        return True
    return _is_refused(error) and not has_worked


def _meaning(error: Exception) -> str:
    """What an SDK error means to a person; never the SDK's own text, which may quote credentials."""
    if _is_stolen(error):
        return (
            "is being read by another consumer with a higher epoch: only one may read exclusively. What came "
            "before is captured, nothing more is. Stop that consumer, or give the pipeline a consumer group "
            "of its own (OAI_USAGE_CONSUMER_GROUP)"
        )
    if _is_missing(error):
        return "isn't there: check OAI_USAGE_EVENT_HUB_NAME and OAI_USAGE_CONSUMER_GROUP"
    if _is_refused(error):
        return (
            "refused the credentials: check the key or, with Entra ID, the role 'Azure Event Hubs Data "
            "Receiver' on the hub"
        )
    if _is_beyond_the_end(error):
        return (
            "doesn't hold the event after which to read on: it has lost events or was restored; the next run "
            "tells which"
        )
    if _is_busy(error):
        return "is busy and throttles its readers: give it more throughput units, or try again later"
    return (
        f"can't be reached ({type(error).__name__}): check the namespace and the network; locally, start "
        "the broker with `oai-usage broker`"
    )
