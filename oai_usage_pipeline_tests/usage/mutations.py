"""Events that gateways don't write: seeds of every shape, and changes that know their structure.

What a change may do to an event belongs here; what must hold whatever it did is for `fuzz`. All that
is random comes from the `Random` given, so a seed gives the same inputs again.
"""

import base64
import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from oai_usage_pipeline_tests.usage.bodies import DONE, EVENT_TIME, REQUEST, USAGE, chat, chunk
from oai_usage_pipeline_tests.usage.shapes.events import EVENTS, METERED, POLICY, chunk_log, llm_log, records

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "recorded.jsonl"
CANARY = "c0ffee1234567890c0ffee1234567890"
"""The caller's key in every seed."""

_LONGEST_SEED = 8_000
_DEEPEST = 40

_NUMBERS = [0, -1, 1, 12.0, 12.5, 2**31, 2**53 + 1, 2**63, -(2**63), 10**30, 1e400, -1e-07, float("nan")]
_TEXTS = ["", " ", "null", "12", "\x00", "\ud83d", "é", "\u202e", "[DONE]", "data: ", "\r\n", "\\", '"']
_TEXTS += ["a" * 300, f"api-key: {CANARY}", f"Bearer {CANARY}", CANARY.upper(), "2026-02-30T25:61:61Z"]
_NAMES = ["usage", "object", "model", "id", "choices", "error", "stream", "records", "properties", "category"]
_NAMES += ["prompt_tokens", "completion_tokens", "input_tokens_details", "response", "Response", "type", "n"]
_NAMES += ["totalTokens", "correlationId", "sequenceNumber", "created_at", "api-key", "value", "name", "data"]
_NAMES += ["recordVersion", "message", "content", "status"]
_TOKENS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"'", b"\r", b"\n\n", b"data: ", b"event: x\n"]
_TOKENS += [
    b"\\u",
    b"\\ud800",
    b"\xff",
    b"\x00",
    b"\xef\xbb\xbf",
    b'"usage"',
    b'"api-key":"',
    b"subscriptionId=",
]
_TOKENS += [
    b"subscriptionId=",
    b"Bearer ",
    b"eyJ",
    b"sig=",
    b"sk-",
    b"NaN",
    b"1e999",
    b"null",
    b"[DONE]",
    b'{"records":[',
]


def seeds(random: Random) -> list[bytes]:
    """A usual event of every shape and of every kind of answer; and recorded calls, where there are any."""
    events: list[Any] = [*EVENTS.values(), list(EVENTS.values())]
    events.append(records(llm_log(), chunk_log(1, requestMessages=[{"role": "user", "content": "Hi"}])))
    events += [_reference(request, response) for request, response in _calls(random)]
    return [json.dumps(event).replace("0123456789abcdef" * 2, CANARY).encode() for event in events]


def _reference(request: str | None, response: str | None) -> dict[str, Any]:
    return {"EventTime": EVENT_TIME, "AppSubscriptionKey": CANARY, "Request": request, "Response": response}


def _calls(random: Random) -> list[tuple[str | None, str | None]]:
    made = [(REQUEST, response) for response in _responses()]
    recorded = _recorded()
    return made + random.sample(recorded, min(len(recorded), 300))


def _responses() -> list[str]:
    counted = '{"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "input_tokens_details": {}}'
    names = '"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o"'
    response = f'{{{names}, "usage": {counted}}}'
    return [
        chat(),
        chat(None),
        json.dumps(chat()),
        chunk() + chunk(USAGE, choices="[]") + DONE,
        chunk() + chunk(),
        response,
        f'event: response.completed\ndata: {{"type": "response.completed", "response": {response}}}\n\n',
        '{"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}',
        '{"created": 1777633200, "data": [{"url": "https://x/y?sig=abcdefgh12345678abcdefgh12345678"}]}',
        '{"text": "Hi", "usage": {"type": "duration", "seconds": 3}}',
        '{"error": {"code": "content_filter", "message": "no", "innererror": {}}}',
        '{"object": "batch", "id": "b", "status": "completed", "usage": ' + counted + "}",
    ]


