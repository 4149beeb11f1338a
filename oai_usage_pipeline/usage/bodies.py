"""Plain JSON bodies of responses: text in, an `Answer` out.

The usual body is read in one pass that skips what accounting doesn't need; a body with a wrong
type, a lone surrogate or a missing end is read again, slowly. Streams belong in `streams`.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from oai_usage_pipeline.usage.answers import Answer, Body, Unreadable, instant_of, judge, tier_of
from oai_usage_pipeline.usage.endings import Ending, ending_of, ending_of_failure, says_filtered
from oai_usage_pipeline.usage.operations import EMBEDDINGS, UNIT_BILLED, by_object, by_response
from oai_usage_pipeline.usage.tokens import Usage, is_doubled, why_refused
from oai_usage_pipeline.usage.units import NO_UNITS, units_answered

_validate_json = TypeAdapter(Body).validator.validate_json
_validate_usage = TypeAdapter(Usage | None).validator.validate_python
_validate_endings = TypeAdapter(Body).validator.validate_python
NO_JSON = (ValueError, TypeError)
"""What `from_json` raises: a TypeError for a text with a lone surrogate in it, which is no UTF-8."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""What no column can hold."""

_NAMES = ("id", "object", "model", "status", "type", "service_tier")
_AS_THEY_ARE = ("error", "statusCode", "code", "created_at", "created")
_ENDINGS = ("choices", "output", "incomplete_details")


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
    if is_doubled(text, body.get("usage")):
        raise Unreadable("tokens_doubled", body)
    operation = _by_names(body)
    tree: dict[str, Any] = {}
    if operation is None or operation in UNIT_BILLED:
        tree = _tree(text)
        operation = operation or by_response(tree)
        if operation is None and not _says_anything(body):
            raise Unreadable("response_unrecognised")
    return _answer(body, operation, text, tree)


def read_cut_body(text: str) -> Answer:
    """What can be told of a JSON body whose end is missing; its counts can't be trusted to be whole."""
    try:
        # A name that was cut is another name: unlike "trailing-strings", this leaves it out.
        tree = from_json(text, allow_partial=True)
    except NO_JSON:
        tree = {}
    names = _names(tree) if isinstance(tree, dict) else Body()
    operation = by_object(names.get("object")) or (by_response(tree) if isinstance(tree, dict) else None)
    is_filtered = True if says_filtered(operation, text) else None
    return Answer(
        "unmetered",
        "truncated",
        operation,
        names.get("object"),
        names.get("model"),
        names.get("id"),
        is_stream=False,
        service_tier=tier_of(names),
        ending=Ending(is_content_filtered=is_filtered),
    )


def parse_slowly(text: str, error: ValidationError) -> dict[str, Any]:
    """The whole object of a text that the contract refused with `error`; raises `Unreadable`."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        tree: object = _parse_leniently(text, str(first.get("ctx", {}).get("error", "")))
    else:
        tree = _tree(text)
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
    """The whole of a text that is known to be JSON; nearly always an object, for the caller to see."""
    try:
        return from_json(text)  # type: ignore[no-any-return]  # an object, says the contract
    except NO_JSON:
        return cast(dict[str, Any], _parse_leniently(text, "surrogate"))


def _names(tree: Mapping[str, Any]) -> Body:
    names: dict[str, Any] = {name: tree[name] for name in _NAMES if _is_text(tree.get(name))}
    names |= {name: tree[name] for name in _AS_THEY_ARE if tree.get(name) is not None}
    return cast(Body, names | _endings(tree))


def _endings(tree: Mapping[str, Any]) -> dict[str, Any]:
    """How the answer ended, as far as the fields have the right types."""
    try:
        endings = _validate_endings({name: tree[name] for name in _ENDINGS if name in tree})
    except ValidationError:
        return {}
    return cast(dict[str, Any], endings)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not _LONE_SURROGATE.search(value)


def _says_anything(body: Body) -> bool:
    return any(body.get(name) for name in ("object", "usage", "error", "statusCode"))


def _by_names(body: Body) -> str | None:
    name = body.get("object")
    if name == "list" and body.get("usage"):
        return EMBEDDINGS  # no other list reports usage; the vectors need not be built
    return by_object(name)


def _answer(body: Body, operation: str | None, text: str, tree: Mapping[str, Any]) -> Answer:
    status, reason, tokens = judge(body, operation)
    ending = ending_of_failure(reason) if status == "failed" else ending_of(body, operation)
    if not ending.is_content_filtered and says_filtered(operation, text):
        ending = ending._replace(is_content_filtered=True)
    get: Callable[[str], Any] = body.get
    return Answer(
        status,
        reason,
        operation,
        get("object"),
        get("model"),
        get("id"),
        False,  # is_stream; by position, which takes half the time of by name
        tokens,
        tier_of(body),
        ending,
        units_answered(operation, tree) if operation in UNIT_BILLED else NO_UNITS,
        instant_of(body),
    )


def _ends_too_early(error: ValidationError) -> bool:
    first = error.errors(include_url=False, include_input=False)[0]
    return first["type"] == "json_invalid" and str(first.get("ctx", {}).get("error", "")).startswith("EOF")


def unquoted(text: str) -> str | None:
    """The text inside a JSON string, or None when `text` is none or holds what no column can."""
    try:
        inner = from_json(text)
    except NO_JSON:
        return None
    return inner if isinstance(inner, str) else None
