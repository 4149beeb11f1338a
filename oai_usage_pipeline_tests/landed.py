"""Bronze for the tests of what follows from it: events landed through the real capture."""

from datetime import UTC, datetime

from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.capture.source import HubEvent
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.traffic.generator import generate
from oai_usage_pipeline.traffic.ledger import LedgerEntry
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import ListSource

FINGERPRINT = KeyFingerprint(b"pepper of the tests", 1)
START = datetime(2026, 3, 10, 12, tzinfo=UTC)


class Landing:
    """A hub of two partitions that receives generated traffic and is captured into a lake.

    `day` says on which day of March 2026 the hub accepts what is sent.
    """

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.entries: list[LedgerEntry] = []
        self._source = ListSource({"0": [], "1": []}, chunk=50)
        self._seed = 0

    def send(self, count: int, day: int = 10, spread_days: int = 0) -> list[LedgerEntry]:
        """Send and capture events; `spread_days` dates the calls over the days before."""
        self._seed += 1
        start = START.replace(day=day)
        events = list(generate(self._seed, start, count, spread_days))
        for number, each in enumerate(events):
            self._put(str(number % 2), each.body, start)
        self.capture()
        sent = [each.entry for each in events]
        self.entries += sent
        return sent

    def capture(self) -> None:
        """Bring bronze to the hub's head."""
        self.capture_into(self.lake)

    def capture_into(self, lake: Lake) -> None:
        """Capture the same hub into another lake."""
        assert CaptureRun(self._source, lake, FINGERPRINT).execute().errors == []

    def _put(self, partition_id: str, body: bytes, enqueued_at: datetime) -> None:
        held = self._source.partitions[partition_id]
        held.append(HubEvent(len(held), str(len(held)), int(enqueued_at.timestamp() * 1000), body))
