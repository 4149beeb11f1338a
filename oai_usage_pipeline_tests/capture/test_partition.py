"""A partition's stream: in order, once, without a hole, up to its target."""

from oai_usage_pipeline.capture.partition import PartitionStream
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline_tests.capture.list_source import event

HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0",))


def events(*numbers: int) -> list[HubEvent]:
    return [event(number) for number in numbers]


def numbers(taken: list[HubEvent]) -> list[int]:
    return [each.sequence_number for each in taken]


def stream(last: int, target: int = 100) -> PartitionStream:
    return PartitionStream(HUB, "0", last, target)


def test_events_after_the_position_are_taken() -> None:
    assert numbers(stream(4).take(events(5, 6, 7))) == [5, 6, 7]


def test_what_the_sdk_sends_again_after_a_reconnect_is_dropped_and_counted() -> None:
    partition = stream(4)
    assert numbers(partition.take(events(5, 6, 7))) == [5, 6, 7]
    assert numbers(partition.take(events(5, 6, 7, 8))) == [8]
    assert partition.duplicate_count == 3


def test_position_zero_drops_event_zero() -> None:
    assert numbers(stream(0).take(events(0, 1))) == [1]


def test_events_that_expire_before_the_first_is_read_are_a_gap_and_end_the_reading() -> None:
    partition = stream(4, target=5)
    assert numbers(partition.take(events(8, 9))) == []
    assert partition.is_done
    assert "events 5 to 7 are missing" in str(partition.gap)


def test_a_hole_keeps_what_came_before_and_names_its_exact_range() -> None:
    partition = stream(4)
    assert numbers(partition.take(events(5, 6, 9, 10))) == [5, 6]
    assert partition.is_done
    assert "partition 0: events 7 to 8 are missing" in str(partition.gap)


def test_events_out_of_order_are_a_gap() -> None:
    partition = stream(4)
    assert numbers(partition.take(events(5, 7, 6))) == [5]
    assert "events 6 to 6 are missing" in str(partition.gap)


def test_reading_ends_at_the_target() -> None:
    partition = stream(4, target=6)
    assert numbers(partition.take(events(5, 6, 7, 8))) == [5, 6]
    assert partition.is_done
    assert partition.gap is None


def test_a_stream_is_done_at_its_target_or_beyond_and_not_before() -> None:
    assert [stream(last, target=6).is_done for last in (4, 5, 6, 7)] == [False, False, True, True]
