"""One event costs two seconds at most, and ten thousand rows: the slowest megabytes that are known.

Found by thought and by the fuzzer; each took longest in some stage. On an idle core none takes a second.
"""

import json
from time import process_time

import pytest

from oai_usage_pipeline.capture.landing import LONGEST_EVENT, bronze_frame, land
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT, chat, envelope

HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0",))
KEYS = KeyFingerprint(b"pepper")
MOST_SECONDS = 2.0
SLOW_MACHINE = 3
MOST_ROWS = 10_001


def repeated(text: str, size: int = LONGEST_EVENT) -> str:
    return text * (size // len(text))


def asked(content: str) -> bytes:
    """A call whose usage must be estimated from a long prompt."""
    request = json.dumps({"messages": [{"role": "user", "content": content}]}, ensure_ascii=False)
    return envelope(Request=request, Response=chat(None))


LONG_NUMBERS = ",".join(["1" * 4_200] * 220)
SLOWEST: dict[str, bytes] = {
    "a name in every field": envelope(
        note="my api-key: ", **{f"k{number}": f"api-key: a{number}" for number in range(30_000)}
    ),
    "a key in every text": envelope(note="my api-key: ", x=[f"api-key: {n:032x}" for n in range(15_000)]),
    "names": repeated('"api-key" ').encode(),
    "headers": repeated("authorization:bearer ").encode(),
    "keys in UTF-16": repeated('"api-key":"a1b2c3d4" ', LONGEST_EVENT // 2).encode("utf-16-le"),
    "tiny events": f"[{repeated('{},', LONGEST_EVENT - 9)}{{}}]".encode(),
    "tiny records of ours": b"[%s{}]" % repeated('{"recordVersion":1},', LONGEST_EVENT - 40).encode(),
    "records in texts": json.dumps(
        {
            "records": [
                {"category": "GatewayLlmLogs", "correlationId": str(number), "properties": '{"a":1}'}
                for number in range(10_500)
            ]
        }
    ).encode(),
    "streams": json.dumps([{"Response": "data: {}\n\n"}] * 30_000).encode(),
    "a stream of nothing": envelope(Response="data: {}\n\n" + repeated("data:\n\n", 800_000)),
    "depth": b"[" * LONGEST_EVENT,
    "a long word": asked("ab" * 500_000),
    "white space": asked(" " * 1_000_000),
    "pictures of letters": asked("\U0001f44d\U0001f3fd" * 125_000),
    "long numbers": envelope(
        Response=chat(before='"x": "\\ud800", "y": [%s1], ' % (("1" * 4_200 + ",") * 220))
    ),
    "fifty megabytes": b'{"api-key":"a1b2c3d4", ' * (50 * 2**20 // 23),
}


@pytest.mark.parametrize("body", SLOWEST.values(), ids=SLOWEST)
def test_the_slowest_events_are_bounded_in_time_and_rows(body: bytes) -> None:
    event = HubEvent(0, "0", int(ENQUEUED_AT.timestamp() * 1000), body)
    started = process_time()
    row = land("0", event, KEYS)
    landed = process_time()
    silver = derive(bronze_frame(HUB, [row]))
    derived = process_time()
    # The processor's time, so that others on the machine don't count.
    assert max(landed - started, derived - landed) < MOST_SECONDS * SLOW_MACHINE
    assert 1 <= len(silver) <= MOST_ROWS
    # A key of eight characters becomes a mark of thirty-five.
    assert sum(len(each) for each in row if isinstance(each, str | bytes)) < 5 * LONGEST_EVENT
