"""Asking the hub what it holds ends when it is told to, whatever the hub does."""

import threading
from pathlib import Path

import pytest

from oai_usage_pipeline.capture.backlog import CONCURRENT_QUESTIONS, backlog
from oai_usage_pipeline.capture.source import PartitionBounds
from oai_usage_pipeline.errors import SourceUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline_tests.capture.list_source import ListSource


class SilentHub(ListSource):
    """Answers no question until it is closed, but for the first, of which it raises what it is given."""

    def __init__(self, error: BaseException) -> None:
        super().__init__({str(number): [] for number in range(4 * CONCURRENT_QUESTIONS)})
        self.error = error
        self.asked: list[str] = []
        self.ended_by_closing: list[bool] = []
        self._is_closed = threading.Event()

    def bounds(self, partition_id: str) -> PartitionBounds:
        self.asked.append(partition_id)
        if partition_id == "0":
            raise self.error
        self.ended_by_closing.append(self._is_closed.wait(timeout=5))
        raise SourceUnavailable("closed")

    def close(self) -> None:
        self._is_closed.set()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SourceUnavailable("partition 0 doesn't answer")])
def test_what_ends_the_questions_waits_for_none_of_the_others(error: BaseException, tmp_path: Path) -> None:
    hub = SilentHub(error)
    with pytest.raises(type(error)):
        backlog(hub, Lake(str(tmp_path)))
    assert all(hub.ended_by_closing)
    # The others are not even begun; the thread that failed may have taken another one by then.
    assert len(hub.asked) <= CONCURRENT_QUESTIONS + 1
