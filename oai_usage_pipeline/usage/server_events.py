"""How the text of a stream makes events, and what accounting reads of one.

The rules of lines are in the HTML standard, section "Server-sent events". What the events of a
stream tell together belongs in `listening`.
"""

import re
from collections.abc import Iterator
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from oai_usage_pipeline.usage.answers import Body, Unreadable
from oai_usage_pipeline.usage.bodies import body_of, parse_slowly

DONE = "[DONE]"
"""The data that ends the streams of chat and completions."""


class Event(Body, total=False):
    """One event of a stream; `response` is the whole call in those of the Responses API."""

    type: str | None
    response: Body | None
    code: Any  # of a Responses error event
    size: Any  # of images
    quality: Any  # of images


_validate_json = TypeAdapter(Event).validator.validate_json
_LINE_END = re.compile(r"\r\n|\r|\n")


def events(text: str) -> Iterator[tuple[str, str]]:
    """The name and data of each event; the last one needs no blank line, since recorded ones have none."""
    kind, data = "", list[str]()
    for line in (*_LINE_END.split(text), ""):
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif field == "event":
            kind = value.strip()
        elif not line:
            if data:
                yield kind, "\n".join(data)
            kind, data = "", []


def quick_event(data: str | None) -> Event | None:
    """The fields of an event's data; None for what is missing or not as it should be."""
    try:
        return _validate_json(data) if data is not None else None
    except ValidationError:
        return None


def event_of(data: str) -> Event | None:
    """The fields of an event's data; None for what is no JSON object, such as an event that was cut.

    Raises `Unreadable` for impossible counts.
    """
    try:
        event: Event = _validate_json(data)
    except ValidationError as error:
        return _read_slowly(data, error)
    return event


def _read_slowly(data: str, refusal: ValidationError) -> Event | None:
    try:
        tree = parse_slowly(data, refusal)
    except Unreadable:
        return None
    event = cast(Event, body_of(tree))
    if isinstance(tree.get("response"), dict):
        event["response"] = body_of(tree["response"])
    return event
