"""Plain JSON bodies of responses: text in, an `Answer` out.

The usual body is read in one pass that skips what accounting doesn't need; a body with a wrong
type, a lone surrogate or a missing end is read again, slowly. Streams belong in `streams`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from oai_usage_pipeline.usage.answers import Answer, Body, Unreadable, judge
from oai_usage_pipeline.usage.operations import EMBEDDINGS, by_object, by_response
from oai_usage_pipeline.usage.tokens import Usage, is_doubled, why_refused

_validate_json = TypeAdapter(Body).validator.validate_json
_validate_usage = TypeAdapter(Usage | None).validator.validate_python
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""What no column can hold."""

_NAMES = ("id", "object", "model", "status", "type")


def read_body(text: str) -> Answer:
    """The answer of a JSON object; raises `Unreadable` for a text that is none.

    A text that ends too early is a success whose usage was cut off: unmetered, `truncated`.
    """
    try:
        body: Body = _validate_json(text)
    except ValidationError as error:
        if _ends_too_early(error):
            return read_cut_body(text)
        body = body_of(parse_slowly(text, error))
    if is_doubled(text):
        raise Unreadable("tokens_doubled", body)
    name = body.get("object")
    if name == "list" and body.get("usage"):
        operation: str | None = EMBEDDINGS  # no other list reports usage; the vectors need not be built
    else:
        operation = by_object(name) or by_response(_tree(text))
    if operation is None and not _says_anything(body):
        raise Unreadable("response_unrecognised")
    return _answer(body, operation)


def read_cut_body(text: str) -> Answer:
    """What can be told of a JSON body whose end is missing; its counts can't be trusted to be whole."""
    try:
        # A name that was cut is another name: unlike "trailing-strings", this leaves it out.
        tree = from_json(text, allow_partial=True)
    except ValueError:
        tree = {}
    names = _names(tree) if isinstance(tree, dict) else Body()
    operation = by_object(names.get("object")) or (by_response(tree) if isinstance(tree, dict) else None)
    return _answer(names, operation)._replace(status="unmetered", reason="truncated")


def parse_slowly(text: str, error: ValidationError) -> dict[str, Any]:
    """The whole object of a text that the contract refused with `error`; raises `Unreadable`."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        tree: object = _parse_leniently(text, str(first.get("ctx", {}).get("error", "")))
    else:
        tree = from_json(text)
    if not isinstance(tree, dict):
        raise Unreadable("response_not_object")
    return tree


def body_of(tree: Mapping[str, Any]) -> Body:
    """The contract's fields of an object: wrong types in names are left out, in counts never."""
    body = _names(tree)
    try:
        body["usage"] = _validate_usage(tree.get("usage"))
    except ValidationError as error:
        reason = why_refused(error.errors(include_url=False, include_input=False)[0])
        raise Unreadable(reason, body) from None
    return body


def _parse_leniently(text: str, detail: str) -> object:
    """A lone surrogate spoils a character of the answer, not its bill: the standard library takes it."""
    if "recursion limit" in detail:
        raise Unreadable("response_too_deep")
    if "number out of range" in detail:
        raise Unreadable("response_number_out_of_range")
    if "surrogate" not in detail and "hex escape" not in detail:
        raise Unreadable("response_not_json")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable("response_not_json") from error


def _tree(text: str) -> dict[str, Any]:
    """The whole of a text that is known to be a JSON object."""
    try:
        return from_json(text)  # type: ignore[no-any-return]  # an object, says the contract
    except ValueError:
        return json.loads(text)  # type: ignore[no-any-return]  # as above


def _names(tree: Mapping[str, Any]) -> Body:
    names: dict[str, Any] = {name: tree[name] for name in _NAMES if _is_text(tree.get(name))}
    names |= {name: tree[name] for name in ("error", "statusCode", "code") if tree.get(name) is not None}
    return cast(Body, names)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not _LONE_SURROGATE.search(value)


def _says_anything(body: Body) -> bool:
    return any(body.get(name) for name in ("object", "usage", "error", "statusCode"))


def _answer(body: Body, operation: str | None) -> Answer:
    status, reason, tokens = judge(body, operation)
    return Answer(
        status,
        reason,
        operation,
        body.get("object"),
        body.get("model"),
        body.get("id"),
        is_stream=False,
        tokens=tokens,
    )


def _ends_too_early(error: ValidationError) -> bool:
    first = error.errors(include_url=False, include_input=False)[0]
    return first["type"] == "json_invalid" and str(first.get("ctx", {}).get("error", "")).startswith("EOF")


def unquoted(text: str) -> str | None:
    """The text inside a JSON string, or None when `text` is none or holds what no column can."""
    try:
        inner = from_json(text)
    except ValueError:
        return None
    return inner if isinstance(inner, str) else None
