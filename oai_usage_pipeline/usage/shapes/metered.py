"""A record that the gateway has metered itself: counts and names, no bodies.

Its writers make texts of counts and American dates of times, so both are read for this shape alone.
"""

import re

from typing_extensions import TypedDict

from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.event_times import from_american
from oai_usage_pipeline.usage.metering import meter_usage
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
)


class MeteredContract(TypedDict, total=False):
    """The fields; a count may be a text of plain digits."""

    __pydantic_config__ = KEPT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    time: str | int | None
    subscriptionId: str | None
    productName: str | None
    deploymentName: str | None
    model: str | None
    promptTokens: int | str | None
    responseTokens: int | str | None
    totalTokens: int | str | None


_USAGE = {
    "promptTokens": "prompt_tokens",
    "responseTokens": "completion_tokens",
    "totalTokens": "total_tokens",
}
"""The counts, and what `usage` calls them."""

_DIGITS = re.compile("[0-9]{1,19}")
_read = reader(MeteredContract, never_left_out=tuple(_USAGE))


def is_metered(fields: Fields) -> bool:
    """Whether it has counts by this shape's names."""
    return "totalTokens" in fields or fields.keys() >= {"promptTokens", "responseTokens"}


def lines(envelope: Envelope, fields: Fields, meter: Meter) -> list[Line]:
    """The one line of a record."""
    del meter
    known = _read(fields)
    usage = {theirs: _count(known[ours]) for ours, theirs in _USAGE.items() if known.get(ours) is not None}
    record = meter_usage(usage, model=known.get("model"))
    call = Call(
        "metered",
        subscription=id_of(known.get("subscriptionId")),
        product_id=name_of(known.get("productName")),
        deployment=name_of(known.get("deploymentName")),
    )
    return [Line(record, call, from_american(envelope.EventTime))]


def _count(value: object) -> object:
    """A text of plain digits as the number it is; anything else as it came, to be judged."""
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


METERED = Shape("metered", (MeteredContract,), is_metered, lines, {"time": "EventTime"})
