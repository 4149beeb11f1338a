"""APIM's `GatewayLogs`: who called what and how it went, without tokens.

The columns are those of the table `ApiManagementGatewayLogs`:
https://learn.microsoft.com/azure/azure-monitor/reference/tables/apimanagementgatewaylogs
"""

import re
from typing import Any

from typing_extensions import TypedDict

from oai_usage_pipeline.usage.metering import UsageRecord
from oai_usage_pipeline.usage.operations import LONGEST_PATH, by_name
from oai_usage_pipeline.usage.shapes.addresses import api_version_in, deployment_in
from oai_usage_pipeline.usage.shapes.bounds import Milliseconds, StatusCode
from oai_usage_pipeline.usage.shapes.shape import KEPT, Call, either_case, id_of, name_of, whole_ms


class GatewayLogContract(TypedDict, total=False):
    """The fields that are read, those of `properties` among them; names in either case."""

    __pydantic_config__ = KEPT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    time: str | None
    category: str | None
    correlationId: str | None
    durationMs: Milliseconds | None
    url: str | None
    responseCode: StatusCode | None
    apimSubscriptionId: str | None
    productId: str | None
    apiId: str | None
    operationId: str | None
    backendId: str | None


NOT_A_MODEL_CALL = "not_a_model_call"
"""The reason of a call of another API."""

_NOT_PATH = re.compile(r"^[a-z]+://[^/]*|[?#].*", re.DOTALL | re.IGNORECASE)
_WORD = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_WORDS_OF_MODEL_APIS = (
    *(
        "openai",
        "deployments",
        "chatcompletion",
        "completion",
        "embedding",
        "response",
        "moderation",
        "realtime",
    ),
    *("image", "transcription", "translation", "speech", "thread", "assistant", "conversation"),
    *("batch", "vector", "tuning", "file", "upload", "container", "model", "eval"),
)
"""In doubt a call counts: one too many is seen among the unmetered, one too few nowhere."""

read = either_case(GatewayLogContract)


def record_of(fields: dict[str, Any], *, is_llm: bool) -> UsageRecord:
    """The record of a call by this log alone: what it used isn't known.

    The gateway logs the calls of all its APIs. One that is plainly not a model's is no gap in the account;
    `is_llm` says that it is one, as a log of its tokens or messages does.
    """
    told = [text for text in (_path(fields.get("url")), fields.get("operationId")) if text]
    if told and not is_llm and not any(map(_names_model_api, told)):
        return UsageRecord(status="rejected", reason=NOT_A_MODEL_CALL)
    return UsageRecord(operation=operation_of(fields), status="unmetered", reason="gateway_log_only")


def _path(url: str | None) -> str:
    return _NOT_PATH.sub("", (url or "")[:LONGEST_PATH])


def _names_model_api(text: str) -> bool:
    """Whether a word of a path or an operation begins as one of a model's API does: `profile` has none."""
    words: list[str] = _WORD.findall(text[:LONGEST_PATH])
    return any(word.lower().startswith(_WORDS_OF_MODEL_APIS) for word in words)


def operation_of(fields: dict[str, Any]) -> str | None:
    """Our operation, by the URL or else by the gateway's name of it."""
    return by_name(fields.get("url")) or by_name(fields.get("operationId"))


def call_of(fields: dict[str, Any]) -> Call:
    """Who called what; `location` is left out: it is the gateway's, not the model's."""
    return Call(
        event_shape="gateway_log",
        request_id=name_of(fields.get("correlationId")),
        subscription=id_of(fields.get("apimSubscriptionId")),
        product_id=name_of(fields.get("productId")),
        api_id=name_of(fields.get("apiId")),
        operation_id=name_of(fields.get("operationId")),
        api_version=name_of(api_version_in(fields.get("url"))),
        backend_id=name_of(fields.get("backendId")),
        deployment=name_of(deployment_in(fields.get("url"))),
        status_code=fields.get("responseCode"),
        latency_ms=whole_ms(fields.get("durationMs")),
    )
