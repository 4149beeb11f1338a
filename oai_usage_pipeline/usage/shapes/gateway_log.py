"""APIM's `GatewayLogs`: who called what and how it went, without tokens.

The columns are those of the table `ApiManagementGatewayLogs`:
https://learn.microsoft.com/azure/azure-monitor/reference/tables/apimanagementgatewaylogs
"""

from typing import Any

from typing_extensions import TypedDict

from oai_usage_pipeline.usage.metering import UsageRecord
from oai_usage_pipeline.usage.operations import by_name
from oai_usage_pipeline.usage.shapes.addresses import api_version_in, deployment_in
from oai_usage_pipeline.usage.shapes.bounds import Milliseconds, StatusCode
from oai_usage_pipeline.usage.shapes.shape import KEPT, Call, either_case, name_of, whole_ms


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


read = either_case(GatewayLogContract)


def record_of(fields: dict[str, Any]) -> UsageRecord:
    """The record of a call of which nothing else is logged: what it used isn't known."""
    return UsageRecord(operation=operation_of(fields), status="unmetered", reason="gateway_log_only")


def operation_of(fields: dict[str, Any]) -> str | None:
    """Our operation, by the URL or else by the gateway's name of it."""
    return by_name(fields.get("url")) or by_name(fields.get("operationId"))


def call_of(fields: dict[str, Any]) -> Call:
    """Who called what; `location` is left out: it is the gateway's, not the model's."""
    return Call(
        event_shape="gateway_log",
        request_id=name_of(fields.get("correlationId")),
        subscription=name_of(fields.get("apimSubscriptionId")),
        product_id=name_of(fields.get("productId")),
        api_id=name_of(fields.get("apiId")),
        operation_id=name_of(fields.get("operationId")),
        api_version=name_of(api_version_in(fields.get("url"))),
        backend_id=name_of(fields.get("backendId")),
        deployment=name_of(deployment_in(fields.get("url"))),
        status_code=fields.get("responseCode"),
        latency_ms=whole_ms(fields.get("durationMs")),
    )
