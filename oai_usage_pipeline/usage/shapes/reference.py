"""The reference envelope: the four fields that the reference architecture's policy logs for every call.

It names no operation, no gateway and no status: all that is known of a call comes from its bodies.
"""

from typing_extensions import TypedDict

from oai_usage_pipeline.usage.columns import FIELDS, Envelope
from oai_usage_pipeline.usage.shapes.shape import KEPT, Call, Fields, Line, Meter, Shape, caller_of


class EnvelopeContract(TypedDict, total=False):
    """What a readable envelope holds: texts, never nested JSON; other fields are kept, not judged."""

    __pydantic_config__ = KEPT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    EventTime: str | None
    AppSubscriptionKey: str | None
    Request: str | None
    Response: str | None


def is_reference(fields: Fields) -> bool:
    """Whether one of the four fields is there."""
    return not fields.keys().isdisjoint(FIELDS)


def lines(envelope: Envelope, fields: Fields, meter: Meter) -> list[Line]:
    """The one line of an envelope, the slow way; `derive` does the same for columns at once."""
    del fields
    record = meter(envelope.Request, envelope.Response, None)
    call = Call("reference", subscription=caller_of(envelope.AppSubscriptionKey))
    return [Line(record, call, envelope.EventTime)]


REFERENCE = Shape(
    "reference",
    (EnvelopeContract,),
    is_reference,
    lines,
    {name: name for name in FIELDS},
    is_marked=False,
)
