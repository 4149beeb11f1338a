"""Streamed responses: the text of server-sent events in, an `Answer` out.

Usage stands in one event, usually near the end, and is never added up: the last one that counts
is the call's. The usual stream is read from its tail; whatever looks unusual is read as a whole.
How lines make events is in the HTML standard, section "Server-sent events".
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter, ValidationError

from oai_usage_pipeline.usage.answers import Answer, Body, Unreadable, error_code, failure_of, judge
from oai_usage_pipeline.usage.bodies import body_of, parse_slowly
from oai_usage_pipeline.usage.operations import (
    CHAT_COMPLETIONS,
    COMPLETIONS,
    UNIT_BILLED,
    by_event,
    by_object,
)
from oai_usage_pipeline.usage.tokens import NO_TOKENS, is_doubled, tokens_of


class Event(Body, total=False):
    """One event of a stream; `response` is the whole call in those of the Responses API."""

    type: str | None
    response: Body | None
    code: Any  # of a Responses error event


class Told(NamedTuple):
    """What the events of a stream tell together."""

    body: Body
    operation: str | None
    is_ended: bool


_validate_json = TypeAdapter(Event).validator.validate_json
_LINE_END = re.compile(r"\r\n|\r|\n")
# Possessive throughout: a megabyte of line ends must not be tried in every way.
_END = re.compile(r"\n*+(?P<done>(?:(?<=\n\n)(?:event:[^\n]*+\n)?+data: ?+\[DONE\] *+)?+)\s*+")
_DONE = "[DONE]"
_NAMES = ("id", "object", "model")
_ENDED_BY_DONE = frozenset((CHAT_COMPLETIONS, COMPLETIONS))
_LAST_EVENTS = ("response.completed", "response.incomplete")
_LAST_EVENTS_OF_UNITS = (".completed", ".done")


def is_stream(text: str) -> bool:
    """Whether the text of a response is a stream of events."""
    return text.startswith(("data:", "event:", ":", "id:", "retry:"))


def read_stream(text: str) -> Answer:
    """The answer of a stream; raises `Unreadable` for impossible or contradicting counts."""
    return read_tail(text) or read_whole(text)


def read_tail(text: str) -> Answer | None:
    """The answer that the last event with usage or names gives alone; None when others have a say."""
    if "\r" in text:
        return None
    at = text.rfind('"usage"')
    if at >= 0:
        return _read_usage_event(text, at)
    return _read_without_usage(text)


def _read_usage_event(text: str, at: int) -> Answer | None:
    data = _lone_data(text, at)
    event = _parse(data)
    line_end = text.find("\n", at)
    end = _END.fullmatch(text, len(text) if line_end < 0 else line_end)
    if data is None or event is None or end is None:
        return None
    body = event.get("response") or event
    if not _is_named(body) or tokens_of(body.get("usage") or {}) == NO_TOKENS:
        return None
    is_ended = bool(end["done"]) or event.get("type") in _LAST_EVENTS
    return _answer(Told(_once(body, data), by_object(body.get("object")), is_ended))


def _read_without_usage(text: str) -> Answer | None:
    """A chat stream that was asked for no usage; most of them are."""
    done = text.rfind("data: " + _DONE)
    if not text.endswith("\n\n", 0, max(done, 0)) or text[done + 12 :].strip():
        return None
    if '"error"' in text or "event:" in text:
        return None
    body = _parse(_lone_data(text, text.rfind("data:", 0, done)))
    if body is None or not _is_named(body) or by_object(body.get("object")) not in _ENDED_BY_DONE:
        return None
    return _answer(Told(body, by_object(body.get("object")), is_ended=True))


def _lone_data(text: str, at: int) -> str | None:
    """The data of the line that holds `at`, if an event begins with it, or with its name before it."""
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    if not text.startswith("data:", start):
        return None
    opening = start
    name = text.rfind("\n", 0, max(start - 1, 0)) + 1
    if text.startswith("event:", name):
        opening = name
    return text[start + 5 : end] if opening == 0 or text.endswith("\n\n", 0, opening) else None


def _parse(data: str | None) -> Event | None:
    try:
        return _validate_json(data) if data is not None else None
    except ValidationError:
        return None


def _is_named(body: Body) -> bool:
    return bool(body.get("id") and body.get("model") and by_object(body.get("object")))


def _once(body: Body, data: str) -> Body:
    if is_doubled(data):
        raise Unreadable("tokens_doubled", body)
    return body


def read_whole(text: str) -> Answer:
    """The answer of a stream, from all of its events in order."""
    listener = _Listener()
    for kind, data in events(text):
        listener.hear(kind, data)
    return listener.answer()


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


class _Listener:
    """Puts together what the events of one stream say."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.counted: dict[str, Any] = {}
        self.operation: str | None = None
        self.failure: str | None = None
        self.refusal: Unreadable | None = None
        self.is_json = False
        self.is_ended = False

    def hear(self, kind: str, data: str) -> None:
        if data.strip() == _DONE:
            self.is_ended = True
            return
        self.is_json = self.is_json or data.lstrip().startswith("{")
        try:
            event = _event(data)
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
        if tokens_of(body.get("usage") or {}) != NO_TOKENS:
            self.counted = {name: value for name, value in _once(body, data).items() if value}
            self.is_ended, self.refusal = False, None
        units = self.operation in UNIT_BILLED and told.endswith(_LAST_EVENTS_OF_UNITS)
        self.is_ended = self.is_ended or units or told in _LAST_EVENTS

    def answer(self) -> Answer:
        if self.refusal is not None:
            raise self.refusal
        if not (self.is_json or self.is_ended):
            raise Unreadable("response_not_json")
        body = cast(Body, self.names | self.counted)
        operation = by_object(body.get("object")) or self.operation
        if self.failure and not self.counted:
            names = (body.get("object"), body.get("model"), body.get("id"))
            return Answer("failed", self.failure, operation, *names, is_stream=True)
        return _answer(Told(body, operation, self.is_ended))


def _event(data: str) -> Event | None:
    """One event's fields, or None for an event that is no JSON object, such as one that was cut."""
    try:
        event: Event = _validate_json(data)
    except ValidationError as error:
        return _event_slowly(data, error)
    return event


def _event_slowly(data: str, refusal: ValidationError) -> Event | None:
    try:
        tree = parse_slowly(data, refusal)
    except Unreadable:
        return None
    event = cast(Event, body_of(tree))
    if isinstance(tree.get("response"), dict):
        event["response"] = body_of(tree["response"])
    return event


def _failure(event: Event, body: Body, told: str) -> str | None:
    if told == "error":
        return error_code(event.get("error") or event)
    return failure_of(body)


def _answer(told: Told) -> Answer:
    body, operation, is_ended = told
    status, reason, tokens = judge(body, operation, without_usage="stream_without_usage")
    if not is_ended and status != "metered":
        status, reason = "unmetered", "stream_cut_off"
    elif not is_ended and operation in _ENDED_BY_DONE:
        reason = f"{reason}; stream_cut_off" if reason else "stream_cut_off"
    names = (body.get("object"), body.get("model"), body.get("id"))
    return Answer(status, reason, operation, *names, is_stream=True, tokens=tokens)
