"""Events without their texts, by shape: what accounting reads of each stays, all else goes.

Belongs here: the columns of one event of bronze. Bodies are for `masking`; what becomes of an event of which
nothing can be kept, for `payload`.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json

from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.masking import (
    AS_NAMED,
    NO_BODY,
    Rename,
    Unmaskable,
    mask_request,
    mask_response,
    masked_request,
    masked_response,
    masked_usage,
    name_kept,
)
from oai_usage_pipeline.usage.operations import LONGEST_PATH
from oai_usage_pipeline.usage.shapes import ARRAY, MARK, shape_of
from oai_usage_pipeline.usage.shapes.addresses import api_version_in
from oai_usage_pipeline.usage.shapes.gateway_log import GatewayLogContract
from oai_usage_pipeline.usage.shapes.llm_log import MESSAGES, LlmLogContract
from oai_usage_pipeline.usage.shapes.policy import user_claim
from oai_usage_pipeline.usage.shapes.shape import EVENT_SHAPE

_TIME = re.compile(r"[0-9APMTZ:./+\-, \u202f]{0,48}")
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_HOST = re.compile(r"^[a-z]+://[^/?#]*", re.IGNORECASE)

Masker = Callable[[Any, Rename], Any]


def masked_event(event: Envelope, rename: Rename = AS_NAMED) -> Envelope:
    """The columns of a readable event without their texts; raises `Unmaskable`."""
    return event._replace(
        EventTime=None if event.EventTime is None else time_kept(event.EventTime),
        Request=mask_request(event.Request, rename),
        Response=mask_response(event.Response),
        properties=_properties(event.properties, rename),
    )


def time_kept(text: str) -> str:
    """A time as it was written; what is none becomes another text that is none."""
    return text if _TIME.fullmatch(text) else NO_BODY


def _properties(text: str | None, rename: Rename) -> str | None:
    if not text or not text.startswith(MARK):
        # Of a reference envelope, nothing beside its four fields is read.
        return None
    fields = from_json(text)
    kept = {EVENT_SHAPE: fields[EVENT_SHAPE]} | _fields(fields, fields[EVENT_SHAPE], rename)
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def _fields(fields: Mapping[str, Any], shape: str, rename: Rename) -> dict[str, Any]:
    if shape == ARRAY:
        return {"events": [_element(each, rename) for each in fields["events"]]}
    known = _FIELDS.get(shape)
    if known is None:
        raise Unmaskable
    return {name: known[name](value, rename) for name, value in fields.items() if name in known}


def _element(event: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    """One event of an array: its fields are as the gateway wrote them."""
    if not isinstance(event, dict):
        return 0
    shape = shape_of(event)
    if shape is None:
        return {}
    columns = {name: _COLUMNS[column] for name, column in shape.columns.items()}
    kept = {name: columns[name](value, rename) for name, value in event.items() if name in columns}
    return kept | (_fields(event, shape.name, rename) if shape.is_marked else {})


def _other(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A value of a type that its field doesn't have: of the same type, and nothing more."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return NO_BODY if value else ""
    return {} if isinstance(value, dict) else [] if isinstance(value, list) else 0


def _name(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    del rename
    return name_kept(value) if isinstance(value, str) else _other(value)


def _category(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    """Which of the gateway's logs a record is of; one of another's says no more than that."""
    if not isinstance(value, str):
        return _name(value, rename)
    return next((name for name in ("GatewayLlmLog", "GatewayLog") if name.lower() in value.lower()), NO_BODY)


def _number(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    del rename
    if isinstance(value, int | float):
        return value
    return value if isinstance(value, str) and _NUMBER.fullmatch(value) else _other(value)


def _time(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    return time_kept(value) if isinstance(value, str) else _number(value, rename)


def _path(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    del rename
    return _QUERY.sub("", value[:LONGEST_PATH]) if isinstance(value, str) else _other(value)


def _url(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, str):
        return _other(value)
    version = api_version_in(value)
    path = _path(_HOST.sub("", value[:LONGEST_PATH]), rename)
    return f"{path}?api-version={name_kept(version)}" if version else path


def _usage(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    del rename
    return masked_usage(value) if isinstance(value, dict) else _other(value)


def _claims(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    """Only the claim that names the user."""
    if not isinstance(value, dict):
        return _other(value)
    name, claim = user_claim(value)
    return {name: name_kept(rename(claim))} if name and claim else {}


def _request(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    return mask_request(value, rename) if isinstance(value, str) else _other(value)


def _response(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    del rename
    return mask_response(value) if isinstance(value, str) else _other(value)


def _records(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    return [_record(each, rename) for each in value]


def _record(record: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(record, dict):
        return _other(record)
    return {
        name: _RECORD[name.lower()](value, rename)
        for name, value in record.items()
        if name.lower() in _RECORD
    }


def _nested(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    """The properties of a record: an object, or the text of one."""
    if not isinstance(value, str):
        return _record(value, rename)
    try:
        return json.dumps(_record(from_json(value), rename), ensure_ascii=False)
    except ValueError:
        return _other(value)


def _messages(value: Any, rename: Rename) -> Any:  # noqa: ANN401 - JSON
    """An array of messages or its text; a part of such a text is nothing by itself."""
    if isinstance(value, str):
        try:
            return json.dumps(_messages(from_json(value), rename), ensure_ascii=False)
        except ValueError:
            return _other(value)
    if not isinstance(value, list):
        return _other(value)
    return [_message(each) for each in value]


def _message(message: Any) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(message, dict):
        return _other(message)
    asked = masked_request({"messages": [message]})["messages"][0]
    answered = masked_response({"choices": [{"message": message}]})["choices"][0]["message"]
    return answered | {name: value for name, value in asked.items() if name in ("role", "content")}


_RECORD: dict[str, Masker] = {
    **{
        name.lower(): _name
        for contract in (GatewayLogContract, LlmLogContract)
        for name in contract.__annotations__
    },
    **dict.fromkeys(("category", "type"), _category),
    "operationname": _name,
    **dict.fromkeys(("durationms", "responsecode", "sequencenumber", "isstreamcompletion"), _number),
    **dict.fromkeys(("prompttokens", "completiontokens", "totaltokens", "promptcachedtokens"), _number),
    **dict.fromkeys(MESSAGES, _messages),
    "time": _time,
    "url": _url,
    "properties": _nested,
}

_FIELDS: dict[str, dict[str, Masker]] = {
    "policy": {
        **dict.fromkeys(
            (
                *(
                    "requestId",
                    "subscriptionId",
                    "subscriptionName",
                    "productId",
                    "apiId",
                    "operationId",
                    "method",
                ),
                *("deployment", "apiVersion", "backendId", "region", "model", "responseId"),
            ),
            _name,
        ),
        **dict.fromkeys(
            ("recordVersion", "statusCode", "latencyMs", "timeToFirstByteMs", "isStream"), _number
        ),
        "path": _path,
        "userClaims": _claims,
        "usage": _usage,
    },
    "camel_case": {"apiOperation": _name},
    "metered": {
        **dict.fromkeys(("subscriptionId", "productName", "deploymentName", "model"), _name),
        **dict.fromkeys(("promptTokens", "responseTokens", "totalTokens"), _number),
    },
    "diagnostics": {"records": _records},
}

_COLUMNS: dict[str, Masker] = {
    "EventTime": _time,
    "AppSubscriptionKey": _name,
    "Request": _request,
    "Response": _response,
}
