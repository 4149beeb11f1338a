"""A capture in a process that runs out of something: `python -m ... LAKE LIMIT`.

LIMIT is `files` (no further file handle), `memory` (1 MiB more of address space) or `none`. Ends with
0, or with 3 and the sentence of an error made for people.
"""

import os
import resource
import sys
from pathlib import Path

import polars as pl

from oai_usage_pipeline.capture.commit import commit
from oai_usage_pipeline.capture.landing import bronze_frame, land
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import event

HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0",))
EVENTS = 40
BODY_BYTES = 50_000
MORE_MEMORY = 2**20


def large_batch() -> pl.DataFrame:
    """Bodies that don't compress, so that they need their room on disk: 2 MB."""
    fingerprint = KeyFingerprint(b"pepper of the tests", 1)
    rows = [land("0", event(number, os.urandom(BODY_BYTES)), fingerprint) for number in range(EVENTS)]
    return bronze_frame(HUB, rows)


def limit(what: str) -> None:
    if what == "files":
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, lowest_free))
    elif what == "memory":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MORE_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(location: str, what: str) -> int:
    lake = Lake(location)
    lake.table(OPENAI_EVENTS)
    batch = large_batch()
    limit(what)
    try:
        commit(lambda: lake.table(OPENAI_EVENTS), HUB, batch, pause=lambda _: None)
    except PipelineError as error:
        print(error)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
