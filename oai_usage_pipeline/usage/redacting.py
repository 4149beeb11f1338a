"""Events with the personal data in their texts replaced.

Belongs here: which strings of bodies, streams and records are texts. What personal data looks like is for
whoever hands in `redact`. Names that accounting reads stay as they are. What can't be searched doesn't stay:
pictures, sound, tokens as numbers.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json

from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.masked_events import time_kept
from oai_usage_pipeline.usage.masking import Unmaskable, mask_request
from oai_usage_pipeline.usage.requests import tree_of
from oai_usage_pipeline.usage.server_events import DONE, events
from oai_usage_pipeline.usage.shapes import ARRAY, MARK, SHAPES
from oai_usage_pipeline.usage.shapes.policy import user_claim
from oai_usage_pipeline.usage.shapes.shape import EVENT_SHAPE
from oai_usage_pipeline.usage.streams import is_stream

Redact = Callable[[str], str]
"""A text with what is personal in it replaced."""

Pieces = dict[tuple[Any, ...], list[tuple[Any, Any]]]
"""By place in the events of a stream, the objects and names that hold the pieces of one text."""

LONGEST_BLOB = 512
"""Characters without a gap that are no text but bytes: a picture, sound, a file."""

_BLOB = re.compile(rf"[A-Za-z0-9+/=_-]{{{LONGEST_BLOB}}}")
_PLAIN = re.compile(r"[A-Za-z0-9_.:/=-]{1,128}", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9_.$-]{1,64}", re.ASCII)
_ESCAPE = re.compile(r"(?<!\\)\\++(?:[bfnrt]|u00([2-7][0-9A-Fa-f]))")
_MOST_DIGITS = 8
"""Digits of a whole number that is no card, account or phone."""

_ASKED = frozenset(("model", "user", "safety_identifier", "size", "quality"))
_ANSWERED = frozenset(
    (
        "id",
        "object",
        "model",
        "service_tier",
        "status",
        "type",
        "finish_reason",
        "reason",
        "code",
        "role",
        "size",
    )
)
_BODIES = {"request": True, "response": False}
_MESSAGES = frozenset(("requestmessages", "responsemessages"))
_RECORDED = frozenset(
    name.lower() for shape in SHAPES for contract in shape.contracts for name in contract.__annotations__
) - {*_BODIES, *_MESSAGES}
_COUNTED = frozenset(("usage", "created", "created_at", "logprobs"))
_NUMBERS_THAT_ARE_TEXT = frozenset(("input", "prompt", "embedding", "bytes", "tokens"))


def redacted_event(event: Envelope, redact: Redact) -> Envelope:
    """The columns of a readable event, redacted; raises `Unmaskable`, and whatever `redact` raises."""
    return event._replace(
        EventTime=None if event.EventTime is None else time_kept(event.EventTime),
        Request=redacted_request(event.Request, redact),
        Response=redacted_response(event.Response, redact),
        properties=_properties(event.properties, redact),
    )


def redacted_request(text: str | None, redact: Redact) -> str | None:
    """A request's text, redacted; of a form, which may hold a file, only what accounting reads."""
    if not text:
        return text
    if text.startswith("--"):
        return mask_request(text)
    tree = tree_of(text)
    if not tree:
        return _text(text, redact)
    return _json({name: _value(name, each, redact, _ASKED) for name, each in tree.items()})


def redacted_response(text: str | None, redact: Redact) -> str | None:
    """A response's text, redacted; the pieces of a stream are read together."""
    bare = (text or "").lstrip("\ufeff \t\r\n")
    if not text or not bare:
        return text
    if is_stream(bare):
        return _stream(bare, redact)
    if bare[0] not in '{["':
        return _text(text, redact)
    tree = _tree(bare)
    if isinstance(tree, str):
        return _json(redacted_response(tree, redact))
    return _json(_value("", tree, redact, _ANSWERED))


def _properties(text: str | None, redact: Redact) -> str | None:
    if not text:
        return text
    tree = _tree(text)
    if not isinstance(tree, dict):
        raise Unmaskable
    if not text.startswith(MARK):
        return _json(_value("", tree, redact, frozenset()))
    if tree[EVENT_SHAPE] == ARRAY:
        return _json({EVENT_SHAPE: ARRAY, "events": [_record(each, redact) for each in tree["events"]]})
    return _json(_record(tree, redact))


def _record(record: Any, redact: Redact) -> Any:  # noqa: ANN401 - JSON
    """A record of a gateway, whose names are read in either case."""
    if isinstance(record, list):
        return [_record(each, redact) for each in record]
    if not isinstance(record, dict):
        return _text(record, redact) if isinstance(record, str) else record
    return {_name(name, redact): _recorded(name.lower(), value, redact) for name, value in record.items()}


