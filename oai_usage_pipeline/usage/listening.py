"""What the events of one stream tell together, and the answer that they make.

Events come one by one and in order. How text makes events belongs in `server_events`; when a look at
the last one is enough, in `streams`.
"""

from typing import Any, NamedTuple, cast

from oai_usage_pipeline.usage.answers import (
    RUN_STEP,
    Answer,
    Body,
    Unreadable,
    error_code,
    failure_of,
    instant_of,
    judge,
    tier_of,
)
from oai_usage_pipeline.usage.endings import (
    UNKNOWN,
    Ending,
    ending_of,
    ending_of_chat_stream,
    ending_of_failure,
)
from oai_usage_pipeline.usage.operations import (
    CHAT_COMPLETIONS,
    COMPLETIONS,
    IMAGES,
    RESPONSES,
    UNIT_BILLED,
    by_event,
    by_object,
)
from oai_usage_pipeline.usage.server_events import DONE, Event, event_of
from oai_usage_pipeline.usage.tokens import NO_TOKENS, is_doubled, tokens_of
from oai_usage_pipeline.usage.units import NO_UNITS, Units, units_answered

ENDED_BY_DONE = frozenset((CHAT_COMPLETIONS, COMPLETIONS))
LAST_EVENTS = ("response.completed", "response.incomplete")
_LAST_EVENTS_OF_UNITS = (".completed", ".done")
_NAMES = ("id", "object", "model")


class Told(NamedTuple):
    """What the events of a stream tell together."""

    body: Body
    operation: str | None
    is_ended: bool
    service_tier: str | None = None
    ending: Ending = UNKNOWN
    created_at: int | None = None
    units: Units = NO_UNITS


def answer_of(told: Told) -> Answer:
    """The answer of a stream that didn't fail."""
    body, operation, is_ended, tier, ending, created_at, units = told
    status, reason, tokens = judge(body, operation, without_usage="stream_without_usage")
    if not is_ended and status != "metered":
        status, reason = "unmetered", "stream_cut_off"
    elif not is_ended and operation in ENDED_BY_DONE:
        reason = f"{reason}; stream_cut_off" if reason else "stream_cut_off"
    names = (body.get("object"), body.get("model"), body.get("id"))
    streamed = True
    return Answer(status, reason, operation, *names, streamed, tokens, tier, ending, units, created_at)


def is_named(body: Body) -> bool:
    """Whether one event tells all names of the call."""
    return bool(body.get("id") and body.get("model") and by_object(body.get("object")))


def once(body: Body, data: str) -> Body:
    """The body, whose text must not name a money field twice."""
    if is_doubled(data, body.get("usage")):
        raise Unreadable("tokens_doubled", body)
    return body


class Listener:
    """Puts together what the events of one stream say."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.counted: dict[str, Any] = {}
        self.named = Body()
        self.response = Body()
        self.operation: str | None = None
        self.failure: str | None = None
        self.refusal: Unreadable | None = None
        self.units: dict[str, Any] = {}
        self.image_count = 0
        self.is_json = False
        self.is_ended = False

    def hear(self, kind: str, data: str) -> None:
        """Takes in one event: its name and its data."""
        if data.strip() == DONE:
            self.is_ended = True
            return
        self.is_json = self.is_json or data.lstrip().startswith("{")
        try:
            event = event_of(data)
            if event is not None:
                self._take(event, event.get("type") or kind, data)
        except Unreadable as refusal:
            # Only the last usage counts, so only the last one can refuse the call.
            self.refusal = refusal

    def _take(self, event: Event, told: str, data: str) -> None:
        body: Body = event.get("response") or event
        self.names |= {name: value for name, value in body.items() if name in _NAMES and value}
        self.operation = by_object(body.get("object")) or by_event(told) or self.operation
        self.failure = _failure(event, body, told) or self.failure
        self._take_whole(event, body)
        usage = body.get("usage")
        if usage and tokens_of(usage) != NO_TOKENS and body.get("object") != RUN_STEP:
            self.counted = {name: value for name, value in once(body, data).items() if value}
            self.is_ended, self.refusal = False, None
        units = self.operation in UNIT_BILLED and told.endswith(_LAST_EVENTS_OF_UNITS)
        if units:
            self._take_units(event)
        self.is_ended = self.is_ended or units or told in LAST_EVENTS

    def _take_whole(self, event: Event, body: Body) -> None:
        if is_named(body):
            self.named = body
        if event.get("response"):
            self.response = body

    def _take_units(self, event: Event) -> None:
        self.image_count += self.operation == IMAGES
        self.units |= {name: event[name] for name in ("usage", "size", "quality") if event.get(name)}

    def answer(self, text: str) -> Answer:
        """What was told; `text` is that of the stream. Raises `Unreadable` when it can't be accounted for."""
        if self.refusal is not None:
            raise self.refusal
        if not (self.is_json or self.is_ended):
            raise Unreadable("response_not_json")
        body = cast(Body, self.names | self._timed() | self.counted)
        operation = by_object(body.get("object")) or self.operation
        tier = tier_of(self.named)
        if self.failure and not self.counted:
            names = (body.get("object"), body.get("model"), body.get("id"))
            ending = ending_of_failure(self.failure)
            return Answer("failed", self.failure, operation, *names, is_stream=True, ending=ending)
        ending = self._ending(operation, text, body.get("id"))
        units = units_answered(operation, {"data": [None] * self.image_count, **self.units})
        return answer_of(Told(body, operation, self.is_ended, tier, ending, instant_of(self.named), units))

    def _timed(self) -> dict[str, Any]:
        """A usage of seconds is no count, but it tells what the call is billed by."""
        usage = self.units.get("usage") or {}
        return {"usage": usage} if "seconds" in usage else {}

    def _ending(self, operation: str | None, text: str, response_id: str | None) -> Ending:
        if operation in ENDED_BY_DONE:
            return ending_of_chat_stream(operation, text, response_id, is_ended=self.is_ended)
        if operation == RESPONSES:
            return ending_of(self.response, operation) if self.response else UNKNOWN
        return UNKNOWN


def _failure(event: Event, body: Body, told: str) -> str | None:
    if told == "error":
        return error_code(event.get("error") or event)
    return failure_of(body)
