"""The reference's four fields in camel case, with the gateway's operation beside them."""

from typing_extensions import TypedDict

from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.operations import by_name
from oai_usage_pipeline.usage.shapes.shape import (
    KEPT,
    Call,
    Fields,
    Line,
    Meter,
    Shape,
    caller_of,
    name_of,
    reader,
)


class CamelCaseContract(TypedDict, total=False):
    """The fields; bodies are texts, as in the reference."""

    __pydantic_config__ = KEPT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    eventTime: str | int | None
    appSubscriptionKey: str | None
    request: str | None
    response: str | None
    apiOperation: str | None


_NAMES = frozenset(CamelCaseContract.__annotations__)
_read = reader(CamelCaseContract)


def is_camel_case(fields: Fields) -> bool:
    """Whether at least two of the fields are there: one alone could be anything."""
    return len(fields.keys() & _NAMES) >= 2


def lines(envelope: Envelope, fields: Fields, meter: Meter) -> list[Line]:
    """The one line of an event."""
    operation = _read(fields).get("apiOperation")
    record = meter(envelope.Request, envelope.Response, by_name(operation))
    call = Call(
        "camel_case", subscription=caller_of(envelope.AppSubscriptionKey), operation_id=name_of(operation)
    )
    return [Line(record, call, envelope.EventTime)]


CAMEL_CASE = Shape(
    "camel_case",
    (CamelCaseContract,),
    is_camel_case,
    lines,
    {
        "eventTime": "EventTime",
        "appSubscriptionKey": "AppSubscriptionKey",
        "request": "Request",
        "response": "Response",
    },
)
