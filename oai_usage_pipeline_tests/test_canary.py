"""Canary keys go in wherever a key can come from, and nothing that the pipeline writes holds one."""

import json
import logging
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.orchestration.instance import dagster_instance
from oai_usage_pipeline.orchestration.passes import run_until_idle
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake
from oai_usage_pipeline_tests.running_broker import send as send_bodies

KEY = "canary0123456789abcdef0123456789"
LOGGED_AS_ID = "ca7a2f0123456789abcdef0123456789"
"""A key of the gateway's form, logged by mistake where the subscription's id belongs."""

PEPPER = "canary-pepper-never-written"


def envelope(key: object = KEY, request: str = "{}", response: str = "{}", **others: object) -> bytes:
    fields = {
        "EventTime": "2026-11-01T10:00:00.1234567Z",
        "AppSubscriptionKey": key,
        "Request": request,
        "Response": response,
    }
    return json.dumps(fields | others, indent=2).encode()


CAMEL_CASE: dict[str, object] = {
    "eventTime": "2026-11-01T10:00:00Z",
    "appSubscriptionKey": KEY,
    "request": "{}",
    "response": "{}",
    "apiOperation": "ChatCompletions_Create",
}
POLICY: dict[str, object] = {"recordVersion": 1, "requestId": "r", "subscriptionId": "s", "response": "{}"}
METERED: dict[str, object] = {"model": "m", "promptTokens": "1", "responseTokens": 1, "totalTokens": 2}


def diagnostics(url: str, message: str = "", headers: object = None) -> bytes:
    """Both logs of one call, the key wherever a gateway may log it."""
    gateway = {"url": url, "requestHeaders": headers, "responseCode": 200}
    messages = [{"role": "user", "content": message}]
    llm = {"sequenceNumber": 0, "promptTokens": 1, "totalTokens": 1, "requestMessages": messages}
    logs = (("GatewayLogs", gateway), ("GatewayLlmLogs", llm), ("GatewayLogs", json.dumps(gateway)))
    records = [{"category": name, "correlationId": "c", "properties": each} for name, each in logs]
    return json.dumps({"records": records}).encode()


EVENTS = {
    "in its own field": envelope(),
    "in the request": envelope(
        request=json.dumps({"model": "gpt-4o", "messages": [{"content": f"my key: {KEY}"}]})
    ),
    "in the response": envelope(response=json.dumps({"error": {"message": f"Access denied for {KEY}"}})),
    "as the user": envelope(request=json.dumps({"model": "gpt-4o", "user": KEY})),
    "as the model": envelope(
        response=json.dumps({"model": KEY, "usage": {"prompt_tokens": 1, "total_tokens": 1}})
    ),
    "as a count": envelope(response=json.dumps({"model": "m", "usage": {"prompt_tokens": KEY}})),
    "in a field of no contract": json.dumps({"AppSubscriptionKey": KEY, "Trace": f"key={KEY}"}).encode(),
    "in an envelope that was cut": envelope(request="x" * 500)[:400],
    "in an envelope that was cut within the key": envelope()[: envelope().index(KEY.encode()) + 20],
    "in an object of other fields": json.dumps({"appSubscriptionKey": KEY, "response": {}}).encode(),
    "in a header that was logged": json.dumps({"headers": {"Ocp-Apim-Subscription-Key": KEY}}).encode(),
    "in text with a stray byte": b'{"AppSubscriptionKey": "' + KEY.encode() + b'", \xff',
    "in an envelope within a text": json.dumps(envelope().decode()).encode(),
    "in UTF-16": envelope().decode().encode("utf-16"),
    "in an array, as gateways hold headers": envelope([KEY]),
    "in an object": envelope({"primary": KEY}, request=KEY),
    "in an array of another field": envelope("", headers={"Ocp-Apim-Subscription-Key": [KEY]}),
    "after its name": envelope("", request=KEY, headers=[{"name": "api-key", "value": KEY}]),
    "before its name": envelope("", response=KEY, headers=[{"value": KEY, "name": "api-key"}]),
    "in camel case and in the texts": envelope("", request=KEY, response=KEY, appSubscriptionKey=KEY),
    "by its name in the request": envelope("", request=json.dumps({"api-key": KEY}), response=KEY),
    "by its name in a text of the response": envelope(
        "", response=json.dumps({"content": json.dumps({"Ocp-Apim-Subscription-Key": [KEY]})})
    ),
    "in white space": envelope(f" {KEY}\n", request=KEY),
    "in upper case": envelope(request=KEY.upper()),
    "in lower case": envelope(KEY.upper(), response=KEY),
    "in camel case": json.dumps(CAMEL_CASE | {"request": f"my key: {KEY}", "response": KEY.upper()}).encode(),
    "in camel case that was cut": json.dumps(CAMEL_CASE).encode()[:150],
    "in a record of our policy": json.dumps(
        POLICY | {"request": f"api-key: {KEY}", "headers": {"api-key": KEY}, "userClaims": {"oid": KEY}}
    ).encode(),
    "in a metered record": json.dumps(METERED | {"subscriptionKey": KEY, "productName": KEY}).encode(),
    "in the URL of a diagnostic record": diagnostics(f"https://apim.example/x?subscription-key={KEY}"),
    "in diagnostics of properties as text": diagnostics(json.dumps({"requestHeaders": {"api-key": KEY}})),
    "in a message that would spoil its record": diagnostics(
        f"Authorization: Bearer {KEY}", "my api-key: ", {"Api-Key": [KEY]}
    ),
    "as the id of a subscription": json.dumps(
        POLICY | {"subscriptionId": LOGGED_AS_ID, "request": f"my key: {LOGGED_AS_ID}", "x": LOGGED_AS_ID}
    ).encode(),
    "as the id in a metered record": json.dumps(METERED | {"subscriptionId": LOGGED_AS_ID.upper()}).encode(),
    "as the id in an array": json.dumps([METERED | {"subscriptionId": LOGGED_AS_ID}, 7]).encode(),
    "as the id in diagnostics": diagnostics("/x", LOGGED_AS_ID, {"apimSubscriptionId": LOGGED_AS_ID}),
    "as the id in a record that was cut": json.dumps(
        POLICY | {"subscriptionId": LOGGED_AS_ID, "request": LOGGED_AS_ID, "response": "x" * 99}
    ).encode()[:-50],
    "as the id in no known shape": json.dumps({"subscriptionId": LOGGED_AS_ID, "x": 1}).encode(),
    "as a subscription's two keys": json.dumps(
        POLICY | {"subscription": {"primaryKey": KEY, "secondaryKey": KEY.upper()}, "response": KEY}
    ).encode(),
    "in a header of a function": envelope("", headers={"x-functions-key": KEY}, request=KEY),
    "by its name in a text": envelope("", request=json.dumps({"primaryKey": KEY}), response=KEY),
    "in an array of events": json.dumps([CAMEL_CASE, json.loads(envelope()), METERED]).encode(),
}


