"""An event hub: its identity, its partitions, and where an event goes.

Belongs here: what is true of a hub whoever asks. The events lie in the partitions' logs; the identity
lies in `hub.json` beside them, so a hub whose folder was deleted comes back as another incarnation.
"""

import itertools
import json
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from oai_usage_pipeline.broker.errors import BrokerError, DeliveryRejected, LinkFailed
from oai_usage_pipeline.broker.log import PartitionLog
from oai_usage_pipeline.broker.message import Message
from oai_usage_pipeline.broker.partition_key import partition_of
from oai_usage_pipeline.broker.readers import Readers

# Event Hubs' own limit on names, and none that could leave the data folder.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,254}[A-Za-z0-9])?")
MAX_PARTITIONS = 1024


class Retention(NamedTuple):
    """How much is kept; None means no bound of that kind. A partition keeps what satisfies both."""

    events: int | None = None
    hours: float | None = None


class Partition:
    """One partition: its log and, per consumer group, its readers."""

    def __init__(self, partition_id: str, log: PartitionLog, retention: Retention) -> None:
        self.id = partition_id
        self.log = log
        self.readers: dict[str, Readers] = defaultdict(Readers)
        self._retention = retention
        self.trim()

    def append(self, messages: Sequence[Message]) -> None:
        """Keep a batch; raises DeliveryRejected when the disk refuses it."""
        try:
            self.log.append(messages, time.time_ns() // 1_000_000)
        except OSError as error:
            raise DeliveryRejected(
                "amqp:internal-error", f"The events could not be written: {error.strerror}."
            ) from error
        # By age it is trimmed from time to time: that takes a look into the log.
        self.log.trim(self._retention.events, older_than_ms=None)

    def trim(self) -> None:
        """Drop what retention no longer keeps."""
        hours = self._retention.hours
        older_than = None if hours is None else time.time_ns() // 1_000_000 - int(hours * 3_600_000)
        self.log.trim(self._retention.events, older_than)


class Hub:
    """An event hub; partition ids are "0" to count - 1."""

    def __init__(
        self,
        folder: Path,
        name: str,
        partition_count: int,
        retention: Retention,
        first_sequence: int = 0,
    ) -> None:
        """Open the hub in its folder, or create it; raises BrokerError when that can't be done.

        The first event of a new partition gets the number `first_sequence`.
        """
        self.name = name
        self._folder = folder
        self._retention = retention
        self._first_sequence = first_sequence
        self.partitions: list[Partition] = []
        self.created_ms = self._identify(partition_count)
        self._open_partitions(partition_count)

    def grow(self, partition_count: int) -> None:
        """Have so many partitions from now on; fewer than there are change nothing."""
        if partition_count > len(self.partitions):
            self._identify(partition_count)
            self._open_partitions(partition_count)

    def close(self) -> None:
        """Close the partitions' files."""
        for partition in self.partitions:
            partition.log.close()

    def partition(self, partition_id: str) -> Partition:
        """Return a partition; raises LinkFailed for an unknown id."""
        for partition in self.partitions:
            if partition.id == partition_id:
                return partition
        raise LinkFailed(
            "com.microsoft:argument-out-of-range",
            "The specified partition is invalid for an EventHub partition sender or receiver. It should be "
            f"between 0 and {len(self.partitions) - 1}.",
        )

    def partition_for(self, key: str | None) -> Partition:
        """Choose a partition: by the key, or the next in turn without one."""
        if key is None:
            return self.partitions[next(self._turns)]
        return self.partitions[partition_of(key, len(self.partitions))]

    def _open_partitions(self, partition_count: int) -> None:
        for number in range(len(self.partitions), partition_count):
            log = PartitionLog(self._folder / str(number), self._first_sequence)
            self.partitions.append(Partition(str(number), log, self._retention))
        self._turns = itertools.cycle(range(partition_count))

    def _identify(self, partition_count: int) -> int:
        file = self._folder / "hub.json"
        self._folder.mkdir(parents=True, exist_ok=True)
        identity = _read_identity(file) if file.exists() else None
        created_ms = identity["created_ms"] if identity else time.time_ns() // 1_000_000
        if identity and identity["partition_count"] > partition_count:
            raise BrokerError(
                f"Hub {self.name} has {identity['partition_count']} partitions, asked for {partition_count}: "
                "a hub can gain partitions but not lose any. Ask for at least as many, or delete "
                f"{self._folder} to start the hub anew."
            )
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({"created_ms": created_ms, "partition_count": partition_count}))
        fresh.replace(file)
        return created_ms


def check_name(name: str) -> None:
    """Raise BrokerError for a name that Event Hubs would not accept."""
    if _NAME.fullmatch(name) is None:
        raise BrokerError(
            f"{name!r} can't be the name of a hub: letters, digits, '.', '-' and '_' are allowed, up to 256, "
            "and the first and last must be a letter or a digit."
        )


def _read_identity(file: Path) -> dict[str, int]:
    try:
        identity = json.loads(file.read_text())
        return {name: int(identity[name]) for name in ("created_ms", "partition_count")}
    except (ValueError, KeyError, TypeError):
        raise BrokerError(
            f"{file} is damaged: restore it, or delete its folder to start the hub anew."
        ) from None
