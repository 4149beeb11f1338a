"""One event as bronze keeps it: what stands in which column.

Only the form belongs here, for those that open events, seal them and read them again. Which bytes
make an event readable is for `envelope`, what each shape of event holds for `shapes`.
"""

from typing import NamedTuple

FIELDS = ("EventTime", "AppSubscriptionKey", "Request", "Response")
"""The columns with names of their own, which are those of the reference's four fields."""

NOT_TEXT = {
    "EventTime": "event_time_not_text",
    "AppSubscriptionKey": "subscription_key_not_text",
    "Request": "request_not_text",
    "Response": "response_not_text",
}
"""Why an event isn't readable whose field for this column holds something else than text."""


class Envelope(NamedTuple):
    """One event as bronze keeps it; with a `reason`, no column is set and the raw bytes are kept.

    `properties` is the JSON object of every field besides the four, or None when there is none. Of an
    event that is no reference envelope its first field is `event_shape`, which says what it is.
    """

    EventTime: str | None = None
    AppSubscriptionKey: str | None = None
    Request: str | None = None
    Response: str | None = None
    properties: str | None = None
    reason: str | None = None
