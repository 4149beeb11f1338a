"""The texts that the model read and wrote in one call, for estimates only; nothing keeps them.

Which texts count belongs here, how many tokens they are in `estimates`. Pictures, sound and files are
passed over: how many tokens they take doesn't follow from their length.
"""

import json
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from pydantic_core import from_json

from oai_usage_pipeline.usage.bodies import NO_JSON
from oai_usage_pipeline.usage.endings import LOOK_BACK
from oai_usage_pipeline.usage.operations import CHAT_COMPLETIONS, COMPLETIONS, RESPONSES
from oai_usage_pipeline.usage.streams import is_stream

MOST_NODES = 100_000
"""JSON values of a body that are looked at."""

_ROOTS = ("messages", "instructions", "input", "prompt", "suffix")
"""Fields of a request whose texts the model reads; `tools` are read too, as JSON."""

_ANSWERS = ("choices", "output")
_INSIDE = frozenset(
    (
        *("content", "text", "refusal", "name", "arguments", "function", "tool_calls", "function_call"),
        *("message", "output", "input", "summary", "instructions", "transcript"),
    )
)
_DELTAS = {CHAT_COMPLETIONS: "content", COMPLETIONS: "text", RESPONSES: "delta"}
"""The field of a stream's events that holds the next piece of the answer."""

_CALLS = ("arguments", "name", "refusal")
_STRING = re.compile(r'([^"\\]*(?:\\.[^"\\]*)*)"')


class Asked(NamedTuple):
    """What a request gives the model to read."""

    texts: list[str]
    message_count: int = 0
    token_count: int = 0
    """Tokens that the request brings as numbers, as embeddings and completions may."""


def texts_asked(request: str | None) -> Asked:
    """The texts of a request, whole or cut off."""
    tree = _tree(request)
    if not isinstance(tree, dict):
        return Asked([])
    texts, numbers = _texts(tree[name] for name in _ROOTS if name in tree)
    tools = tree.get("tools") or tree.get("functions")
    if tools:
        texts.append(json.dumps(tools, separators=(",", ":"), ensure_ascii=False))
    messages = tree.get("messages") or tree.get("input")
    return Asked(texts, len(messages) if isinstance(messages, list) else 1, numbers)


def texts_answered(operation: str | None, response: str | None) -> list[str]:
    """The texts of an answer: of a plain body, or of a stream as far as it goes."""
    text = (response or "").lstrip("\ufeff \t\r\n")
    if is_stream(text):
        return _streamed(operation, text)
    tree = _tree(text)
    if not isinstance(tree, dict):
        return []
    return _texts(tree[name] for name in _ANSWERS if name in tree)[0]


def _streamed(operation: str | None, text: str) -> list[str]:
    pieces = _values(text, _DELTAS.get(operation or "", "content"))
    if operation == CHAT_COMPLETIONS and (not any(pieces) or '"tool_calls"' in text[-LOOK_BACK:]):
        for name in _CALLS:
            pieces += _values(text, name)
    joined = "".join(pieces)
    if "\\" not in joined:
        return [joined]
    try:
        return [from_json(f'"{joined}"')]
    except NO_JSON:
        # Half of a character that was cut in two spoils the whole: then its escapes are counted.
        return [joined]


def _values(text: str, name: str) -> list[str]:
    """The JSON texts that stand under a name, without their quotes; splitting is faster than a pattern."""
    colon = text.find('":') + 2
    space = " " if text[colon : colon + 1] == " " else ""
    found = []
    for piece in text.split(f'"{name}":{space}"')[1:]:
        end = piece.find('"')
        if end > 0 and piece[end - 1] != "\\":
            found.append(piece[:end])
        elif end > 0 and (whole := _STRING.match(piece)):
            found.append(whole[1])
    return found


def _tree(text: str | None) -> object:
    """The JSON of a text, or of as much of it as there is; None when it is none."""
    try:
        tree: object = from_json(text or "", allow_partial="trailing-strings")
    except NO_JSON:
        return _parse_leniently(text or "")
    # A body may have been made text twice.
    return _tree(tree) if isinstance(tree, str) and tree[:1] == "{" else tree


def _parse_leniently(text: str) -> object:
    """A lone surrogate spoils a character, not the estimate: the standard library takes it."""
    try:
        tree: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tree


def _texts(roots: Iterable[Any]) -> tuple[list[str], int]:
    """Every text below the roots, and how many plain numbers stand among them."""
    texts: list[str] = []
    numbers = 0
    left = list(roots)[::-1]
    for _ in range(MOST_NODES):
        if not left:
            break
        node = left.pop()
        if isinstance(node, str):
            texts.append(node)
        elif isinstance(node, list):
            if node and type(node[0]) is int:
                numbers += len(node)
            else:
                left += islice(reversed(node), MOST_NODES)
        elif isinstance(node, dict):
            content = node.get("content")
            if isinstance(content, str) and len(node) == 2:
                texts.append(content)  # the usual message: a role and a text
            else:
                left += [value for name, value in reversed(node.items()) if name in _INSIDE]
    return texts, numbers
