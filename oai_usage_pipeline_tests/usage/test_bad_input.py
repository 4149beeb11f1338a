"""Bad input, class by class: the batch goes on, the raw is kept, a reason says why.

Here each class is tried through bronze and silver as a whole. Its members are each tried, with the exact
reason, where the table says.

| class    | its members, each with its reason                                                        |
|----------|------------------------------------------------------------------------------------------|
| Bytes    | test_envelope `UNREADABLE`; cuts in test_derive, shapes/; ../capture/test_amqp_bodies     |
| JSON     | test_envelope `UNREADABLE`, test_metering (doubled fields, depth, digits), test_estimates |
| Counts   | test_metering, test_streams, shapes/test_policy, test_simple_shapes, test_diagnostics    |
| Bodies   | test_metering, test_streams, test_units, test_endings, test_stored_objects, test_corpus  |
| Envelope | test_event_times `READABLE`, `REPLACED`; test_fingerprint, test_calls, ../test_canary    |
| Values   | ../capture/test_misfits: what no column holds, and events longer than a hub takes         |
| Times    | test_limits: the slowest inputs that are known, each within two seconds                   |
| Names    | `NAMES` below, in every column that takes one                                            |
"""

import base64
import gzip
import json
import zlib
from typing import Any

import polars as pl
import pytest

from oai_usage_pipeline.tables import STATUSES, USAGE_EVENTS
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline_tests.usage.bodies import (
    DONE,
    ENQUEUED_AT,
    USAGE,
    bronze,
    chat,
    chunk,
    envelope,
)
from oai_usage_pipeline_tests.usage.shapes.events import (
    EVENTS,
    KEY,
    KEYS,
    METERED,
    POLICY,
    known,
    landed,
    row_of,
    rows_of,
)

GOOD = envelope()
FORM = '--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n\xff\xfb\x90\r\n--b--'
COUNTED = chunk(USAGE, choices="[]") + DONE


def status_of(body: bytes) -> tuple[str, str | None]:
    """Status and reason of an event's first row, between two good events that are not touched by it."""
    bad = landed(body)
    assert bad.get("body") is not None or bad["reason"] is None
    silver = derive(bronze(landed(GOOD), bad, landed(GOOD)))
    assert silver.schema == pl.Schema(USAGE_EVENTS.schema)
    first, *rows, last = silver.to_dicts()
    assert (first["status"], last["status"]) == ("metered", "metered")
    assert rows[0]["status"] in STATUSES
    assert rows[0]["status"] in ("metered", "unit_billed") or rows[0]["reason"]
    return rows[0]["status"], rows[0]["reason"]


def event(**changed: Any) -> bytes:
    return envelope(**changed)


BYTES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "rejected"),
    "white space": (b" \r\n\t ", "rejected"),
    "null": (b"null", "rejected"),
    "a bare string": (b'"x"', "rejected"),
    "a bare number": (b"-1.5", "rejected"),
    "invalid UTF-8": (GOOD.replace(b"Hi", b"\xff"), "rejected"),
    "overlong UTF-8": (GOOD.replace(b"Hi", b"\xc0\xaf"), "rejected"),
    "a mark": (b"\xef\xbb\xbf" + GOOD, "metered"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "metered"),
    "UTF-16 without a mark": (GOOD.decode().encode("utf-16-le"), "rejected"),
    "a lone surrogate": (GOOD.replace(b"Hi", b"\\ud83d"), "rejected"),
    "NUL": (GOOD.replace(b"Hi", b"\x00"), "rejected"),
    "control characters": (GOOD.replace(b"Hi", b"\x1b\x07"), "rejected"),
    "two objects": (GOOD + b"\n" + GOOD, "rejected"),
    "trailing garbage": (GOOD + b"}", "rejected"),
    "an array of events": (b"[" + GOOD + b"]", "metered"),
    "records": (json.dumps(EVENTS["llm_log"]).encode(), "metered"),
    "records of nothing": (b'{"records": []}', "rejected"),
    "an empty array": (b"[]", "rejected"),
    "a megabyte": (event(Request=json.dumps({"x": "é" * 300_000})), "metered"),
    "gzip": (gzip.compress(GOOD), "rejected"),
    "a compression bomb": (gzip.compress(b"0" * 20_000_000), "rejected"),
    "base64": (base64.b64encode(GOOD), "rejected"),
    "a compression bomb in base64": (base64.b64encode(gzip.compress(b"0" * 20_000_000)), "rejected"),
    "deflate": (zlib.compress(GOOD), "rejected"),
    "records that were cut": (json.dumps(EVENTS["llm_log"]).encode()[:-9], "unmetered"),
    "records of another service": (b'{"records": [{"category": "AuditLogs"}]}', "rejected"),
    "records that are none": (b'{"records": [null, 1, "x", [], {}]}', "rejected"),
    "records within records": (b'{"records": [%s]}' % json.dumps(EVENTS["llm_log"]).encode(), "rejected"),
    "an array of nothing but arrays": (b"[[], [[]], {}]", "rejected"),
    "an array with one event": (b"[1, " + GOOD + b"]", "rejected"),
    "a form": (
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n\xff\xfb\x90\r\n--b--',
        "rejected",
    ),
    "sound": (b"RIFF\x24\x08\x00\x00WAVEfmt \x10\x00" + bytes(range(256)) * 20, "rejected"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(255, -1, -1)) * 20, "rejected"),
}


