import hashlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.traffic.generator import GeneratedEvent, generate
from oai_usage_pipeline.traffic.mix import MIX
from oai_usage_pipeline.traffic.teams import TEAMS, key_sha256, team_keys

START = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
FIELDS = ["EventTime", "AppSubscriptionKey", "Request", "Response"]


def readable(events: list[GeneratedEvent]) -> list[GeneratedEvent]:
    return [
        event
        for event in events
        if event.entry.kind != "not_json" and not event.entry.kind.startswith("truncated")
    ]


def test_same_seed_and_start_give_the_same_bytes() -> None:
    first, second = (list(generate(3, START, 300, days=2)) for _ in range(2))
    assert first == second


def test_another_seed_gives_other_bytes_and_other_keys() -> None:
    first, second = (list(generate(seed, START, 50)) for seed in (3, 4))
    assert not {event.body for event in first} & {event.body for event in second}
    assert not set(team_keys(3).values()) & set(team_keys(4).values())


def test_a_longer_run_at_a_rate_begins_with_the_shorter_one() -> None:
    short, long = (list(generate(3, START, count, rate=10)) for count in (50, 100))
    assert long[:50] == short


def test_endless_traffic_can_be_drawn_from(start: datetime) -> None:
    endless = generate(3, start, None, rate=10)
    assert [next(endless).entry.event_id for _ in range(3)] == [0, 1, 2]


def test_endless_traffic_can_not_be_spread_over_days(start: datetime) -> None:
    with pytest.raises(ConfigurationError, match="endless"):
        generate(3, start, None, days=3)


def test_each_message_has_exactly_the_four_fields_in_order(events: list[GeneratedEvent]) -> None:
    for event in readable(events):
        message = json.loads(event.body)
        assert list(message) == FIELDS
        assert isinstance(message["Request"], str)
        assert isinstance(message["Response"], str) or event.entry.kind == "null_response"


def test_bodies_are_indented_like_newtonsoft(events: list[GeneratedEvent]) -> None:
    for event in readable(events):
        assert event.body.startswith((b'{\n  "EventTime": "', b'{\r\n  "EventTime": "'))
        request = json.loads(event.body)["Request"]
        assert request.startswith(('{\n  "', '{\r\n  "'))
        json.loads(request)


def test_every_key_is_32_hex_characters_and_belongs_to_the_team(events: list[GeneratedEvent]) -> None:
    keys = team_keys(11)
    assert {len(bytes.fromhex(key)) for key in keys.values()} == {16}
    for event in readable(events):
        key = json.loads(event.body)["AppSubscriptionKey"]
        assert event.entry.team is not None
        assert key == keys[event.entry.team]
        assert event.entry.subscription_key_sha256 == key_sha256(key)


def test_the_median_message_has_about_3_kb_and_a_few_have_more_than_30(events: list[GeneratedEvent]) -> None:
    sizes = [event.entry.size for event in events]
    assert 2_500 < median(sizes) < 4_500
    assert 0.05 < sum(size > 30 * 1024 for size in sizes) / len(sizes) < 0.15
    assert 0.005 < sum(size > 50 * 1024 for size in sizes) / len(sizes) < 0.05
    assert max(sizes) == 200 * 1024


def test_embeddings_hold_real_vectors(events: list[GeneratedEvent]) -> None:
    found = [event for event in events if event.entry.kind == "embeddings"]
    for event in found[:20]:
        (item,) = json.loads(json.loads(event.body)["Response"])["data"]
        assert len(item["embedding"]) == 1536
        assert 0.8 < sum(x * x for x in item["embedding"]) < 1.2
        assert 30_000 < event.entry.size < 50_000


def test_every_kind_of_the_mix_occurs_about_as_often_as_it_says(events: list[GeneratedEvent]) -> None:
    found = Counter(event.entry.kind for event in events)
    assert set(found) == {kind.name for kind in MIX}
    assert sum(kind.weight for kind in MIX) == 1000
    for kind in MIX:
        expected = kind.weight * len(events) / 1000
        assert abs(found[kind.name] - expected) < 5 * expected**0.5


def test_every_team_calls_and_only_known_teams_do(events: list[GeneratedEvent]) -> None:
    assert {event.entry.team for event in events} == {team.name for team in TEAMS} | {None}


def test_response_ids_and_bodies_are_unique(events: list[GeneratedEvent]) -> None:
    ids = [event.entry.response_id for event in events if event.entry.response_id]
    assert len(ids) == len(set(ids))
    assert len({event.entry.sha256 for event in events}) == len(events)


def test_ids_and_hashes_of_the_ledger_are_those_of_the_message(events: list[GeneratedEvent]) -> None:
    for event in events:
        assert event.entry.sha256 == hashlib.sha256(event.body).hexdigest()
        assert event.entry.size == len(event.body)
        assert event.entry.partition_key == event.partition_key
    for event in readable(events):
        message = json.loads(event.body)
        assert event.entry.request_sha256 == hashlib.sha256(message["Request"].encode()).hexdigest()
        assert event.entry.event_time == message["EventTime"]


def test_what_is_cut_is_exactly_200_kb_and_no_json_any_more(events: list[GeneratedEvent]) -> None:
    cut = [event for event in events if event.entry.kind.startswith("truncated")]
    assert len(cut) > 10
    for event in cut:
        assert event.entry.size == 204_800
        assert event.entry.status == "unmetered"
        with pytest.raises(ValueError):
            json.loads(event.body)


def test_what_is_not_json_names_no_team_and_no_time(events: list[GeneratedEvent]) -> None:
    for event in events:
        if event.entry.kind == "not_json":
            assert (event.entry.team, event.entry.event_time, event.entry.status) == (None, None, "rejected")
            with pytest.raises(ValueError):
                json.loads(event.body)


def test_events_without_days_or_rate_lie_just_before_the_start(events: list[GeneratedEvent]) -> None:
    instants = [event.entry.event_at for event in events if event.entry.event_at]
    assert max(instants) < START
    assert min(instants) > START - timedelta(hours=1, seconds=6)


def test_days_spread_events_over_each_of_the_last_days() -> None:
    spread = [event.entry.usage_date for event in generate(3, START, 3000, days=3)]
    found = Counter(day for day in spread if day)
    assert [found[START.date() - timedelta(days=n)] > 400 for n in range(4)] == [True, True, True, True]


def test_a_seventh_digit_of_nines_stays_in_its_hour() -> None:
    last_ticks = [
        event.entry
        for event in generate(3, START, 3000, days=3)
        if event.entry.event_time and event.entry.event_time.endswith(":59:59.9999999Z")
    ]
    assert last_ticks
    for entry in last_ticks:
        assert entry.event_at is not None
        assert entry.event_at.minute == 59
        assert entry.hour_at == entry.event_at.replace(minute=0, second=0, microsecond=0)


def test_no_key_stands_in_a_ledger_line(events: list[GeneratedEvent]) -> None:
    lines = "\n".join(event.entry.to_json(1) for event in events)
    for key in team_keys(11).values():
        assert key not in lines
