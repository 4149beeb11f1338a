"""Events of every shape as gateways write them, and their way through bronze into silver rows."""

import json
from collections.abc import Iterable
from typing import Any

from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.envelope import open_envelope
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.usage.bodies import EVENT_TIME, REQUEST, bronze, chat, unreadable

KEY = "0123456789abcdef0123456789abcdef"
KEYS = KeyFingerprint(b"pepper")
MARK = KEYS.of(KEY)

POLICY: dict[str, Any] = {
    "recordVersion": 1,
    "eventTime": EVENT_TIME,
    "requestId": "5f1c2a90-6d8e-4f8e-9f0e-0123456789ab",
    "subscriptionId": "team-blue",
    "subscriptionName": "Team Blue",
    "productId": "gpt-standard",
    "apiId": "azure-openai",
    "operationId": "ChatCompletions_Create",
    "method": "POST",
    "path": "/openai/deployments/gpt-4o-eu/chat/completions",
    "deployment": "gpt-4o-eu",
    "apiVersion": "2024-10-21",
    "backendId": "openai-eu-1",
    "region": "Sweden Central",
    "statusCode": 200,
    "latencyMs": 1834.4271,
    "timeToFirstByteMs": 211,
    "userClaims": {"oid": "6b2f-user", "name": "Ada", "tid": "tenant"},
    "isStream": False,
    "model": "gpt-4o-2024-08-06",
    "responseId": "chatcmpl-1",
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    "request": REQUEST,
    "response": chat(),
}
CAMEL_CASE: dict[str, Any] = {
    "eventTime": EVENT_TIME,
    "appSubscriptionKey": KEY,
    "request": REQUEST,
    "response": chat(),
    "apiOperation": "ChatCompletions_Create",
}
METERED: dict[str, Any] = {
    "time": "5/1/2026 11:59:58 AM",
    "subscriptionId": "team-blue",
    "productName": "gpt-standard",
    "deploymentName": "gpt-4o-eu",
    "model": "gpt-4o-2024-08-06",
    "promptTokens": "10",
    "responseTokens": 5,
    "totalTokens": "15",
}
REFERENCE: dict[str, Any] = {
    "EventTime": EVENT_TIME,
    "AppSubscriptionKey": KEY,
    "Request": REQUEST,
    "Response": chat(),
}


def llm_log(**changed: Any) -> dict[str, Any]:
    """The record of sequence number 0, which has the tokens; fields of `properties` may be changed."""
    properties = {
        "sequenceNumber": 0,
        "requestId": "chatcmpl-1",
        "operationName": "ChatCompletions_Create",
        "apiVersion": "2024-10-21",
        "deploymentName": "gpt-4o-eu",
        "modelName": "gpt-4o-2024-08-06",
        "isStreamCompletion": True,
        "promptTokens": 10,
        "completionTokens": 5,
        "totalTokens": 15,
        "promptCachedTokens": 4,
    }
    return {
        "time": EVENT_TIME,
        "category": "GatewayLlmLogs",
        "operationName": "Microsoft.ApiManagement/GatewayLlmLogs",
        "correlationId": "call-1",
        "properties": properties | changed,
    }


def chunk_log(number: int, **messages: Any) -> dict[str, Any]:
    """A record of messages; like the gateway's it has zeros for tokens."""
    zeros = {
        "promptTokens": 0,
        "completionTokens": 0,
        "totalTokens": 0,
        "modelName": "",
        "deploymentName": "",
    }
    record = llm_log()
    record["properties"] = zeros | {"sequenceNumber": number} | messages
    return record


def gateway_log(**changed: Any) -> dict[str, Any]:
    """The record of the same call with its caller; fields of `properties` may be changed."""
    properties = {
        "method": "POST",
        "url": "https://apim.example/openai/deployments/gpt-4o-eu/chat/completions?api-version=2024-10-21",
        "responseCode": 200,
        "apiId": "azure-openai",
        "operationId": "ChatCompletions_Create",
        "productId": "gpt-standard",
        "apimSubscriptionId": "team-blue",
        "backendId": "openai-eu-1",
    }
    return {
        "time": EVENT_TIME,
        "category": "GatewayLogs",
        "operationName": "Microsoft.ApiManagement/GatewayLogs",
        "correlationId": "call-1",
        "durationMs": 1834,
        "location": "West Europe",
        "properties": properties | changed,
    }


def records(*held: Any) -> dict[str, Any]:
    """Azure Monitor's envelope around records."""
    return {"records": list(held)}


EVENTS: dict[str, dict[str, Any]] = {
    "reference": REFERENCE,
    "policy": POLICY,
    "camel_case": CAMEL_CASE,
    "metered": METERED,
    "llm_log": records(llm_log()),
    "gateway_log": records(gateway_log()),
}
"""A usual event of each shape that silver knows."""


def landed(body: bytes) -> dict[str, Any]:
    """What distinguishes the bronze row of an event that was captured."""
    sealed = KEYS.seal(open_envelope(body))
    if sealed.reason is not None:
        return unreadable(KEYS.scrub_unreadable(body), sealed.reason)
    return sealed._asdict()


def rows_of(event: object) -> list[dict[str, Any]]:
    """The silver rows of an event, from its JSON through bronze."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return derive(bronze(landed(body))).to_dicts()


def rows_of_all(bodies: Iterable[bytes]) -> list[dict[str, Any]]:
    """The silver rows of many events, derived at once."""
    return derive(bronze(*(landed(body) for body in bodies))).to_dicts()


def rows_of_each(bodies: Iterable[bytes]) -> list[list[dict[str, Any]]]:
    """The silver rows of many events, derived at once, each event's by themselves."""
    events: dict[int, list[dict[str, Any]]] = {}
    for row in rows_of_all(bodies):
        events.setdefault(row["sequence_number"], []).append(row)
    return list(events.values())


def row_of(event: object) -> dict[str, Any]:
    """The one silver row of an event."""
    (row,) = rows_of(event)
    return row


def known(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """What a row says of the named columns."""
    return {name: row[name] for name in names}
