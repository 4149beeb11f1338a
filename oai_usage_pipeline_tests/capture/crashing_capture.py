"""A capture process that ends itself with SIGKILL: `python -m ... LAKE STEP OCCURRENCE`.

STEP is a step of the commit protocol, or `writing`: after the data file of a commit is there and
before its log entry. `never` lets it run to its end.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.capture.commit import Step
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import ListSource, event

EVENTS = 60
PARTITIONS = ("0", "1", "2")


def source() -> ListSource:
    return ListSource({each: [event(number) for number in range(EVENTS)] for each in PARTITIONS})


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_writing(lake: Path, occurrence: int) -> None:
    """Die as soon as one more data file is there than log entries that name one."""
    while True:
        data_files = len(list(lake.glob("openai_events/enqueued_date=*/*.parquet")))
        if data_files >= occurrence:
            die()


def main(lake: Path, step: str, occurrence: int) -> None:
    seen = 0

    def at_step(reached: Step) -> None:
        nonlocal seen
        seen += reached == step
        if seen == occurrence:
            die()

    if step == "writing":
        threading.Thread(target=die_while_writing, args=(lake, occurrence), daemon=True).start()
    run = CaptureRun(
        source(),
        Lake(str(lake)),
        KeyFingerprint(b"pepper of the tests", 1),
        limits=Limits(rows=25),
        at_step=at_step,
    )
    assert run.execute().errors == []


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
