"""What a request tells about its call: the model asked for, the caller's user, the API meant.

Prompts are read past, never kept. A request that can't be read tells nothing, and is no fault:
uploads are multipart forms, and retrievals have no body.
"""

import re
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from oai_usage_pipeline.usage.bodies import NO_JSON
from oai_usage_pipeline.usage.operations import FILES, IMAGES, REALTIME, TRANSCRIPTIONS, by_request
from oai_usage_pipeline.usage.tokens import STRICT


class Request(TypedDict, total=False):
    """The fields of a request body that accounting needs."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    model: str | None
    user: str | None
    safety_identifier: str | None
    stream: bool | None


_validate_json = TypeAdapter(Request).validator.validate_json
_FORM_PART = re.compile(
    r'name="(model|purpose|image(?:\[\])?|file|stream|size|quality|sdp)"[^\r\n]*\r?\n(?:[^\r\n]+\r?\n){0,8}\r?\n([\w.:/-]{0,128})'
)
_TYPES: dict[str, type] = {"model": str, "user": str, "safety_identifier": str, "stream": bool}


def read_request(text: str | None) -> Request:
    """The request's fields; those that are missing or have a wrong type are left out."""
    if not text:
        return {}
    try:
        request: Request = _validate_json(text)
    except ValidationError:
        return _read_slowly(text)
    return request


def tree_of(text: str | None) -> dict[str, Any]:
    """The whole of a request: its JSON object, or the plain fields of its form; empty when it is neither."""
    return _tree(text or "") or dict(_form(text or ""))


def operation_asked_for(text: str | None) -> str | None:
    """The operation that a request means, for responses that don't tell; reads the whole of it."""
    tree = _tree(text or "")
    if tree is not None:
        return by_request(tree)
    parts = _form(text or "")
    if "sdp" in parts or (text or "").startswith("v=0"):
        return REALTIME  # the offer of a call, in the words of RFC 8866
    if "purpose" in parts:
        return FILES
    if "image" in parts:
        return IMAGES
    return TRANSCRIPTIONS if "file" in parts else None


def _read_slowly(text: str) -> Request:
    fields: dict[str, Any] = _tree(text) or _form(text)
    read = {name: fields[name] for name, wanted in _TYPES.items() if isinstance(fields.get(name), wanted)}
    return cast(Request, read)


def _tree(text: str) -> dict[str, Any] | None:
    """A JSON object, the start of one that was cut, or None."""
    try:
        # A name that was cut is another name: unlike "trailing-strings", this leaves it out.
        tree = from_json(text, allow_partial=True)
    except NO_JSON:
        return None
    if isinstance(tree, str):
        # A body that was made text twice.
        return _tree(tree) if tree[:1] == "{" else None
    return tree if isinstance(tree, dict) else None


def _form(text: str) -> dict[str, str]:
    if not text.startswith("--"):
        return {}
    return {name.removesuffix("[]"): value for name, value in _FORM_PART.findall(text)}
