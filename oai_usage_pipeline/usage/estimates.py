"""Estimates of tokens that no usage reports, by a tokenizer with its vocabulary at hand.

An estimate stands in columns of its own and is never added to reported counts. It covers texts only,
so it is low where pictures, sound, files or a stored conversation were read, or reasoning was hidden.
Which texts there are belongs in `texts`.

The rule for chats is OpenAI's ("How to count tokens with tiktoken", OpenAI Cookbook): three tokens for
each message and one for its role, and three that open the answer. Tools are counted as compact JSON.
"""

import re
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Protocol, cast

from oai_usage_pipeline.usage.operations import (
    CHAT_COMPLETIONS,
    COMPLETIONS,
    EMBEDDINGS,
    RESPONSES,
)
from oai_usage_pipeline.usage.texts import Asked, texts_answered, texts_asked


class Tokenizer(Protocol):
    """What is needed of a tokenizer."""

    def count(self, text: str) -> int:
        """How many tokens a text is; raises UnicodeEncodeError for a lone surrogate."""


ESTIMATED = frozenset(
    (
        *("stream_without_usage", "stream_cut_off", "usage_missing", "usage_without_tokens"),
        *("usage_of_zero", "truncated"),
    )
)
"""Reasons of successes that should have reported usage and didn't."""

LONGEST_COUNTED = 2048
"""Characters of one text that are counted; of a longer one, this many evenly spread over it."""

MOST_TEXTS = 64
"""Texts of one body that are counted each for itself; more are joined and count as one."""

TOKENS_PER_MESSAGE = 4
TOKENS_PER_CHAT = 3

_WINDOWS = 4
_CONVERSATIONS = frozenset((CHAT_COMPLETIONS, RESPONSES))
_WRITING = frozenset((*_CONVERSATIONS, COMPLETIONS))
_OPERATIONS = frozenset((*_WRITING, EMBEDDINGS))
_CL100K = re.compile(r"(?:ft:)?(?:gpt-3\.?5|gpt-4(?![o.]|-?5)|text-embedding|davinci|babbage)")
"""Models of the older vocabulary, as tiktoken's table of models has them; all others have o200k."""


def estimate(
    operation: str | None, model: str | None, request: str | None, response: str | None
) -> tuple[int | None, int | None]:
    """Tokens in and out of a call, from its texts; None where there is no text to judge by."""
    if operation not in _OPERATIONS:
        return None, None
    encoding = encoding_of(model)
    written = texts_answered(operation, response) if operation in _WRITING else []
    return _tokens_asked(operation, encoding, texts_asked(request)), _tokens(encoding, written)


def encoding_of(model: str | None) -> str:
    """The vocabulary of a model; the newer one for models and deployments that nobody knows."""
    return "cl100k_base" if model and _CL100K.match(model.lower()) else "o200k_base"


def _tokens_asked(operation: str | None, encoding: str, asked: Asked) -> int | None:
    tokens = _tokens(encoding, asked.texts)
    if asked.token_count:
        return asked.token_count + (tokens or 0)
    if tokens is None or operation not in _CONVERSATIONS:
        return tokens
    return tokens + TOKENS_PER_MESSAGE * asked.message_count + TOKENS_PER_CHAT


def _tokens(encoding: str, texts: list[str]) -> int | None:
    texts = [text for text in texts if text]
    if not texts:
        return None
    if len(texts) > MOST_TEXTS:
        texts = ["\n".join(texts)]
    return sum(
        _count(encoding, text) if len(text) <= LONGEST_COUNTED else _sampled(encoding, text) for text in texts
    )


def _sampled(encoding: str, text: str) -> int:
    """The tokens of a long text, by those of windows spread over it: a prompt may be a book."""
    width = LONGEST_COUNTED // _WINDOWS
    step = (len(text) - width) // (_WINDOWS - 1)
    counted = sum(_count_once(encoding, text[at * step : at * step + width]) for at in range(_WINDOWS))
    return round(counted * len(text) / LONGEST_COUNTED)


def _count_once(encoding: str, text: str) -> int:
    try:
        return _tokenizer(encoding).count(text)
    except UnicodeEncodeError:
        return _tokenizer(encoding).count(text.encode("utf-8", "replace").decode())


_count = lru_cache(maxsize=1024)(_count_once)
"""System prompts are the same in call after call."""


@cache
def _tokenizer(encoding: str) -> Tokenizer:
    # Not at import: a vocabulary takes 0.1 s and 60 MB, and most processes never estimate.
    return cast(Tokenizer, _bindings().tokenizer_for_encoding(encoding))


@cache
def _bindings() -> ModuleType:
    # Not by importing the package, which reads three vocabularies into Python first: that takes seconds.
    package = find_spec("bpe_openai")
    found = PathFinder.find_spec("_bindings", package.submodule_search_locations if package else None)
    if found is None or found.loader is None:
        raise ModuleNotFoundError("bpe_openai has no module _bindings; install the locked version")
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module
