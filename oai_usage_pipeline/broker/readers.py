"""Who may read a partition in a consumer group: epochs, and the limit on readers without one.

Belongs here: admitting a reader and saying whom it displaces, with the texts that Event Hubs uses.
"""

from typing import Protocol

from oai_usage_pipeline.broker.errors import LinkFailed

STOLEN = "amqp:link:stolen"
MAX_READERS = 5


class Reader(Protocol):
    """A receiver's link; without an epoch it shares the partition with others like it."""

    @property
    def epoch(self) -> int | None:
        """The owner level that the client asked for."""

    def fail(self, fault: LinkFailed) -> None:
        """Detach the link with an error."""


class Readers:
    """The readers of one partition in one consumer group."""

    def __init__(self) -> None:
        self._readers: list[Reader] = []

    def admit(self, newcomer: Reader) -> None:
        """Add a reader; detaches those that it displaces, or raises LinkFailed when it may not enter.

        An epoch displaces readers with a lower one, the same one, or none.
        """
        highest = max((r.epoch for r in self._readers if r.epoch is not None), default=None)
        if newcomer.epoch is None:
            self._admit_without_epoch(newcomer, highest)
            return
        if highest is not None and highest > newcomer.epoch:
            raise LinkFailed(
                STOLEN,
                f"Receiver with a higher epoch '{highest}' already exists. Receiver with epoch "
                f"{newcomer.epoch} cannot be created. Make sure you are creating receiver with increasing "
                "epoch value to ensure connectivity, or ensure all old epoch receivers are closed or "
                "disconnected.",
            )
        displaced, self._readers = self._readers, [newcomer]
        for reader in displaced:
            reader.fail(_displaced_by(newcomer.epoch, reader.epoch))

    def leave(self, reader: Reader) -> None:
        """Forget a reader; one that was displaced is already forgotten."""
        if reader in self._readers:
            self._readers.remove(reader)

    def _admit_without_epoch(self, newcomer: Reader, highest: int | None) -> None:
        if highest is not None:
            raise LinkFailed(
                STOLEN,
                f"At least one receiver for the endpoint is created with epoch of '{highest}', and so "
                "non-epoch receiver is not allowed. Either reconnect with a higher epoch, or make sure all "
                "epoch receivers are closed or disconnected.",
            )
        if len(self._readers) >= MAX_READERS:
            raise LinkFailed(
                "amqp:resource-limit-exceeded",
                f"Exceeded the maximum number of allowed receivers per partition in a consumer group which "
                f"is {MAX_READERS}.",
            )
        self._readers.append(newcomer)


def _displaced_by(epoch: int, former: int | None) -> LinkFailed:
    return LinkFailed(
        STOLEN,
        f"New receiver with higher epoch of '{epoch}' is created hence current receiver with epoch "
        f"'{former if former is not None else 'none'}' is getting disconnected. If you are recreating the "
        "receiver, make sure a higher epoch is used.",
    )