@pytest.fixture
def written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> dict[str, bytes]:
    """Every byte that the pipeline wrote for the canaries, by file; Parquet decompressed."""
    caplog.set_level(logging.DEBUG)
    with embedded_lake(tmp_path / "stack") as lake:
        monkeypatch.setenv("OAI_USAGE_KEY_PEPPER", PEPPER)
        monkeypatch.setenv("OAI_USAGE_KEY_PEPPER_VERSION", "3")
        send_bodies(lake.broker, list(EVENTS.values()), hub="openai-usage", partition_id="0")
        with dagster_instance() as instance:
            run_until_idle(instance, lake.pipeline)
        findings = " ".join(each.sentence for each in verify(lake.pipeline.lake()))
        assert len(rows(lake)) == len(EVENTS)
        files = {path.relative_to(tmp_path).as_posix(): content(path) for path in pipeline_files(lake)}
    return {**files, "log": caplog.text.encode(), "findings": findings.encode()}


def rows(lake: EmbeddedLake) -> list[dict[str, object]]:
    from oai_usage_pipeline.tables import OPENAI_EVENTS

    return lake.pipeline.lake().table(OPENAI_EVENTS).scan().collect().to_dicts()


def pipeline_files(lake: EmbeddedLake) -> list[Path]:
    hub = lake.stack.folder / "hub"
    return [path for path in lake.stack.folder.rglob("*") if path.is_file() and hub not in path.parents]


def content(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.suffix != ".parquet":
        return raw
    return raw + repr(pq.read_table(path).to_pylist()).encode()


def test_no_byte_that_was_written_holds_a_key_or_the_pepper(written: dict[str, bytes]) -> None:
    assert any(name.endswith(".parquet") for name in written)
    assert any("_delta_log" in name for name in written)
    assert any("dagster/" in name for name in written)
    for canary in (KEY, KEY[:20], KEY.upper(), LOGGED_AS_ID, LOGGED_AS_ID[:20], LOGGED_AS_ID.upper(), PEPPER):
        for form in (canary.encode(), canary.encode("utf-16-le")):
            assert [name for name, found in written.items() if form in found] == []


def test_fingerprints_stand_where_the_keys_stood(written: dict[str, bytes]) -> None:
    bronze = b"".join(found for name, found in written.items() if "openai_events" in name)
    assert bronze.count(b"v3-") >= len(EVENTS)
