"""Memory that a thread has freed goes back to the system."""

import threading

import psutil
import pytest

from oai_usage_pipeline.orchestration import memory

PIECES = 12_000
BYTES = 4_096


def test_what_a_thread_has_freed_is_given_back() -> None:
    if memory._trim() is None:
        pytest.skip("this C library has no malloc_trim, and keeps what it likes")
    lasting: list[bytes] = []

    def work() -> None:
        pieces = [bytes(BYTES) for _ in range(PIECES)]
        # Few of them keep the arena as it is.
        lasting.extend(pieces[::100])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    own = psutil.Process()
    before = own.memory_info().rss
    memory.give_back()
    assert before - own.memory_info().rss > PIECES * BYTES / 2
