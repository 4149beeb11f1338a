"""From an expired event to the acknowledged gap: stopped, recorded, given up by a person, gone on."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.capture.acknowledgement import acknowledge_gap
from oai_usage_pipeline.capture.backlog import backlog
from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.capture.commit import Step
from oai_usage_pipeline.capture.gaps import Gap, gaps_of, record_gap
from oai_usage_pipeline.capture.run import Captured, CaptureRun
from oai_usage_pipeline.capture.source import Deliver, Hub, PartitionBounds
from oai_usage_pipeline.errors import ConfigurationError, SourceUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import CAPTURE_GAPS, OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import FIRST_ENQUEUED_MS, ListSource, event

NOW = datetime(2026, 1, 7, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def hub(counts: dict[str, int], without: dict[str, range] | None = None) -> ListSource:
    """A hub whose partitions have so many events, of which some are not there."""
    lost = without or {}
    return ListSource(
        {
            each: [event(n) for n in range(count) if n not in lost.get(each, ())]
            for each, count in counts.items()
        }
    )


def run(source: ListSource, lake: Lake, now: datetime = NOW) -> Captured:
    fingerprint = KeyFingerprint(b"pepper of the tests", 1)
    return CaptureRun(source, lake, fingerprint, limits=Limits(rows=25), clock=lambda: now).execute()


def acknowledge(source: ListSource, lake: Lake, first: int, last: int, by: str = "Ada") -> Gap:
    return acknowledge_gap(source, lake, "0", first, last, by, "retention was a day", NOW)


def numbers(lake: Lake, partition_id: str = "0") -> list[int]:
    rows = lake.table(OPENAI_EVENTS).scan().filter(pl.col("partition_id") == partition_id).collect()
    return sorted(rows["sequence_number"])


def ranges(lake: Lake) -> list[tuple[int, int, bool]]:
    return [(*each.range, each.is_open) for each in gaps_of(lake)]


def enqueued_at(number: int) -> datetime:
    return datetime.fromtimestamp(FIRST_ENQUEUED_MS / 1000, UTC) + timedelta(seconds=number)


def assert_sound(lake: Lake) -> None:
    for invariant in (nothing_lost, nothing_doubled, positions_match):
        assert invariant(lake).holds, invariant(lake).sentence


@pytest.fixture
def expired(lake: Lake) -> ListSource:
    """A hub that lost events 10 to 14 of partition 0 before they were captured; the gap is on record."""
    run(hub({"0": 10, "1": 10}), lake)
    source = hub({"0": 30, "1": 30}, {"0": range(15)})
    run(source, lake)
    return source


def test_expired_events_are_recorded_with_the_times_around_them_and_the_others_go_on(
    expired: ListSource, lake: Lake
) -> None:
    del expired
    [gap] = gaps_of(lake)
    assert (gap.partition_id, gap.range, gap.event_count, gap.is_open) == ("0", (10, 14), 5, True)
    assert (gap.after_at, gap.before_at, gap.found_at) == (enqueued_at(9), enqueued_at(15), NOW)
    assert (len(numbers(lake)), len(numbers(lake, "1"))) == (10, 30)


def test_after_the_acknowledgement_the_partition_goes_on_by_itself(expired: ListSource, lake: Lake) -> None:
    done = acknowledge(expired, lake, 10, 14)
    assert (done.acknowledged_by, done.reason, done.acknowledged_at) == ("Ada", "retention was a day", NOW)
    captured = run(expired, lake)
    assert captured.errors == []
    assert numbers(lake) == [*range(10), *range(15, 30)]
    assert_sound(lake)
    assert run(expired, lake).commit_count == 0


def test_a_gap_that_is_recorded_is_neither_written_nor_looked_at_again(
    expired: ListSource, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("the hub was asked for what is known")

    before = lake.table(CAPTURE_GAPS).version
    monkeypatch.setattr(expired, "read", read)
    captured = run(expired, lake, NOW + timedelta(hours=1))
    assert len(captured.errors) == 1
    assert not captured.has_new_gaps
    assert lake.table(CAPTURE_GAPS).version == before


def test_a_gap_alone_is_news_until_it_is_recorded(lake: Lake) -> None:
    run(hub({"0": 10}), lake)
    source = hub({"0": 30}, {"0": range(15)})
    assert [each.has_news for each in backlog(source, lake)] == [True]
    assert run(source, lake).has_new_gaps
    assert [each.has_news for each in backlog(source, lake)] == [False]
    assert [each.has_news for each in backlog(hub({"0": 30}, {"0": range(20)}), lake)] == [True]


def test_an_open_gap_grows_with_what_expires(expired: ListSource, lake: Lake) -> None:
    del expired.partitions["0"][:5]
    run(expired, lake)
    assert ranges(lake) == [(10, 19, True)]
    assert gaps_of(lake)[0].before_at == enqueued_at(20)


def test_what_expired_after_the_acknowledgement_is_a_new_gap_named_exactly(
    expired: ListSource, lake: Lake
) -> None:
    acknowledge(expired, lake, 10, 14)
    del expired.partitions["0"][:5]
    captured = run(expired, lake)
    assert "partition 0: events 15 to 19 are missing" in str(captured.errors[0])
    assert ranges(lake) == [(10, 14, False), (15, 19, True)]
    assert gaps_of(lake)[1].after_at == enqueued_at(9)
    acknowledge(expired, lake, 15, 19)
    assert run(expired, lake).errors == []
    assert numbers(lake) == [*range(10), *range(20, 30)]
    assert_sound(lake)


def test_a_hole_in_the_middle_is_a_gap_like_any_other(lake: Lake) -> None:
    source = hub({"0": 30}, {"0": range(12, 15)})
    assert "events 12 to 14 are missing" in str(run(source, lake).errors[0])
    [gap] = gaps_of(lake)
    assert (gap.range, gap.after_at, gap.before_at) == ((12, 14), enqueued_at(11), enqueued_at(15))
    acknowledge(source, lake, 12, 14)
    assert run(source, lake).errors == []
    assert numbers(lake) == [*range(12), *range(15, 30)]
    assert_sound(lake)


def test_a_partition_from_which_everything_expired_goes_on_with_what_comes_next(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(hub({"0": 10}), lake)
    source = hub({"0": 0})
    with monkeypatch.context() as patched:
        patched.setattr(source, "bounds", lambda _: PartitionBounds(first=30, last=29))
        # A real hub would be waited for in vain.
        source.failing = {"0"}
        assert "events 10 to 29 are missing" in str(run(source, lake).errors[0])
        [gap] = gaps_of(lake)
        assert (gap.range, gap.before_at) == ((10, 29), NOW)
        acknowledge(source, lake, 10, 29)
        assert run(source, lake).errors == []
        [held] = backlog(source, lake)
        assert (held.event_count, held.gap) == (0, None)
    source.failing = set()
    source.partitions["0"] = [event(30), event(31)]
    assert run(source, lake).errors == []
    assert numbers(lake) == [*range(10), 30, 31]
    assert_sound(lake)


def test_two_holes_are_met_and_acknowledged_one_after_the_other(lake: Lake) -> None:
    lost = [*range(5, 8), *range(12, 15)]
    source = ListSource({"0": [event(number) for number in range(30) if number not in lost]})
    for first, last in ((5, 7), (12, 14)):
        assert f"events {first} to {last} are missing" in str(run(source, lake).errors[0])
        acknowledge(source, lake, first, last)
    assert run(source, lake).errors == []
    assert numbers(lake) == [number for number in range(30) if number not in lost]


def test_an_acknowledged_hole_at_the_very_end_leaves_nothing_to_wait_for(lake: Lake) -> None:
    run(hub({"0": 10}), lake)
    source = hub({"0": 15}, {"0": range(10, 14)})
    run(source, lake)
    acknowledge(source, lake, 10, 13)
    record_gap(lake, source.describe(), "0", 14, 14, None, None, NOW)
    del source.partitions["0"][-1]
    held = backlog(hub({"0": 15}), lake)[0]
    assert (held.event_count, held.target) == (5 - 4, 14)
    acknowledge_gap(source, lake, "0", 14, 14, "Ada", "lost too", NOW)
    held = backlog(hub({"0": 15}), lake)[0]
    assert (held.event_count, held.target, held.gap) == (0, 9, None)


def test_events_missing_only_for_a_while_are_taken_and_forgotten_as_a_gap(lake: Lake) -> None:
    source = hub({"0": 30}, {"0": range(12, 15)})
    run(source, lake)
    assert ranges(lake) == [(12, 14, True)]
    captured = run(hub({"0": 30}), lake)
    assert (captured.errors, captured.has_new_gaps, captured.gaps) == ([], True, [])
    assert gaps_of(lake) == []
    assert numbers(lake) == list(range(30))


def test_a_hole_that_the_hub_fills_when_asked_again_is_not_recorded(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = hub({"0": 30}, {"0": range(12, 15)})
    read = source.read
    whole = hub({"0": 30})
    reads: list[int | None] = []

    def read_again(partition_id: str, after: int | None, deliver: Deliver) -> None:
        reads.append(after)
        (read if len(reads) == 1 else whole.read)(partition_id, after, deliver)

    monkeypatch.setattr(source, "read", read_again)
    assert "events 12 to 14 are missing" in str(run(source, lake).errors[0])
    assert reads == [None, 11]
    assert gaps_of(lake) == []


def test_acknowledged_events_that_come_after_all_are_taken(expired: ListSource, lake: Lake) -> None:
    acknowledge(expired, lake, 10, 14)
    expired.partitions["0"][:0] = [event(12), event(13)]
    assert run(expired, lake).errors == []
    assert numbers(lake) == [*range(10), 12, 13, *range(15, 30)]
    assert_sound(lake)


def test_a_hole_in_bronze_that_is_on_record_is_accounted_for_only_once_it_is_acknowledged(lake: Lake) -> None:
    source = hub({"0": 10})
    run(source, lake)
    DeltaTable(lake.uri(OPENAI_EVENTS)).delete("sequence_number IN (4, 5, 7)")
    record_gap(lake, source.describe(), "0", 3, 5, None, None, NOW)
    record_gap(lake, source.describe(), "0", 7, 7, None, None, NOW)
    assert "4 to 5, 7 to 7" in nothing_lost(lake).sentence
    # Of the first gap, one event is there: it isn't healed by that.
    run(source, lake)
    assert ranges(lake) == [(3, 5, True), (7, 7, True)]
    source.partitions["0"] = [event(9)]
    acknowledge(source, lake, 3, 5)
    finding = nothing_lost(lake)
    assert (finding.holds, finding.figures) == (False, {"events": 7, "missing": 1, "acknowledged": 2})
    acknowledge(source, lake, 7, 7)
    assert nothing_lost(lake).holds


def test_only_an_open_gap_exactly_as_recorded_can_be_acknowledged(expired: ListSource, lake: Lake) -> None:
    for first, last in ((10, 13), (11, 14), (10, 15), (0, 14)):
        with pytest.raises(ConfigurationError, match=r"has no open gap .*Open are:\n5 events.*10 to 14"):
            acknowledge(expired, lake, first, last)
    with pytest.raises(ConfigurationError, match="partition 1 has no open gap 10 to 14"):
        acknowledge_gap(expired, lake, "1", 10, 14, "Ada", "why not", NOW)
    assert ranges(lake) == [(10, 14, True)]


def test_where_no_gap_is_open_it_is_said_how_one_comes_on_record(expired: ListSource, lake: Lake) -> None:
    acknowledge(expired, lake, 10, 14)
    with pytest.raises(ConfigurationError) as said:
        acknowledge(expired, lake, 10, 15)
    assert str(said.value) == (
        f"{expired.describe().event_hub} partition 0 has no open gap 10 to 15. None is open: "
        "`oai-usage repair` records what `oai-usage verify` finds missing"
    )


def test_who_and_why_must_be_said(expired: ListSource, lake: Lake) -> None:
    for by, why in ((" ", "because"), ("Ada", "")):
        with pytest.raises(ConfigurationError, match="It must be said"):
            acknowledge_gap(expired, lake, "0", 10, 14, by, why, NOW)


def test_what_the_hub_can_still_deliver_is_not_given_up(expired: ListSource, lake: Lake) -> None:
    expired.partitions["0"].insert(0, event(14))
    with pytest.raises(ConfigurationError, match="The hub still has event 14 of partition 0"):
        acknowledge(expired, lake, 10, 14)
    assert ranges(lake) == [(10, 14, True)]


def test_a_hub_that_cannot_be_asked_acknowledges_nothing(expired: ListSource, lake: Lake) -> None:
    expired.failing = {"0"}
    with pytest.raises(SourceUnavailable):
        acknowledge(expired, lake, 10, 14)
    assert ranges(lake) == [(10, 14, True)]


def test_a_gap_is_recorded_even_where_the_event_after_it_cannot_be_read(lake: Lake) -> None:
    run(hub({"0": 10}), lake)
    source = hub({"0": 30}, {"0": range(15)})
    source.failing = {"0"}
    run(source, lake)
    assert gaps_of(lake)[0].before_at == NOW


def test_a_second_acknowledgement_is_told_of_the_first(expired: ListSource, lake: Lake) -> None:
    acknowledge(expired, lake, 10, 14)
    with pytest.raises(ConfigurationError, match=r"acknowledged already: .* by Ada at"):
        acknowledge(expired, lake, 10, 14, by="Bob")
    assert [each.acknowledged_by for each in gaps_of(lake)] == ["Ada"]


def test_of_two_who_acknowledge_at_once_one_does(expired: ListSource, lake: Lake) -> None:
    def attempt(by: str) -> str | None:
        try:
            return acknowledge(expired, lake, 10, 14, by).acknowledged_by
        except ConfigurationError:
            return None

    with ThreadPoolExecutor(4) as pool:
        done = [each for each in pool.map(attempt, ("Ada", "Bob", "Cleo", "Dan")) if each]
    assert done == [each.acknowledged_by for each in gaps_of(lake)]


def test_a_gap_of_a_former_life_of_the_hub_can_be_acknowledged_too(expired: ListSource, lake: Lake) -> None:
    expired.incarnation = "2026-02-01T00:00:00.000Z"
    expired.partitions["0"] = [event(number) for number in range(20)]
    assert acknowledge(expired, lake, 10, 14).incarnation != expired.incarnation
    assert ranges(lake) == [(10, 14, False)]


def test_of_the_same_gap_in_two_lives_the_present_one_is_acknowledged_first(
    expired: ListSource, lake: Lake
) -> None:
    former = Hub(expired.describe().event_hub, "2025-01-01T00:00:00.000Z", ("0",))
    record_gap(lake, former, "0", 10, 14, None, None, NOW)
    assert acknowledge(expired, lake, 10, 14).incarnation == expired.incarnation
    assert [(each.incarnation, each.is_open) for each in gaps_of(lake)] == [
        (former.incarnation, True),
        (expired.incarnation, False),
    ]
    assert acknowledge(expired, lake, 10, 14, by="Bob").incarnation == former.incarnation


def test_a_gap_of_another_hub_is_acknowledged_by_its_name_without_asking_any_hub(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = hub({"0": 10})
    other = Hub("former-namespace/hub", source.incarnation, ("0",))
    record_gap(lake, other, "0", 3, 5, None, None, NOW)
    with pytest.raises(ConfigurationError, match="--hub former-namespace/hub --by"):
        acknowledge(source, lake, 3, 5)
    monkeypatch.delattr(ListSource, "describe")
    done = acknowledge_gap(source, lake, "0", 3, 5, "Ada", "hub is gone", NOW, other_hub=other.event_hub)
    assert (done.event_hub, gaps_of(lake)) == (other.event_hub, [done])


def test_a_hub_that_was_set_back_is_no_gap_and_says_what_to_do(lake: Lake) -> None:
    run(hub({"0": 20}), lake)
    captured = run(hub({"0": 10}), lake)
    assert "can't be acknowledged" in str(captured.errors[0])
    assert gaps_of(lake) == []
    assert [each.has_news for each in backlog(hub({"0": 10}), lake)] == [False]


def test_a_run_that_ends_before_it_records_a_gap_leaves_that_to_the_next(lake: Lake) -> None:
    run(hub({"0": 10, "1": 10}), lake)
    source = hub({"0": 30, "1": 30}, {"0": range(15)})

    def die(step: Step) -> None:
        if step == "appended":
            raise KeyboardInterrupt

    fingerprint = KeyFingerprint(b"pepper of the tests", 1)
    with pytest.raises(KeyboardInterrupt):
        CaptureRun(source, lake, fingerprint, at_step=die).execute()
    assert (gaps_of(lake), len(numbers(lake, "1"))) == ([], 30)
    source.closed = False
    run(source, lake)
    assert ranges(lake) == [(10, 14, True)]


@pytest.mark.parametrize("step", ["opened", "checked", "appended"])
def test_a_run_that_dies_on_its_way_over_an_acknowledged_gap_is_taken_up_again(
    step: Step, expired: ListSource, lake: Lake
) -> None:
    acknowledge(expired, lake, 10, 14)

    def die(reached: Step) -> None:
        if reached == step:
            raise KeyboardInterrupt

    fingerprint = KeyFingerprint(b"pepper of the tests", 1)
    with pytest.raises(KeyboardInterrupt):
        CaptureRun(expired, lake, fingerprint, at_step=die).execute()
    expired.closed = False
    assert run(expired, lake).errors == []
    assert numbers(lake) == [*range(10), *range(15, 30)]
    assert_sound(lake)


def test_events_that_expire_while_the_first_capture_begins_stop_it_until_they_are_given_up(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = hub({"0": 20})
    held_at_first = {each: source.bounds(each) for each in source.partitions}
    with monkeypatch.context() as patched:
        patched.setattr(source, "bounds", held_at_first.__getitem__)
        source.partitions["0"] = [event(number) for number in range(10, 30)]
        run(source, lake)
    [gap] = gaps_of(lake)
    assert (gap.range, gap.after_at, gap.is_open) == ((0, 9), None, True)
    # More expires: the next run stops, too, and what is on record grows.
    del source.partitions["0"][:2]
    captured = run(source, lake)
    assert "events 0 to 11 are missing" in str(captured.errors[0])
    assert captured.event_count == 0
    assert [each.has_news for each in backlog(source, lake)] == [False]
    assert ranges(lake) == [(0, 11, True)]
    acknowledge(source, lake, 0, 11)
    assert run(source, lake).errors == []
    assert numbers(lake) == list(range(12, 30))
    assert_sound(lake)


def test_a_first_capture_that_was_stopped_takes_the_events_that_come_after_all(lake: Lake) -> None:
    source = hub({"0": 20})
    record_gap(lake, source.describe(), "0", 0, 9, None, None, NOW)
    assert run(source, lake).errors == []
    assert numbers(lake) == list(range(20))
    assert gaps_of(lake) == []
