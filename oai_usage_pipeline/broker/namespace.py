"""All hubs of one broker and the data folder they lie in.

Belongs here: opening the folder (one broker at a time), finding hubs by name, and enforcing retention
in all of them.
"""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from oai_usage_pipeline.broker.errors import BrokerError, LinkFailed
from oai_usage_pipeline.broker.hub import MAX_PARTITIONS, Hub, Retention, check_name


class Namespace:
    """The hubs of a data folder. Names are found without regard to case, as in Event Hubs."""

    def __init__(
        self, data: Path, hubs: Mapping[str, int], retention: Retention, first_sequence: int = 0
    ) -> None:
        """Open or create the hubs (name to partition count) in a folder; new ones count from a number.

        Raises BrokerError when another broker uses the folder, a hub would lose partitions, or a file
        is damaged.
        """
        for name, partition_count in hubs.items():
            check_name(name)
            if not 1 <= partition_count <= MAX_PARTITIONS:
                raise BrokerError(f"A hub has 1 to {MAX_PARTITIONS} partitions, not {partition_count}.")
        self._lock = _locked(data)
        try:
            self._hubs = {
                name.lower(): Hub(data / name.lower(), name, count, retention, first_sequence)
                for name, count in hubs.items()
            }
        except OSError as error:
            os.close(self._lock)
            raise BrokerError(f"{data} can't be used: {error.strerror} ({error.filename}).") from None
        except BrokerError:
            os.close(self._lock)
            raise

    def hub(self, name: str) -> Hub:
        """Return a hub; raises LinkFailed when there is none of this name."""
        try:
            return self._hubs[name.lower()]
        except KeyError:
            raise LinkFailed(
                "amqp:not-found", f"The messaging entity {name[:300]!r} could not be found."
            ) from None

    @property
    def hubs(self) -> list[Hub]:
        """All of them."""
        return [*self._hubs.values()]

    def trim(self) -> None:
        """Drop what retention no longer keeps, in every partition."""
        for hub in self.hubs:
            for partition in hub.partitions:
                partition.trim()

    def close(self) -> None:
        """Close all files and let another broker have the folder."""
        for hub in self._hubs.values():
            hub.close()
        os.close(self._lock)


def _locked(data: Path) -> int:
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise BrokerError(f"{data} can't be the data folder: {error.strerror}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise BrokerError(
            f"Another broker is running on {data}: stop it, or choose another folder."
        ) from None
    return lock
