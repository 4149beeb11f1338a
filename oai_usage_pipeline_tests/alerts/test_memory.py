"""What is news: each condition once when it has lasted, at times while it does, once when it has ended."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.alerts.memory import (
    DAY,
    Condition,
    Episode,
    Memory,
    News,
    Told,
    episodes,
    news,
    told_after,
)

START = datetime(2026, 11, 28, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SETTLING = 3 * MINUTE
GAP = Condition("check no_gap of openai_events", "events 100 to 249 are missing", "oai-usage gaps")
DAMAGED = Condition("check files_are_whole of openai_events", "a file is missing", "oai-usage repair")


class Receiver:
    """Somebody who remembers the news, and doesn't take them while `is_away`."""

    def __init__(self) -> None:
        self.episodes: dict[str, Episode] = {}
        self.told: dict[str, Told] = {}
        self.heard: list[tuple[datetime, str, str]] = []

    def look(self, now: datetime, *found: Condition, is_away: bool = False) -> News:
        self.episodes = episodes(self.episodes, found, now, SETTLING)
        due = news(self.told, found, self.episodes, now, SETTLING)
        if not is_away:
            self.told = told_after(self.told, due, now)
            self.heard += [(now, "begun", each.name) for each, _ in due.begun]
            self.heard += [(now, "lasting", each.name) for each, _ in due.lasting]
            self.heard += [(now, "ended", name) for name, _ in due.ended]
        return due

    def words(self) -> list[str]:
        return [word for _, word, _ in self.heard]


def test_what_lasts_is_told_once_with_its_beginning_and_once_when_it_has_ended() -> None:
    receiver = Receiver()
    for minute in range(10):
        receiver.look(START + minute * MINUTE, GAP)
    for minute in range(10, 20):
        receiver.look(START + minute * MINUTE)
    assert receiver.heard == [
        (START + SETTLING, "begun", GAP.name),
        (START + 9 * MINUTE + SETTLING, "ended", GAP.name),
    ]


def test_what_passes_is_never_told() -> None:
    receiver = Receiver()
    for minute in range(60):
        receiver.look(START + minute * MINUTE, *([GAP] if minute % 9 < 3 else []))
    assert receiver.heard == []


def test_what_comes_and_goes_is_one_episode() -> None:
    receiver = Receiver()
    for minute in range(60):
        receiver.look(START + minute * MINUTE, *([GAP] if minute % 2 else []))
    assert receiver.words() == ["begun"]


def test_what_lasts_is_mentioned_again_after_its_own_time() -> None:
    receiver = Receiver()
    weekly = Condition("warning", "some calls have no price", "prices", reminder=7 * DAY)
    for hour in range(24 * 8):
        receiver.look(START + timedelta(hours=hour), GAP, weekly)
    assert Counter((word, name) for _, word, name in receiver.heard) == {
        ("begun", GAP.name): 1,
        ("lasting", GAP.name): 7,
        ("begun", "warning"): 1,
        ("lasting", "warning"): 1,
    }


def test_what_could_not_be_delivered_is_still_news() -> None:
    receiver = Receiver()
    for minute in range(6):
        assert receiver.look(START + minute * MINUTE, GAP, is_away=True).is_any == (minute >= 3)
    assert [each.name for each, _ in receiver.look(START + 6 * MINUTE, GAP, DAMAGED).begun] == [GAP.name]
    for minute in range(7, 20):
        receiver.look(START + minute * MINUTE, is_away=True)
    assert receiver.look(START + 20 * MINUTE).ended == [(GAP.name, START)]


def test_a_beginning_that_is_known_better_counts() -> None:
    early = Condition("capture is behind", "10 events wait", "status", since=START - SETTLING)
    assert Receiver().look(START, early).begun == [(early, START - SETTLING)]


def test_an_outage_of_the_watch_itself_goes_on_where_it_was() -> None:
    receiver = Receiver()
    for minute in (0, 1, 2, 3, 90, 91):
        receiver.look(START + minute * MINUTE, GAP)
    assert receiver.words() == ["begun"]


def test_memory_survives_being_written_and_a_text_of_another_version() -> None:
    memory = Memory(
        episodes={"a": Episode(since=START, seen=START)},
        told={"1 (json)": {"a": Told(since=START, at=START)}},
    )
    assert Memory.of(memory.model_dump_json()) == memory
    assert Memory.of(None) == Memory.of('{"episodes": 1}') == Memory.of("no JSON") == Memory()


LOOKS = st.lists(
    st.tuples(st.integers(1, 2000), st.sets(st.sampled_from([GAP, DAMAGED])), st.booleans()), max_size=60
)


@settings(deadline=None)
@given(LOOKS)
def test_whatever_happens_each_message_has_its_place(looks: list[tuple[int, set[Condition], bool]]) -> None:
    """Begun and ended take turns, reminders lie between them a day apart, and in the end all is known."""
    receiver, now = Receiver(), START
    for minutes, found, is_away in looks:
        now += minutes * MINUTE
        receiver.look(now, *found, is_away=is_away)
    for name in (GAP.name, DAMAGED.name):
        heard = [(at, word) for at, word, about in receiver.heard if about == name]
        turns = [word for _, word in heard if word != "lasting"]
        assert turns == ["begun", "ended"] * (len(turns) // 2) + ["begun"] * (len(turns) % 2)
        for (before, _), (at, word) in pairwise(heard):
            assert word != "lasting" or at - before >= DAY
    receiver.look(now + SETTLING)
    assert receiver.told == {}
