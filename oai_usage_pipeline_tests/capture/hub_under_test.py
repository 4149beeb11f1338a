"""A real hub that misbehaves on order, and a real lake that captures it.

Belongs here: what the tests of the hub's faults share: two partitions of known events, captures, and the
comparison of bronze with what was sent.
"""

import shutil
from collections.abc import Callable

import polars as pl

from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.capture.commit import Step
from oai_usage_pipeline.capture.event_hub import EventHubSource
from oai_usage_pipeline.capture.run import Captured, CaptureRun
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.settings import Settings
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.running_broker import RunningBroker, send

EVENTS = 800
SILENCE_SECONDS = 3.0
FINGERPRINT = KeyFingerprint(b"pepper of the tests", 1)


def body(text: str) -> str:
    """An envelope that carries a text to be found again in bronze."""
    return (
        '{"EventTime":"2026-01-05T08:00:00Z","AppSubscriptionKey":"0123456789abcdef0123456789abcdef",'
        f'"Request":"{text}","Response":"{{}}"}}'
    )


def texts(partition_id: str, count: int, life: str = "first") -> list[str]:
    return [f"{life} {partition_id} {number}" for number in range(count)]


class HubUnderTest:
    """`sent` is, by partition, what the present life of the hub was sent."""

    def __init__(self, broker: RunningBroker, lake: Lake) -> None:
        self.broker = broker
        self.lake = lake
        self.sent: dict[str, list[str]] = {}

    def send(self, partition_id: str, count: int, life: str = "first") -> None:
        new = texts(partition_id, count, life)
        send(self.broker, [body(each) for each in new], partition_id=partition_id)
        self.sent[partition_id] = self.sent.get(partition_id, []) + new

    def behave(self, *orders: str, seed: int = 0, options: tuple[str, ...] = ()) -> None:
        """Start the broker anew with these orders, or honest; `options` are others of its own."""
        ordered = [word for each in orders for word in ("--misbehave", each)]
        self.broker.options = (*options, *ordered, "--misbehave-seed", str(seed))
        self.broker.restart()

    def make_again(self, first_sequence: int, counts: dict[str, int]) -> None:
        """Delete the hub and make one of the same name, honest, with other events."""
        self.broker.stop()
        shutil.rmtree(self.broker.data)
        self.sent = {}
        self.behave(options=("--first-sequence", str(first_sequence)))
        for partition_id, count in counts.items():
            self.send(partition_id, count, life="second")

    def capture(
        self,
        at_step: Callable[[Step], None] = lambda _: None,
        limits: Limits | None = None,
        connection_string: str | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> Captured:
        source = EventHubSource(
            Settings(
                event_hub_connection_string=connection_string or self.broker.connection_string,
                event_hub_name="hub",
            ),
            silence_seconds=silence_seconds,
        )
        try:
            run = CaptureRun(source, self.lake, FINGERPRINT, limits=limits or Limits(), at_step=at_step)
            return run.execute()
        finally:
            source.close()

    def landed(self, incarnation: str) -> dict[str, list[str]]:
        """What bronze holds of a life of the hub, by partition in the order of the numbers."""
        rows = (
            self.lake.existing(OPENAI_EVENTS)
            .scan()
            .filter(pl.col("incarnation") == incarnation)
            .sort("sequence_number")
            .group_by("partition_id", maintain_order=True)
            .agg("Request")
            .collect()
        )
        return dict(rows.iter_rows())

    def assert_all_is_captured(self, captured: Captured) -> None:
        """Bronze equals what was sent, and one more run finds nothing to do."""
        assert captured.errors == []
        assert self.landed(captured.incarnation) == self.sent
        self.assert_consistent()
        again = self.capture()
        assert (again.errors, again.event_count, again.commit_count) == ([], 0, 0)

    def assert_consistent(self) -> None:
        for invariant in (nothing_lost, nothing_doubled, positions_match):
            found = invariant(self.lake)
            assert found.holds, found.sentence


def once(action: Callable[[], None]) -> Callable[[Step], None]:
    """For `at_step`: do something at the first step of the first commit."""
    todo = [action]
    return lambda _: todo.pop()() if todo else None
