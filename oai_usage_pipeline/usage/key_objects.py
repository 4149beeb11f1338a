"""Keys in a JSON object, replaced value by value: what was JSON stays JSON, whatever its texts say.

For objects that hold callers' texts beside what is charged by, where replacing in the text as a whole
(`key_fields`) could join two values. What a key is replaced by is for `fingerprint`.
"""

import json
import re
from collections.abc import Callable

from oai_usage_pipeline.usage.key_fields import (
    SHORTEST_CREDENTIAL,
    scrub_texts,
    searched_forms,
    without_words,
)
from oai_usage_pipeline.usage.key_search import names_key

_SCHEME = re.compile(r"(?:bearer|basic)\s+", re.IGNORECASE)
_PAIR_VALUE = re.compile("values?", re.IGNORECASE)
_LONGEST_NAME = 64


def scrub_object(text: str, fingerprint: Callable[[str], str]) -> str:
    """The JSON `text` without the values of key-like fields, there and in every other text of it."""
    marks: dict[str, str] = {}

    def mark(key: str) -> str:
        scheme = _SCHEME.match(key)
        bare = key[scheme.end() :] if scheme else key
        if len(bare) >= SHORTEST_CREDENTIAL and fingerprint(bare) != bare:
            marks.update(dict.fromkeys(searched_forms(bare), fingerprint(bare)))
        return f"{scheme[0] if scheme else ''}{fingerprint(bare)}"

    def without_named(value: object, *, named: bool) -> object:
        if isinstance(value, dict):
            pair = any(_is_key_name(each) for each in value.values())
            return {
                name: without_named(each, named=named or _names(name, pair=pair))
                for name, each in value.items()
            }
        if isinstance(value, list):
            return [without_named(each, named=named) for each in value]
        if named and isinstance(value, str | int | float) and not isinstance(value, bool):
            return mark(str(value))
        return scrub_texts((value,), fingerprint)[0] if isinstance(value, str) else value

    tree = without_named(json.loads(text), named=False)
    if marks:
        tree = _in_texts(tree, lambda each: without_words(each, marks))
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))


def _names(name: str, *, pair: bool) -> bool:
    return names_key(name) or (pair and _PAIR_VALUE.fullmatch(name) is not None)


def _is_key_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_NAME and names_key(value)


def _in_texts(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, dict):
        return {name: _in_texts(each, change) for name, each in value.items()}
    if isinstance(value, list):
        return [_in_texts(each, change) for each in value]
    return change(value) if isinstance(value, str) else value
