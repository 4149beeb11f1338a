"""The contract between capture and whatever it reads from: an Event Hub, an archive, a fake.

Only the words and the promises of reading belong here; adapters live in files of their own and
pass the same test-suite.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol


class HubEvent(NamedTuple):
    """One Event Hubs message as delivered.

    `offset` is opaque text. `enqueued_ms` is milliseconds since 1970-01-01 UTC, the resolution
    of the annotation `x-opt-enqueued-time`.
    """

    sequence_number: int
    offset: str
    enqueued_ms: int
    body: bytes


@dataclass(frozen=True)
class Hub:
    """One life of an Event Hub: a hub deleted and made again is another `incarnation`.

    `event_hub` is "namespace/hub"; `incarnation` is the hub's `created_at` in UTC.
    """

    event_hub: str
    incarnation: str
    partition_ids: tuple[str, ...]

    def app_id(self, partition_id: str) -> str:
        """The name under which a partition's position is kept in bronze."""
        return f"capture/{self.event_hub}/{self.incarnation}/{partition_id}"

    def start_id(self, partition_id: str) -> str:
        """The name under which the number of a partition's first event is kept there."""
        return f"{self.app_id(partition_id)}/start"


@dataclass(frozen=True)
class PartitionBounds:
    """What a partition holds now: the sequence numbers `first` to `last`, both inclusive.

    An empty partition has `last` = `first` - 1: it still says which number comes next. `last_enqueued_at` is
    when the hub accepted `last`.
    """

    first: int
    last: int
    last_enqueued_at: datetime | None = field(default=None, compare=False)


Deliver = Callable[[Sequence[HubEvent]], bool]
"""Takes events, may block to slow the source down; False asks for no more."""


class Source(Protocol):
    """Where events come from.

    Guaranteed: `read` delivers a partition's events in the order of their sequence numbers, except
    that after a reconnect it may jump back and deliver some again; it never skips silently.
    Forbidden: keeping positions of its own. Off by one: `after` is a position, the last number
    already committed, so reading starts at `after` + 1; None starts at the first event held.
    """

    def describe(self) -> Hub:
        """The hub as it is now; raises SourceUnavailable."""
        ...

    def bounds(self, partition_id: str) -> PartitionBounds:
        """What the partition holds now; raises SourceUnavailable."""
        ...

    def read(self, partition_id: str, after: int | None, deliver: Deliver) -> None:
        """Deliver events until `deliver` returns False; raises SourceUnavailable when it can't.

        A source that has more but falls silent must notice and raise; it never waits for ever. All that is
        delivered is of the incarnation that `describe` told of last: when the hub was made again, it raises.
        """
        ...

    def close(self) -> None:
        """Give up connections; a `read` under way ends."""
        ...