@pytest.mark.parametrize("at", range(200 * 1024 - 12, 200 * 1024))
def test_a_cut_at_the_gateways_limit_is_a_call_wherever_it_falls(at: int) -> None:
    text = json.dumps(
        {"messages": [{"role": "user", "content": "\u00e9\u4e2d\U0001f600" * 30_000}]}, ensure_ascii=False
    )
    body = json.dumps(json.loads(envelope()) | {"Request": text}, ensure_ascii=False).encode()
    status, reason = status_of(body[:at])
    assert (status, reason) == ("unmetered", "truncated")


DEEP = {depth: "[" * depth + "]" * depth for depth in (300, 1_100, 100_000)}
JSON: dict[str, tuple[bytes, str]] = {
    **{
        f"nesting {n} in the event": (GOOD[:-1] + f', "x": {text}}}'.encode(), "rejected")
        for n, text in DEEP.items()
    },
    **{
        f"nesting {n} in the response": (event(Response=chat(before=f'"x": {text}, ')), "rejected")
        for n, text in DEEP.items()
    },
    **{
        f"nesting {n} in the request": (event(Request=f'{{"messages": {text}}}'), "metered")
        for n, text in DEEP.items()
    },
    "a doubled money field": (event(Response=chat(USAGE[:-1] + ', "total_tokens": 15}')), "rejected"),
    "a doubled other field": (event(Response=chat(before='"id": "a", "id": "b", ')), "metered"),
    "a doubled field of the event": (GOOD[:-1] + b', "Request": ""}', "metered"),
    "30 digits": (event(Response=chat(before=f'"x": {"1" * 30}, ')), "metered"),
    "5,000 digits": (event(Response=chat(before=f'"x": {"1" * 5_000}, ')), "rejected"),
    "5,000 digits in the event": (GOOD[:-1] + b', "x": ' + b"1" * 5_000 + b"}", "rejected"),
    "2^63": (event(Response=chat(before=f'"x": {2**63}, ')), "metered"),
    "NaN": (event(Response=chat(before='"x": NaN, ')), "metered"),
    "Infinity": (event(Response=chat(before='"x": -Infinity, ')), "metered"),
    "1e400": (event(Response=chat(before='"x": 1e400, ')), "metered"),
    "10,000 keys": (event(**{f"k{n}": n for n in range(10_000)}), "metered"),
    "10,000 keys in the response": (
        event(Response=chat(before="".join(f'"k{n}": 1, ' for n in range(10_000)))),
        "metered",
    ),
    "a huge array": (event(x=[1] * 400_000), "metered"),
    "a huge array in the response": (event(Response=chat(before=f'"x": [{"1, " * 400_000}1], ')), "metered"),
    "a huge array of choices": (
        event(Response=chat().replace('"choices": [', '"choices": [' + '{"index": 0}, ' * 60_000)),
        "metered",
    ),
}


@pytest.mark.parametrize(("body", "status"), BYTES.values(), ids=BYTES)
def test_bytes_of_any_kind_cost_no_other_event(body: bytes, status: str) -> None:
    assert status_of(body)[0] == status


@pytest.mark.parametrize(("body", "status"), JSON.values(), ids=JSON)
def test_json_of_any_kind_costs_no_other_event(body: bytes, status: str) -> None:
    # Were one of them read in the square of its length, this would run into the suite's time limit.
    assert status_of(body)[0] == status


