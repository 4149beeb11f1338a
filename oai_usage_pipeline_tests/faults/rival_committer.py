"""One of several processes that commit to the same bronze: `python -m ... PARTITION < LAKES`.

LAKES is a JSON list of locations with their storage options; the process goes through them in turn.
In each it commits events of its own partition, and the same events of a shared one as all the others.
"""

import json
import sys

from oai_usage_pipeline.capture.commit import commit
from oai_usage_pipeline.capture.landing import bronze_frame, land
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import event

RIVALS = 8
SHARED = str(RIVALS)
HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", tuple(str(each) for each in range(RIVALS + 1)))
COMMITS = 4
EVENTS = 3


def main(partition_id: str) -> None:
    fingerprint = KeyFingerprint(b"pepper of the tests", 1)
    for location, options in json.load(sys.stdin):
        lake = Lake(location, options)
        for first in range(0, COMMITS * EVENTS, EVENTS):
            numbers = range(first, first + EVENTS)
            rows = [
                land(each, event(number), fingerprint)
                for each in (partition_id, SHARED)
                for number in numbers
            ]
            commit(lambda: lake.table(OPENAI_EVENTS), HUB, bronze_frame(HUB, rows))  # noqa: B023 - called at once


if __name__ == "__main__":
    main(sys.argv[1])
