import threading
from itertools import islice

from oai_usage_pipeline.traffic.pace import UNPACED_CHUNK, Pace


class FakeTime:
    """A clock that only moves when someone waits or works."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


def test_a_rate_is_kept_on_average() -> None:
    time = FakeTime()
    pace = Pace(40, clock=time.clock, wait=time.wait)
    assert sum(islice(pace.chunks(), 41)) == 410
    assert time.now == 110.0


def test_time_spent_sending_is_not_waited_for_again() -> None:
    time = FakeTime()
    chunks = Pace(40, clock=time.clock, wait=time.wait).chunks()
    next(chunks)
    time.now += 0.2
    next(chunks)
    assert [round(wait, 3) for wait in time.waits] == [0.05]


def test_a_late_chunk_is_not_waited_for() -> None:
    time = FakeTime()
    chunks = Pace(40, clock=time.clock, wait=time.wait).chunks()
    next(chunks)
    time.now += 5
    next(chunks)
    assert time.waits == [0.0]


def test_without_a_rate_chunks_are_large_and_immediate() -> None:
    time = FakeTime()
    assert list(islice(Pace(clock=time.clock, wait=time.wait).chunks(), 2)) == [UNPACED_CHUNK] * 2
    assert time.waits == []


def test_a_slow_rate_sends_single_events() -> None:
    time = FakeTime()
    assert next(Pace(0.1, clock=time.clock, wait=time.wait).chunks()) == 1


def test_a_stop_ends_the_pace_in_the_middle_of_a_wait() -> None:
    stop = threading.Event()
    pace = Pace(1, stop, wait=lambda seconds: stop.set())
    assert list(pace.chunks()) == [1]
