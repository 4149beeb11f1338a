"""Where a reader wants to start: the selector filter of a receiver's source.

Belongs here: reading the filter that Event Hubs clients send,
`amqp.annotation.x-opt-{offset|sequence-number|enqueued-time} >|>= 'value'`.
Finding that place in a partition is the log's business.
"""

import re
from typing import Literal, NamedTuple, cast

from oai_usage_pipeline.broker.amqp_types import Described
from oai_usage_pipeline.broker.errors import LinkFailed

By = Literal["offset", "sequence-number", "enqueued-time"]

_SELECTOR = re.compile(
    r"\s*amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-time)\s*(>=?)\s*'([^']*)'\s*"
)
_NAME = "apache.org:selector-filter:string"
_INTEGER = re.compile(r"-?[0-9]{1,19}")


class Start(NamedTuple):
    """A starting position; `value` None means the end of the partition ("@latest")."""

    by: By
    value: int | None
    inclusive: bool


# Offset -1 lies before every event.
FROM_THE_START = Start("offset", -1, inclusive=False)


def start_of(filters: object) -> Start:
    """Read the filter set of a source; without a selector it means from the start.

    Raises LinkFailed for a selector of another form, as Event Hubs refuses it.
    """
    selector = _selector(filters)
    if selector is None:
        return FROM_THE_START
    match = _SELECTOR.fullmatch(selector)
    if match is None:
        raise LinkFailed("amqp:invalid-field", f"The selector filter {selector[:200]!r} is not supported.")
    by, operator, value = match.groups()
    if value == "@latest":
        return Start("offset", None, inclusive=False)
    if _INTEGER.fullmatch(value) is None:
        raise LinkFailed("com.microsoft:argument-error", f"The supplied {by} {value[:40]!r} is invalid.")
    return Start(cast("By", by), int(value), inclusive=operator == ">=")


def _selector(filters: object) -> str | None:
    if not isinstance(filters, dict):
        return None
    found = filters.get(_NAME)
    text = found.value if isinstance(found, Described) else found
    if isinstance(text, bytes):
        return text.decode("utf-8", "replace")
    return text if isinstance(text, str) else None
