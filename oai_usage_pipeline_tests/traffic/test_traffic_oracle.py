from collections import Counter
from dataclasses import replace

from oai_usage_pipeline.traffic.generator import GeneratedEvent
from oai_usage_pipeline.traffic.oracle import expected_usage, expected_usage_by


def test_groups_add_up_to_the_ledger(events: list[GeneratedEvent]) -> None:
    entries = [event.entry for event in events]
    groups = expected_usage(entries)
    assert sum(group.request_count for group in groups.values()) == len(entries)
    assert sum((group.status_counts for group in groups.values()), Counter()) == Counter(
        entry.status for entry in entries
    )
    assert sum(group.total_tokens or 0 for group in groups.values()) == sum(
        entry.total_tokens or 0 for entry in entries
    )


def test_a_sum_that_nobody_reports_is_missing_and_not_zero(events: list[GeneratedEvent]) -> None:
    embeddings = [event.entry for event in events if event.entry.operation == "embeddings"]
    group = expected_usage_by(embeddings, lambda entry: entry.operation)["embeddings"]
    assert group.input_tokens is not None
    assert group.output_tokens is None


def test_a_reported_zero_is_a_zero(events: list[GeneratedEvent]) -> None:
    entry = replace(events[0].entry, cached_input_tokens=0)
    assert expected_usage_by([entry], lambda entry: None)[None].cached_input_tokens == 0


def test_entries_can_be_grouped_by_hour(events: list[GeneratedEvent]) -> None:
    groups = expected_usage_by((event.entry for event in events), lambda entry: entry.hour_at)
    assert None in groups
    assert all(hour is None or (hour.minute, hour.second, hour.microsecond) == (0, 0, 0) for hour in groups)