def test_raw_bytes_are_kept_but_for_their_keys() -> None:
    for body, status in (*BYTES.values(), *JSON.values()):
        kept = landed(body)
        if kept["reason"] is not None:
            assert status == "rejected" or kept["reason"] == "envelope_truncated"
            assert kept["body"] == KEYS.scrub_unreadable(body)


COUNTS = ["-1", '"12"', "12.0", "12.5", "true", "1e400", "NaN", str(2**63), "1" * 30]


@pytest.mark.parametrize("count", COUNTS)
def test_an_impossible_count_is_rejected_in_every_kind_of_body(count: str) -> None:
    usage = USAGE.replace("10", count)
    for response in (chat(usage), chunk() + chunk(usage, choices="[]") + DONE):
        status, reason = status_of(event(Response=response))
        assert (status, str(reason)[:7]) == ("rejected", "tokens_")


def test_contradictions_are_flagged_and_not_mended() -> None:
    wrong = USAGE.replace("15", "16")
    cached = USAGE[:-1] + ', "prompt_tokens_details": {"cached_tokens": 11}}'
    for response in (chat(wrong), chunk() + chunk(wrong, choices="[]") + DONE):
        assert status_of(event(Response=response)) == ("metered", "total_tokens 16 != 10 + 5")
    assert status_of(event(Response=chat(cached))) == ("metered", "cached_input_tokens 11 > input_tokens 10")


BODIES: dict[str, tuple[Any, str, str | None]] = {
    "null": (None, "rejected", "response_missing"),
    "empty": ("", "rejected", "response_empty"),
    "an object": (json.loads(chat()), "rejected", "response_not_text"),
    "encoded twice": (json.dumps(chat()), "metered", None),
    "an error with status 200": ('{"error": {"code": "x1", "message": "m"}}', "failed", "x1"),
    "no usage": (chat(None), "unmetered", "usage_missing"),
    "usage null": (chat("null"), "unmetered", "usage_missing"),
    "usage an empty object": (chat("{}"), "unmetered", "usage_without_tokens"),
    "an error inside a list": ('[{"error": {"code": "x1"}}]', "rejected", "response_not_object"),
    "a stream": (chunk() + chunk(USAGE, choices="[]") + DONE, "metered", None),
    "a stream without usage": (chunk() + DONE, "unmetered", "stream_without_usage"),
    "a stream cut in a chunk": ((chunk() * 2)[:-40], "unmetered", "stream_cut_off"),
    "a stream without its end": (chunk() + chunk(USAGE, choices="[]"), "metered", "stream_cut_off"),
    "a stream with CRLF": ((chunk() + COUNTED).replace("\n", "\r\n"), "metered", None),
    "a stream with comments": (": ping\n\n" + chunk() + ": \n" + COUNTED, "metered", None),
    "a stream of lines": (
        chunk() + chunk(USAGE, choices="[]").replace(", ", ",\ndata: ") + DONE,
        "metered",
        None,
    ),
    "a stream that counts twice": (chunk(USAGE) + chunk(USAGE, choices="[]") + DONE, "metered", None),
    "sound": ("ID3\x03\x00\ufffd\ufffd\x90\x00", "rejected", "response_not_json"),
    "a form": (
        '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nx\r\n--b--',
        "rejected",
        "response_not_json",
    ),
    "a picture": ("\ufffdPNG\r\n\x1a\n\x00", "rejected", "response_not_json"),
    "plain text": ("Bad gateway", "rejected", "response_not_json"),
}


KINDS: dict[str, tuple[str, str]] = {
    "embeddings": (
        '{"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}',
        "metered",
    ),
    "responses": (
        '{"object": "response", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 4}}',
        "metered",
    ),
    "images": ('{"created": 1777633200, "data": [{"b64_json": ""}]}', "unit_billed"),
    "audio": ('{"text": "Hi", "usage": {"type": "duration", "seconds": 3}}', "unit_billed"),
    "moderations": ('{"id": "modr-1", "model": "m", "results": [{"flagged": false}]}', "unmetered"),
    "batch": ('{"object": "batch", "id": "b", "status": "in_progress"}', "pending"),
}


@pytest.mark.parametrize(("response", "status"), KINDS.values(), ids=KINDS)
def test_every_kind_of_answer_has_its_status_also_when_it_is_cut(response: str, status: str) -> None:
    assert status_of(event(Response=response))[0] == status
    for cut in range(1, len(response), 7):
        assert status_of(event(Response=response[:-cut]))[0] in ("unmetered", "rejected")


