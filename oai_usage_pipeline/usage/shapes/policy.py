"""Our own policy's record: who called what, how it went, and, where they are logged, the bodies.

What accounting needs stands before the bodies, so that the gateway's limit of 200 KB costs text and
not numbers. It never carries the subscription's key: the gateway knows the subscription's id.
"""

from typing import Any

from typing_extensions import TypedDict

from oai_usage_pipeline.tables import TOKEN_COLUMNS
from oai_usage_pipeline.usage.answers import RUN_STEP
from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.metering import RETRIEVED, STORED, UsageRecord, meter_usage
from oai_usage_pipeline.usage.operations import ASSISTANTS, BATCHES, CHAT_COMPLETIONS, RESPONSES, by_name
from oai_usage_pipeline.usage.shapes.addresses import deployment_in
from oai_usage_pipeline.usage.shapes.bounds import Milliseconds, StatusCode
from oai_usage_pipeline.usage.shapes.shape import (
    KEPT,
    Call,
    Fields,
    Line,
    Meter,
    Shape,
    id_of,
    name_of,
    reader,
    remarked,
    settled,
    whole_ms,
)


class PolicyContract(TypedDict, total=False):
    """The fields, in the order in which the policy writes them."""

    __pydantic_config__ = KEPT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    recordVersion: int
    eventTime: str | int | None
    requestId: str | None
    subscriptionId: str | None
    subscriptionName: str | None
    productId: str | None
    apiId: str | None
    operationId: str | None
    method: str | None
    path: str | None
    deployment: str | None
    apiVersion: str | None
    backendId: str | None
    region: str | None
    statusCode: StatusCode | None
    latencyMs: Milliseconds | None
    timeToFirstByteMs: Milliseconds | None
    userClaims: dict[str, Any] | None
    isStream: bool | None
    model: str | None
    responseId: str | None
    usage: dict[str, Any] | None
    request: str | None
    response: str | None


VERSION = 1

_USER_CLAIMS = ("oid", "sub", "upn", "preferred_username", "name")
"""Which claim names the user, the most lasting first: names change, object ids don't."""

_STORING = frozenset((RESPONSES, CHAT_COMPLETIONS, ASSISTANTS, BATCHES))
"""The operations whose answers are stored, where there is no body to name its object."""

_read = reader(PolicyContract, never_left_out=("usage",))


def is_policy(fields: Fields) -> bool:
    """Whether it is ours: no other shape has a `recordVersion`."""
    return "recordVersion" in fields


def lines(envelope: Envelope, fields: Fields, meter: Meter) -> list[Line]:
    """The one line of a record."""
    known = _read(fields)
    status_code = known.get("statusCode")
    record = _retrieved(_record(envelope, known, meter), known.get("method"), known.get("path"))
    record = settled(record, status_code)
    if known.get("recordVersion") != VERSION:
        # Later versions only add fields, so what is known of them is read.
        record = remarked(record, "record_version_unknown")
    return [Line(record, _call(known), envelope.EventTime)]


def _record(envelope: Envelope, known: dict[str, Any], meter: Meter) -> UsageRecord:
    operation = by_name(known.get("path")) or by_name(known.get("operationId"))
    record = meter(envelope.Request, envelope.Response, operation)
    usage = known.get("usage")
    # What is polled or a part of something has no counts yet, or none of its own, wherever they stand.
    if usage is not None and record.status != "pending" and record.object != RUN_STEP:
        record = _with_usage(record, meter_usage(usage, operation=record.operation))
    elif record.reason == "response_missing":
        record = record._replace(status="unmetered", reason="bodies_not_logged")
    answered = record.model if record.model != record.request_model else None
    streamed = record.is_stream if record.is_stream is not None else known.get("isStream")
    return record._replace(
        model=answered or name_of(known.get("model")) or record.model,
        response_id=record.response_id or name_of(known.get("responseId")),
        is_stream=streamed,
    )


def _with_usage(record: UsageRecord, counted: UsageRecord) -> UsageRecord:
    """What the bodies tell, with the counts that the policy took from the answer before it logged it."""
    if record.status == "metered":
        return remarked(record, *_differences(record, counted))
    if counted.status == "unmetered" and record.status != "rejected":
        return record
    was_cut = ["truncated"] if record.reason == "truncated" else []
    counts = {name: value for name, value in counted._asdict().items() if value is not None}
    estimates: dict[str, Any] = {"estimated_input_tokens": None, "estimated_output_tokens": None}
    record = record._replace(**estimates | {"reason": None} | counts)
    return remarked(record, *was_cut)


def _differences(record: UsageRecord, counted: UsageRecord) -> list[str]:
    """Where the answer's own counts, which hold, and those that the policy took from it say two things."""
    if counted.status == "rejected":
        return [f"usage: {counted.reason}"]
    pairs = ((name, getattr(record, name), getattr(counted, name)) for name in TOKEN_COLUMNS)
    return [
        f"{name} {ours} != {theirs} in usage"
        for name, ours, theirs in pairs
        if None not in (ours, theirs) and ours != theirs
    ]


def _retrieved(record: UsageRecord, method: str | None, path: str | None) -> UsageRecord:
    """The method tells for certain what `metering` can only take from a request without a body."""
    if method is None or not _is_stored(record):
        return record
    remarks = [each for each in (record.reason or "").split("; ") if each != RETRIEVED]
    is_retrieval = method.upper() == "GET" or (path or "").endswith("/cancel")
    if is_retrieval and record.status == "metered":
        remarks.append(RETRIEVED)
    return remarked(record._replace(is_retrieval=is_retrieval, reason=None), *remarks)


def _is_stored(record: UsageRecord) -> bool:
    """Whether the answer is an object that can be fetched again; without bodies its counts must do."""
    if record.object:
        return record.object in STORED
    return record.status in ("metered", "pending") and record.operation in _STORING


def _call(known: dict[str, Any]) -> Call:
    return Call(
        event_shape="policy",
        request_id=name_of(known.get("requestId")),
        subscription=id_of(known.get("subscriptionId")),
        subscription_name=name_of(known.get("subscriptionName")),
        user_id=name_of(user_claim(known.get("userClaims") or {})[1]),
        product_id=name_of(known.get("productId")),
        api_id=name_of(known.get("apiId")),
        operation_id=name_of(known.get("operationId")),
        api_version=name_of(known.get("apiVersion")),
        backend_id=name_of(known.get("backendId")),
        deployment=name_of(known.get("deployment") or deployment_in(known.get("path"))),
        region=name_of(_arm_name(known.get("region"))),
        status_code=known.get("statusCode"),
        latency_ms=whole_ms(known.get("latencyMs")),
        time_to_first_byte_ms=whole_ms(known.get("timeToFirstByteMs")),
    )


def user_claim(claims: dict[str, Any]) -> tuple[str | None, str | None]:
    """The claim that names the user, and the user; two Nones where none does."""
    named = ((name, claims.get(name)) for name in _USER_CLAIMS)
    return next(((name, claim) for name, claim in named if isinstance(claim, str) and claim), (None, None))


def _arm_name(region: str | None) -> str | None:
    """`West Europe` as prices and resources name it: `westeurope`."""
    return region.replace(" ", "").lower() if region else None


POLICY = Shape(
    "policy",
    (PolicyContract,),
    is_policy,
    lines,
    {"eventTime": "EventTime", "request": "Request", "response": "Response"},
)
