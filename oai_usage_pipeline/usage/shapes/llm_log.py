"""APIM's `GatewayLlmLogs`: tokens and model of a call, without its caller.

A call is several records of one correlation id: the one of sequence number 0 has the tokens, the
others the messages, where they are logged, in chunks of 32 KB. The columns are those of the table
`ApiManagementGatewayLlmLog`, https://learn.microsoft.com/azure/azure-monitor/reference/tables/apimanagementgatewayllmlog;
`promptCachedTokens` is in the stream alone.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json
from typing_extensions import TypedDict

from oai_usage_pipeline.usage.answers import USAGE_OF_ZERO
from oai_usage_pipeline.usage.metering import UsageRecord, meter_usage
from oai_usage_pipeline.usage.operations import by_name
from oai_usage_pipeline.usage.shapes.shape import KEPT, Call, Meter, either_case, name_of


class LlmLogContract(TypedDict, total=False):
    """The fields that are read, those of `properties` among them; names in either case."""

    __pydantic_config__ = KEPT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    time: str | None
    category: str | None
    correlationId: str | None
    sequenceNumber: int | str | None
    requestId: str | None
    operationName: str | None
    apiVersion: str | None
    deploymentName: str | None
    modelName: str | None
    isStreamCompletion: bool | None
    promptTokens: int | None
    completionTokens: int | None
    totalTokens: int | None
    promptCachedTokens: int | None
    requestMessages: Any
    responseMessages: Any


_COUNTS = ("promptTokens", "completionTokens", "totalTokens", "promptCachedTokens")
_NUMBER = re.compile("[0-9]{1,9}")

MESSAGES = frozenset(("requestmessages", "responsemessages"))
"""The fields of texts, by their names in lower case."""

read = either_case(LlmLogContract, never_left_out=_COUNTS)


def records_of(
    rows: list[dict[str, Any]], operation: str | None, meter: Meter
) -> Iterator[tuple[UsageRecord, dict[str, Any]]]:
    """The records of one call's log, each with the row that names it; one, unless tokens come twice.

    `operation` is that of the gateway's log, where it is in the same event.
    """
    operation = operation or by_name(_first(rows, "operationName"))
    counted = [row for row in rows if _has_tokens(row)]
    told = [row for row in counted if any(row.get(name) for name in _COUNTS)] or counted[:1]
    for row in told:
        record = _metered(row, operation)
        if record.reason == USAGE_OF_ZERO:
            record = _with_estimates(record, _unmetered(rows, operation, meter))
        yield record, row
    if not told:
        yield _unmetered(rows, operation, meter), _named_row(rows)


def without_counts(flat: dict[str, Any]) -> dict[str, Any]:
    """A record, its names in lower case, that says nothing of tokens: behind a cut there may be others."""
    counts = {name.lower() for name in _COUNTS}
    return {name: value for name, value in flat.items() if name not in counts}


def with_names(call: Call, row: dict[str, Any]) -> Call:
    """The call with what its row names; the caller is as the gateway's log has it, or unknown."""
    return call._replace(
        event_shape="llm_log",
        deployment=name_of(row.get("deploymentName")) or call.deployment,
        api_version=name_of(row.get("apiVersion")) or call.api_version,
    )


def _has_tokens(row: dict[str, Any]) -> bool:
    """Chunks may carry zeros: only the row of sequence number 0, or one without a number, counts."""
    is_first = row.get("sequenceNumber") in (None, 0, "0")
    return is_first and any(row.get(name) is not None for name in _COUNTS)


def _metered(row: dict[str, Any], operation: str | None) -> UsageRecord:
    prompt, completion, total, cached = (row.get(name) for name in _COUNTS)
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    usage: dict[str, Any] = {name: count for name, count in counts.items() if count is not None}
    if cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
    return meter_usage(
        usage,
        operation=operation,
        model=row.get("modelName"),
        response_id=row.get("requestId"),
        is_stream=row.get("isStreamCompletion"),
    )


def _with_estimates(record: UsageRecord, of: UsageRecord) -> UsageRecord:
    return record._replace(
        estimated_input_tokens=of.estimated_input_tokens, estimated_output_tokens=of.estimated_output_tokens
    )


def _unmetered(rows: list[dict[str, Any]], operation: str | None, meter: Meter) -> UsageRecord:
    """What the messages tell, put together again, so that it can be estimated at least."""
    model = _first(rows, "modelName")
    chunks = sorted(rows, key=_number)
    asked = _messages(chunks, "requestMessages")
    answered = _messages(chunks, "responseMessages")
    record = UsageRecord(operation=operation)
    if answered:
        body = {
            "object": "chat.completion",
            "model": model,
            "choices": [{"index": at, "message": message} for at, message in enumerate(answered)],
        }
        request = json.dumps({"messages": asked}) if asked else None
        record = meter(request, json.dumps(body), operation)
    return record._replace(
        operation=operation or (record.operation if answered else None),
        model=name_of(model),
        request_model=None,
        response_id=name_of(_first(rows, "requestId")),
        is_stream=_first(rows, "isStreamCompletion"),
        status="unmetered",
        reason="llm_log_without_tokens",
    )


def _messages(chunks: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The messages of one direction; a chunk that continues one is appended to it.

    A chunk is an array of messages, as JSON or as its text, or a part of such a text.
    """
    values = [value for row in chunks if (value := row.get(name))]
    lists = [_array(value) for value in values]
    if all(each is not None for each in lists):
        found = [message for each in lists for message in each or [] if isinstance(message, dict)]
        return _joined(found)
    whole = _array("".join(value for value in values if isinstance(value, str)))
    return [message for message in whole or [] if isinstance(message, dict)]


def _joined(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    joined: list[dict[str, Any]] = []
    for message in messages:
        last = joined[-1] if joined else {}
        texts = (last.get("content"), message.get("content"))
        if message.get("role") == last.get("role") and all(isinstance(text, str) for text in texts):
            joined[-1] = last | {"content": f"{texts[0]}{texts[1]}"}
        else:
            joined.append(message)
    return joined


def _array(value: object) -> list[Any] | None:
    if isinstance(value, str):
        try:
            value = from_json(value)
        except ValueError:
            return None
    return value if isinstance(value, list) else None


def _number(row: dict[str, Any]) -> int:
    number: int | str | None = row.get("sequenceNumber")
    if isinstance(number, str):
        number = int(number) if _NUMBER.fullmatch(number) else 0
    return number or 0


def _named_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("time", "deploymentName", "apiVersion")
    return {name: _first(rows, name) for name in names}


def _first(rows: list[dict[str, Any]], name: str) -> Any:  # noqa: ANN401  # what the contract says of `name`
    return next((row[name] for row in rows if row.get(name) not in (None, "")), None)