def _recorded(name: str, value: Any, redact: Redact) -> Any:  # noqa: ANN401 - JSON
    if name in _BODIES and isinstance(value, str):
        return redacted_request(value, redact) if _BODIES[name] else redacted_response(value, redact)
    if name == "properties" and isinstance(value, str):
        return _json(_record(_tree(value), redact))
    if name == "userclaims" and isinstance(value, dict):
        named, _ = user_claim(value)
        others = _value("", {each: value[each] for each in value if each != named}, redact, frozenset())
        return {named: value[named], **others} if named else others
    if name in ("properties", "records"):
        return _record(value, redact)
    if name in _RECORDED or name in (EVENT_SHAPE, "eventtime", "appsubscriptionkey", "type"):
        return value
    return _value(name, value, redact, frozenset())


def _value(name: str, value: Any, redact: Redact, names: frozenset[str]) -> Any:  # noqa: ANN401 - JSON
    """A value with its texts redacted, but for names that accounting reads."""
    if isinstance(value, str):
        is_name = name in names and (names is _ASKED or _PLAIN.fullmatch(value) is not None)
        return value if is_name else _text(value, redact)
    if name in _COUNTED:
        return None if name == "logprobs" else _counted(value, redact)
    # Only the first fields of a request are names that count; in an answer, all of a name are.
    inner = names if names is _ANSWERED else frozenset[str]()
    if isinstance(value, dict):
        return {_name(each, redact): _value(each, value[each], redact, inner) for each in value}
    if isinstance(value, list):
        if value and name in _NUMBERS_THAT_ARE_TEXT and isinstance(value[0], int | float):
            return []
        return [_value(name, each, redact, inner) for each in value]
    return _number(value, redact)


def _counted(value: Any, redact: Redact) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return {_name(name, redact): _counted(each, redact) for name, each in value.items()}
    if isinstance(value, list):
        return [_counted(each, redact) for each in value]
    return _text(value, redact) if isinstance(value, str) else value


def _number(value: Any, redact: Redact) -> Any:  # noqa: ANN401 - JSON
    if value.__class__ is not int or -(10**_MOST_DIGITS) < value < 10**_MOST_DIGITS:
        return value
    text = str(value)
    redacted = redact(text)
    return value if redacted == text else redacted


def _name(name: str, redact: Redact) -> str:
    return name if _KEY.fullmatch(name) else _prose(name, redact)


def _text(text: str, redact: Redact) -> str:
    """A text, redacted; what is JSON within it is read as such, since escapes could hide what it holds."""
    if not text:
        return text
    if _BLOB.search(text):
        return ""
    if text[0] in '{["':
        try:
            tree = from_json(text)
        except (ValueError, TypeError):
            return _prose(text, redact)
        inner = _value("", tree, redact, frozenset())
        return text if inner == tree else _json(inner)
    return _prose(text, redact)


def _prose(text: str, redact: Redact) -> str:
    """A text that is no JSON, redacted; where it has JSON amid its words, escapes hide nothing either."""
    if "\\" not in text:
        return redact(text)
    plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else " ", text)
    redacted = redact(plain)
    return text if redacted == plain else redacted


def _stream(text: str, redact: Redact) -> str:
    told = [(kind, data if data.strip() == DONE else _tree(data)) for kind, data in events(text)]
    if any(not isinstance(data, dict) and data != DONE for _, data in told):
        raise Unmaskable
    pieces: Pieces = {}
    for _, data in told:
        if isinstance(data, dict):
            _collect(data, (data.get("type"), data.get("item_id"), data.get("output_index")), pieces)
    for holders in pieces.values():
        _join(holders, redact)
    blocks = []
    for kind, data in told:
        named = f"event: {_text(kind, redact)}\n" if kind else ""
        shown = _json(_value("", data, redact, _ANSWERED)) if isinstance(data, dict) else DONE
        blocks.append(f"{named}data: {shown}\n\n")
    return "".join(blocks)


def _collect(node: dict[str, Any] | list[Any], place: tuple[Any, ...], pieces: Pieces) -> None:
    """Each string by its place in the events; the pieces of one text have the same."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for name, value in items:
        # An answer of several is known by its index, wherever it stands in the list.
        own = value.get("index", name) if isinstance(node, list) and isinstance(value, dict) else name
        if isinstance(value, dict | list):
            _collect(value, (*place, own), pieces)
        elif isinstance(value, str) and name not in _ANSWERED:
            pieces.setdefault((*place, own), []).append((node, name))


def _join(holders: list[tuple[Any, Any]], redact: Redact) -> None:
    """Redact the pieces of a text as the whole that they make; it then stands where its first piece did."""
    if len(holders) == 1:
        return
    whole = "".join(node[name] for node, name in holders)
    redacted = _text(whole, redact)
    if redacted == whole:
        return
    for node, name in holders:
        node[name] = ""
    node, name = holders[0]
    node[name] = redacted


def _tree(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return from_json(text)
    except (ValueError, TypeError):
        raise Unmaskable from None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