@pytest.mark.parametrize(("response", "status", "reason"), BODIES.values(), ids=BODIES)
def test_bodies_of_any_kind_have_an_honest_status(response: Any, status: str, reason: str | None) -> None:
    assert status_of(event(Response=response)) == (status, reason)


TIMES = [None, "", 1777633200, 1777633200007, "2026-05-01T11:00:00.1234567Z", "2026-05-01T11:00:00"]
TIMES += ["2026-05-01T01:00:00+14:00", "2026-05-01T24:00:00Z", "2026-04-30T23:59:60Z", "0001-01-01T00:00:00Z"]
TIMES += ["9999-12-31T23:59:59Z", "2026-05-03T12:00:00Z", "31/12/2026 10:00", "2026-02-30T00:00:00Z"]


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("shape", ["reference", "policy", "camel_case", "metered"])
def test_no_time_costs_a_count(shape: str, time: object) -> None:
    name = {"reference": "EventTime", "metered": "time"}.get(shape, "eventTime")
    row = row_of(EVENTS[shape] | {name: time})
    assert (row["status"], row["total_tokens"], row["event_shape"]) == ("metered", 15, shape)
    assert row["event_at"] == ENQUEUED_AT or abs((row["event_at"] - ENQUEUED_AT).days) < 3
    assert row["reason"] or row["event_at"] != ENQUEUED_AT


KEYS_OF_CALLERS = [None, "", "unknown", "k" * 10_240, f"{KEY}\n", f"{KEY[:9]}\r\n{KEY[9:]}"]


@pytest.mark.parametrize("key", KEYS_OF_CALLERS)
def test_any_key_is_a_fingerprint_or_nobody(key: str | None) -> None:
    row = row_of(envelope(AppSubscriptionKey=key))
    assert row["subscription"] == (KEYS.of(key) if key else None)
    assert (row["status"], row["total_tokens"]) == ("metered", 15)


NAMES = [
    *(
        "gpt-of-the-future",
        "my alias",
        "gpt-4\u043e",
        "\u202egpt",
        "gp\u200bt",
        "<b>x</b>",
        "<script>alert(1)</script>",
    ),
    *(
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "'x'",
        '"x"',
        "'; DROP TABLE x; --",
        "]]>",
        "../../x",
        "%2e%2e/",
    ),
    *(
        "a:b",
        "a=b",
        "\x1b[31mx",
        "a\r\nb",
        "{}",
        "{0}",
        "%s",
        "${jndi:ldap://x}",
        "NA",
        "null",
        "None",
        "nan",
    ),
]


COLUMNS = {
    "subscription": "subscriptionId",
    "subscription_name": "subscriptionName",
    "product_id": "productId",
    "api_id": "apiId",
    "operation_id": "operationId",
    "api_version": "apiVersion",
    "backend_id": "backendId",
    "deployment": "deployment",
    "request_id": "requestId",
    "model": "model",
    "response_id": "responseId",
}
"""The columns of names, and the fields of our policy that fill them."""


@pytest.mark.parametrize("name", NAMES)
def test_foreign_names_stay_what_they_are_in_every_column(name: str) -> None:
    response = json.dumps(json.loads(chat()) | {"model": name, "id": name})
    texts = {"request": json.dumps({"user": name, "model": name, "messages": []}), "response": response}
    row = row_of(POLICY | dict.fromkeys(COLUMNS.values(), name) | texts | {"userClaims": None})
    columns = (*COLUMNS, "request_model", "user_id")
    assert known(row, *columns) == dict.fromkeys(columns, name)
    assert (row["status"], row["total_tokens"]) == ("metered", 15)


@pytest.mark.parametrize("length", [256, 257, 300, 100_000])
def test_names_of_any_length_are_bounded_in_every_column(length: int) -> None:
    name = "n" * length
    names = ("subscriptionId", "productName", "deploymentName", "model")
    row = row_of(METERED | dict.fromkeys(names, name))
    for column in ("subscription", "product_id", "deployment", "model"):
        assert row[column] == (name if length <= 256 else "n" * 255 + "…")


def test_the_same_call_logged_twice_in_one_event_is_two_rows_of_one_id() -> None:
    rows = rows_of([EVENTS["policy"], EVENTS["policy"]])
    assert [row["request_id"] for row in rows] == [POLICY["requestId"]] * 2
