"""Text as API Management's policy writes it with Newtonsoft.Json: dates, indented JSON, the envelope.

Only form belongs here: what is inside a request or a response belongs in the modules of the APIs.
"""

import json
import re
from datetime import UTC, datetime, timedelta

TICKS_PER_SECOND = 10_000_000
"""A .NET tick is 100 ns: EventTime has up to seven fractional digits."""

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
"""A JSON value as the standard library reads and writes it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOLE = re.compile(r'"@\{(\w+)\}"')
_encode = json.JSONEncoder(ensure_ascii=False).encode


def json_text(text: str) -> str:
    """A JSON string literal; like Newtonsoft it escapes quotes and controls, not other alphabets."""
    return _encode(text)


def hole(name: str) -> str:
    """A place in a template's shape that `render` fills."""
    return f"@{{{name}}}"


class JsonTemplate:
    """A JSON text with holes, laid out once and filled per event.

    The standard library indents in pure Python, at a few thousand values a second: too slow to do
    for every event. Rendering a template is one string operation.
    """

    def __init__(self, shape: Json, *, indented: bool = True) -> None:
        """`shape` holds `hole(name)` where values go; indented by two spaces, or compact for SSE."""
        layout = json.dumps(
            shape,
            ensure_ascii=False,
            indent=2 if indented else None,
            separators=None if indented else (",", ":"),
        )
        self._layout = _HOLE.sub(r"%(\1)s", layout.replace("%", "%%"))

    def render(self, **values: str | int) -> str:
        """The text with each hole filled; strings must be JSON text already (see `json_text`)."""
        return self._layout % values


def ticks_of(instant: datetime) -> int:
    """Ticks since 1970 of an instant with a zone."""
    return (instant - _EPOCH) // timedelta(microseconds=1) * 10


def event_time(ticks: int) -> str:
    """Newtonsoft's ISO date in UTC: fractional digits without trailing zeros, none for a whole second."""
    seconds, fraction = divmod(ticks, TICKS_PER_SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:07d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def envelope(
    time: str, subscription_key: str, request: str, response: str | None, line_end: str = "\n"
) -> str:
    """The message text: the policy's four properties, as `JObject.ToString()` writes them."""
    properties = (
        f'"EventTime": "{time}"',
        f'"AppSubscriptionKey": "{subscription_key}"',
        f'"Request": {json_text(request)}',
        f'"Response": {"null" if response is None else json_text(response)}',
    )
    return f"{{{line_end}  {f',{line_end}  '.join(properties)}{line_end}}}"
