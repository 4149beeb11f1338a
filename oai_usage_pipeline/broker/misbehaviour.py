"""All the misbehaviour that one broker was told to show. For tests only.

Belongs here: which faults are due at an occasion, counted over all connections. An honest broker has none
of this: spoiled connections, nodes and links take the places of the honest ones only where it was ordered.
"""

from collections import defaultdict
from collections.abc import Iterable

from oai_usage_pipeline.broker.fault import CONNECT, Fault, fault_of
from oai_usage_pipeline.broker.hub import Hub
from oai_usage_pipeline.broker.namespace import Namespace


class Misbehaviour:
    """The faults of a broker and how often each place had an occasion for them."""

    def __init__(self, orders: Iterable[str], seed: int = 0) -> None:
        """Read `--misbehave` options; raises BrokerError for one that can't be understood."""
        self._faults = [fault_of(order, seed) for order in orders]
        self._counts: dict[tuple[str, str], int] = defaultdict(int)

    def due(self, place: str, partition: str = "") -> list[Fault]:
        """One more occasion in this place: the faults that occur before it."""
        count = self._counts[place, partition]
        self._counts[place, partition] += 1
        return [
            each
            for each in self._faults
            if each.place == place
            and (each.partition is None or not partition or each.partition == partition)
            and each.is_due(count, partition)
        ]

    def at_connect(self, namespace: Namespace) -> list[Fault]:
        """Another client connects: what befalls the hubs then does, what befalls the client is returned."""
        found = self.due(CONNECT)
        for hub in namespace.hubs:
            for fault in found:
                befall(hub, fault)
        return [each for each in found if each.kind == "silence"]


def befall(hub: Hub, fault: Fault) -> None:
    """Let happen to a hub what happens to it as a whole."""
    if fault.kind == "expire":
        for partition in hub.partitions:
            if fault.partition in (None, partition.id):
                partition.log.drop_before(fault.number)
    elif fault.kind == "grow":
        hub.grow(fault.number)
