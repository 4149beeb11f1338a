"""Streamed responses: the text of server-sent events in, an `Answer` out.

Usage stands in one event, usually near the end, and is never added up: the last one that counts
is the call's. The usual stream is read from its tail; whatever looks unusual is read as a whole.
How text makes events belongs in `server_events`, what they tell together in `listening`.
"""

import re

from oai_usage_pipeline.usage.answers import Answer, Body, instant_of, tier_of
from oai_usage_pipeline.usage.endings import ending_of, ending_of_chat_stream
from oai_usage_pipeline.usage.listening import (
    ENDED_BY_DONE,
    LAST_EVENTS,
    Listener,
    Told,
    answer_of,
    is_named,
    once,
)
from oai_usage_pipeline.usage.operations import RESPONSES, by_object
from oai_usage_pipeline.usage.server_events import DONE, Event, events, quick_event
from oai_usage_pipeline.usage.tokens import NO_TOKENS, tokens_of

# Possessive throughout: a megabyte of line ends must not be tried in every way.
_END = re.compile(r"\n*+(?P<done>(?:(?<=\n\n)(?:event:[^\n]*+\n)?+data: ?+\[DONE\] *+)?+)\s*+")


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
    event = quick_event(data)
    line_end = text.find("\n", at)
    end = _END.fullmatch(text, len(text) if line_end < 0 else line_end)
    if data is None or event is None or end is None:
        return None
    body = event.get("response") or event
    if not is_named(body) or tokens_of(body.get("usage") or {}) == NO_TOKENS:
        return None
    is_ended = bool(end["done"]) or event.get("type") in LAST_EVENTS
    return _told(text, event, once(body, data), is_ended=is_ended)


def _read_without_usage(text: str) -> Answer | None:
    """A chat stream that was asked for no usage; most of them are."""
    done = text.rfind("data: " + DONE)
    if not text.endswith("\n\n", 0, max(done, 0)) or text[done + 12 :].strip():
        return None
    if '"error"' in text or "event:" in text:
        return None
    body = quick_event(_lone_data(text, text.rfind("data:", 0, done)))
    if body is None or not is_named(body) or by_object(body.get("object")) not in ENDED_BY_DONE:
        return None
    return _told(text, body, body, is_ended=True)


def _told(text: str, event: Event, body: Body, *, is_ended: bool) -> Answer | None:
    operation = by_object(body.get("object"))
    if operation in ENDED_BY_DONE:
        ending = ending_of_chat_stream(operation, text, body.get("id"), is_ended=is_ended)
    elif operation == RESPONSES and event.get("response"):
        ending = ending_of(body, operation)
    else:
        return None
    return answer_of(Told(body, operation, is_ended, tier_of(body), ending, instant_of(body)))


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


def read_whole(text: str) -> Answer:
    """The answer of a stream, from all of its events in order."""
    listener = Listener()
    for kind, data in events(text):
        listener.hear(kind, data)
    return listener.answer(text)
