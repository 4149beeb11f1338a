"""The embedded stack under a test's control: a running broker, settings led to it, traffic on demand."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from oai_usage_pipeline.broker.process import BrokerProcess
from oai_usage_pipeline.capture.backlog import backlog
from oai_usage_pipeline.embedded.comparison import Comparison, compare
from oai_usage_pipeline.embedded.stack import HUB, EmbeddedStack
from oai_usage_pipeline.orchestration.passes import run_until_idle
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.traffic.generator import generate
from oai_usage_pipeline.traffic.ledger import Ledger, LedgerHeader
from oai_usage_pipeline.traffic.sender import Hub, send


class EmbeddedLake:
    """A stack in a folder with its broker running."""

    def __init__(self, stack: EmbeddedStack, broker: BrokerProcess) -> None:
        self.stack = stack
        self.broker = broker
        self.pipeline = Pipeline()

    def send(self, count: int, days: int = 0) -> None:
        """Send generated traffic with a ledger of its own."""
        seed, path = self.stack.next_ledger()
        start = datetime.now(UTC)
        with Ledger(path, LedgerHeader(seed, start.isoformat(), count, days)) as ledger:
            hub = Hub(HUB, self.broker.connection_string)
            assert send(hub, generate(seed, start, count, days), ledger) == count

    def run(self) -> int:
        """Passes through Dagster until nothing is left; returns how many."""
        with dg.DagsterInstance.ephemeral() as instance:
            return run_until_idle(instance, self.pipeline)

    def lag(self) -> dict[str, int]:
        """Events by partition that the hub has and bronze hasn't."""
        with self.pipeline.source() as source:
            return {each.partition_id: each.event_count for each in backlog(source, self.pipeline.lake())}

    def compare(self) -> Comparison:
        """Gold against the ledgers."""
        return compare(self.pipeline.lake(), self.stack.ledgers, self.pipeline.fingerprint())


@contextmanager
def embedded_lake(folder: Path, partitions: int = 2) -> Iterator[EmbeddedLake]:
    """Start a stack in a folder; the environment leads to it meanwhile."""
    stack = EmbeddedStack(folder, partitions)
    with stack.running() as broker:
        yield EmbeddedLake(stack, broker)