@cache
def _recorded() -> list[tuple[str | None, str | None]]:
    if not CORPUS.exists():
        return []
    calls = (json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines())
    pairs = [(call["request"], call["response"]) for call in calls]
    return [pair for pair in pairs if sum(len(each or "") for each in pair) <= _LONGEST_SEED]


def mutated(body: bytes, random: Random, other: bytes = b"{}") -> bytes:
    """`body` with one to four changes; values may be taken from `other`, another event."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        changed = _in_structure(body, random, other) if random.random() < 0.75 else None
        body = _in_bytes(body, random, other) if changed is None else changed
    return body


def _in_structure(body: bytes, random: Random, other: bytes) -> bytes | None:
    """A change that leaves JSON what it is; None for what is none."""
    tree, donor = _parsed(body), _parsed(other)
    if tree is None:
        return None
    tree = _changed(tree, random, donor)
    indent = random.choice((None, None, None, 2))
    try:
        text = json.dumps(tree, ensure_ascii=random.random() < 0.7, indent=indent)
    except (RecursionError, ValueError):
        return None
    return text.encode("utf-8", "surrogatepass")


def _parsed(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _changed(tree: Any, random: Random, donor: Any) -> Any:
    """The tree with one value within it changed, also within texts that are JSON or streams."""
    holder: Any = None
    key: Any = None
    node = tree
    for _ in range(random.randrange(1, 9)):
        if not isinstance(node, dict | list) or not node:
            break
        holder, key = node, random.choice(list(node) if isinstance(node, dict) else range(len(node)))
        node = holder[key]
    if holder is None:
        return _odd(tree, random, donor)
    if isinstance(node, str) and node and random.random() < 0.85:
        holder[key] = _changed_text(node, random, donor)
    elif isinstance(holder, dict) and random.random() < 0.5:
        _change_fields(holder, key, random, donor)
    elif isinstance(holder, list) and random.random() < 0.5:
        _change_items(holder, key, random, donor)
    else:
        holder[key] = _odd(node, random, donor)
    return tree


def _changed_text(text: str, random: Random, donor: Any) -> str:
    if text[:1] in "{[":
        inner = _parsed(text)
        if inner is not None:
            return json.dumps(_changed(inner, random, donor))
    if text.startswith(("data:", "event:")) and random.random() < 0.7:
        return _changed_stream(text, random, donor)
    return _in_bytes(text.encode("utf-8", "surrogatepass"), random, b"").decode("utf-8", "replace")


def _changed_stream(text: str, random: Random, donor: Any) -> str:
    events = text.split("\n\n")
    at = random.randrange(len(events))
    match random.randrange(5):
        case 0:
            del events[at]
        case 1:
            events.insert(random.randrange(len(events)), events[at])
        case 2:
            events[at] = events[at].replace("\n", "\r\n") + random.choice(("\r", "\n: comment", "\ndata: x"))
        case 3:
            events = events[:at] * random.randrange(1, 20) + events[at:]
        case _:
            name, _, data = events[at].partition("data: ")
            inner = _parsed(data)
            events[at] = (
                f"{name}data: {json.dumps(_changed(inner, random, donor))}" if inner else events[at][1:]
            )
    return random.choice(("\n\n",) * 5 + ("\r\n\r\n", "\n", "\r\r")).join(events)


def _change_fields(fields: dict[Any, Any], key: Any, random: Random, donor: Any) -> None:
    match random.randrange(5):
        case 0:
            del fields[key]
        case 1:
            fields[random.choice(_NAMES)] = fields.pop(key)
        case 2:
            fields[random.choice((str(key).upper(), str(key).lower(), f" {key}"))] = fields[key]
        case 3:
            fields[random.choice(_NAMES)] = _odd(fields[key], random, donor)
        case _:
            fields.update({f"k{number}": number for number in range(random.choice((3, 200)))})


def _change_items(items: list[Any], at: int, random: Random, donor: Any) -> None:
    match random.randrange(4):
        case 0:
            del items[at]
        case 1:
            items.append(items[at])
        case 2:
            items[at:at] = [items[at]] * random.choice((2, 10, 300))
        case _:
            items.insert(at, _odd(items[at], random, donor))


def _odd(value: Any, random: Random, donor: Any) -> Any:
    """Something else than `value`, often made of it."""
    makers: tuple[Callable[[], Any], ...] = (
        lambda: random.choice(_NUMBERS),
        lambda: random.choice(_TEXTS),
        lambda: random.choice((None, True, False, {}, [], [None], [[]])),
        lambda: json.dumps(value),
        lambda: [value],
        lambda: {random.choice(_NAMES): value},
        lambda: [value] * random.choice((2, 50)),
        lambda: _nested(value, random.choice((5, _DEEPEST))),
        lambda: random.randrange(-3, 2**40),
        lambda: _part_of(donor, random),
        lambda: random.choice((chat(), REQUEST, METERED, POLICY, llm_log())),
    )
    return random.choice(makers)()


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def _part_of(node: Any, random: Random) -> Any:
    while isinstance(node, dict | list) and node and random.random() < 0.7:
        node = random.choice(list(node.values()) if isinstance(node, dict) else node)
    return node


def _in_bytes(body: bytes, random: Random, other: bytes) -> bytes:
    at = random.randrange(len(body) + 1)
    near = min(at + random.randrange(1, 12), len(body))
    return random.choice(_BYTE_CHANGES)(body[:at], body[at:near], body[near:], random, other)


_BYTE_CHANGES: tuple[Callable[[bytes, bytes, bytes, Random, bytes], bytes], ...] = (
    lambda before, here, after, random, other: before,
    lambda before, here, after, random, other: here + after,
    lambda before, here, after, random, other: before + after,
    lambda before, here, after, random, other: before + random.choice(_TOKENS) + here + after,
    lambda before, here, after, random, other: before + random.choice(_TOKENS) + after,
    lambda before, here, after, random, other: before + random.randbytes(len(here)) + after,
    lambda before, here, after, random, other: before + here * random.choice((2, 3, 50, 500)) + after,
    lambda before, here, after, random, other: before + other[: random.randrange(len(other) + 1)] + after,
    lambda before, here, after, random, other: (before + here + after) * 2,
    lambda before, here, after, random, other: before + here + after + random.choice((b"}", b"\n", other)),
    lambda before, here, after, random, other: _wrapped(before + here + after, random, other),
    lambda before, here, after, random, other: _encoded(before + here + after, random),
    lambda before, here, after, random, other: _replaced(before + here + after, random),
    lambda before, here, after, random, other: _field_twice(before + here + after, len(before)),
)


def _wrapped(body: bytes, random: Random, other: bytes) -> bytes:
    ends = [(b"[", b"]"), (b"[", b"," + other + b"]"), (b'{"records":[', b"]}"), (b'"', b'"')]
    start, end = random.choice([*ends, (b"\xef\xbb\xbf", b"")])
    return start + body + end


def _encoded(body: bytes, random: Random) -> bytes:
    if random.random() < 0.1:
        return random.choice((gzip.compress, base64.b64encode))(body)
    return body.decode("utf-8", "replace").encode(random.choice(("utf-16", "utf-16-le", "utf-16-be")))


def _replaced(body: bytes, random: Random) -> bytes:
    return body.replace(random.choice((b'": ', b'", "', b"\\n", b"0")), random.choice(_TOKENS), 20)


def _field_twice(body: bytes, at: int) -> bytes:
    """The next field written once more, with what follows it."""
    start = body.find(b'"', at)
    end = body.find(b",", start)
    return body if start < 0 or end < 0 else body[:end] + b", " + body[start:end] + body[end:]
