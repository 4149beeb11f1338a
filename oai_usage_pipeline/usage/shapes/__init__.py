"""The shapes of events, in one place: what gateways log, field by field, and what it means.

A new shape is a module with its contract and a line in `SHAPES`; docs/EVENTS.md describes each.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from pydantic_core import from_json

from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.metering import UsageRecord, meter
from oai_usage_pipeline.usage.shapes.camel_case import CAMEL_CASE
from oai_usage_pipeline.usage.shapes.diagnostics import DIAGNOSTICS, MOST_RECORDS
from oai_usage_pipeline.usage.shapes.metered import METERED
from oai_usage_pipeline.usage.shapes.policy import POLICY
from oai_usage_pipeline.usage.shapes.reference import REFERENCE
from oai_usage_pipeline.usage.shapes.shape import (
    EVENT_SHAPE,
    PARSER_FAILED,
    Call,
    Line,
    Meter,
    Shape,
    alone,
    with_properties,
)

SHAPES: tuple[Shape, ...] = (REFERENCE, POLICY, DIAGNOSTICS, METERED, CAMEL_CASE)
"""In the order in which an event is tried: the one that says most clearly what it is first."""

ARRAY = "array"
"""What `properties` names as the shape of an array of events."""

MARK = f'{{"{EVENT_SHAPE}":"'
"""How `properties` begins where an event is no reference envelope."""

_BY_NAME = {shape.name: shape for shape in SHAPES}


def shape_of(fields: Mapping[str, Any]) -> Shape | None:
    """The shape that an event's fields have, be they only its first; None for an unknown object."""
    return next((shape for shape in SHAPES if shape.knows(fields)), None)


def open_fields(fields: Mapping[str, Any]) -> Envelope:
    """The columns of an event by its fields, or the reason why it has none."""
    shape = shape_of(fields)
    return shape.open(fields) if shape else Envelope(reason="envelope_unknown")


def open_array(events: Iterable[Any]) -> Envelope:
    """The columns of an array of events, or the reason why it has none: none of them is known."""
    held = list(events)
    if not any(isinstance(each, dict) and shape_of(each) for each in held):
        return Envelope(reason="envelope_not_object")
    return with_properties(Envelope(), {EVENT_SHAPE: ARRAY, "events": held})


def lines_of(envelope: Envelope, meter: Meter = meter) -> list[Line]:
    """The silver lines of one event from its columns; at least one.

    `meter` reads the bodies; what bodies there are, and of which call, is for each shape to say.
    """
    fields = _marked(envelope.properties)
    name = fields.get(EVENT_SHAPE)
    if name == ARRAY:
        return lines_of_array(fields["events"], meter)
    return _BY_NAME.get(str(name), REFERENCE).lines(envelope, fields, meter)


def _marked(properties: str | None) -> dict[str, Any]:
    return dict(from_json(properties)) if properties and properties.startswith(MARK) else {}


def lines_of_array(events: list[Any], meter: Meter = meter) -> list[Line]:
    """The lines of an array's events, each at least one, up to `MOST_RECORDS`."""
    made: list[Line] = []
    for done, event in enumerate(events):
        if len(made) >= MOST_RECORDS:
            return [*made, Line(UsageRecord(reason=f"too_many_records: {len(events) - done} left out"))]
        made += alone(partial(_lines_of_element, event, meter))
        if len(made) > MOST_RECORDS:
            left_out = len(made) - MOST_RECORDS + len(events) - done - 1
            return [*made[:MOST_RECORDS], Line(UsageRecord(reason=f"too_many_records: {left_out} left out"))]
    return made


def _lines_of_element(event: object, meter: Meter) -> list[Line]:
    opened = open_fields(event) if isinstance(event, dict) else Envelope(reason="envelope_not_object")
    if opened.reason is not None:
        return [Line(UsageRecord(reason=opened.reason))]
    return lines_of(opened, meter)


__all__ = [
    "ARRAY",
    "MARK",
    "PARSER_FAILED",
    "SHAPES",
    "Call",
    "Line",
    "Meter",
    "Shape",
    "alone",
    "lines_of",
    "lines_of_array",
    "open_array",
    "open_fields",
    "shape_of",
]
