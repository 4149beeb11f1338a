"""How long capture is behind, by marks: short while it keeps up, however busy the hub is."""

from datetime import UTC, datetime, timedelta

from oai_usage_pipeline.alerts.lag import Mark, marks
from oai_usage_pipeline.capture.backlog import PartitionBacklog
from oai_usage_pipeline.capture.source import Hub, PartitionBounds

START = datetime(2026, 11, 28, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HUB = Hub("contoso/openai-usage", "2026-01-01T00:00:00Z", ("0",))


def stand(position: int | None, last: int, first: int = 0) -> list[PartitionBacklog]:
    return [PartitionBacklog(HUB, "0", position, PartitionBounds(first, last))]


def test_a_mark_stays_until_capture_has_reached_it() -> None:
    first = marks({}, stand(None, 99), START)
    assert first == {HUB.app_id("0"): Mark(sequence_number=99, at=START)}
    assert marks(first, stand(98, 500), START + MINUTE) == first
    after = marks(first, stand(99, 700), START + 2 * MINUTE)
    assert after == {HUB.app_id("0"): Mark(sequence_number=700, at=START + 2 * MINUTE)}


def test_nothing_that_waits_has_no_mark() -> None:
    before = marks({}, stand(10, 99), START)
    assert marks(before, stand(99, 99), START + MINUTE) == {}


def test_a_partition_that_a_gap_stopped_is_told_as_a_gap_and_not_as_lag() -> None:
    assert marks({}, stand(10, 99, first=50), START) == {}
