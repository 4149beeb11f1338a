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
from oai_usage_pipeline.usage.key_looks import Judge, is_any
from oai_usage_pipeline.usage.key_search import judge_of

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

    def without_named(value: object, judge: Judge | None) -> object:
        if isinstance(value, dict):
            pair = next(filter(None, map(_judge_of_value, value.values())), None)
            return {
                name: without_named(each, _surer(judge, _judge(name, pair))) for name, each in value.items()
            }
        if isinstance(value, list):
            return [without_named(each, judge) for each in value]
        if judge and _is_scalar(value) and judge(str(value)):
            return mark(str(value))
        return scrub_texts((value,), fingerprint)[0] if isinstance(value, str) else value

    tree = without_named(json.loads(text), None)
    if marks:
        tree = _in_texts(tree, lambda each: without_words(each, marks))
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _judge(name: str, pair: Judge | None) -> Judge | None:
    return judge_of(name) or (pair if _PAIR_VALUE.fullmatch(name) else None)


def _judge_of_value(value: object) -> Judge | None:
    """What tells of the value beside this one, if this is the name of a key."""
    return judge_of(value) if isinstance(value, str) and len(value) <= _LONGEST_NAME else None


def _surer(outer: Judge | None, inner: Judge | None) -> Judge | None:
    return outer if outer is is_any else inner or outer


def _in_texts(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, dict):
        return {name: _in_texts(each, change) for name, each in value.items()}
    if isinstance(value, list):
        return [_in_texts(each, change) for each in value]
    return change(value) if isinstance(value, str) else value
