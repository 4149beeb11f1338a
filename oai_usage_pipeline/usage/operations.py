"""Recognising which API answered: by the shape of the response and, when that is silent, of the request.

The envelope doesn't say which path was called. `object` is a hint among others: images, audio,
moderations and errors have none, and Azure's first chunks leave it empty.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

CHAT_COMPLETIONS = "chat.completions"
COMPLETIONS = "completions"
EMBEDDINGS = "embeddings"
RESPONSES = "responses"
COMPACTION = "responses.compact"
IMAGES = "images"
TRANSCRIPTIONS = "audio.transcriptions"
TRANSLATIONS = "audio.translations"
SPEECH = "audio.speech"
MODERATIONS = "moderations"
ASSISTANTS = "assistants"
REALTIME = "realtime"
FILES = "files"
BATCHES = "batches"

LONGEST_PATH = 2048
"""Characters of a path that are looked at."""

AUDIO = frozenset((TRANSCRIPTIONS, TRANSLATIONS))
"""Calls that listen. Only verbose answers tell the one from the other."""

UNIT_BILLED = frozenset((IMAGES, *AUDIO, SPEECH))
"""Billed by the image, second or character when they report no tokens."""

WITHOUT_USAGE = frozenset(
    (
        MODERATIONS,
        ASSISTANTS,
        REALTIME,
        FILES,
        BATCHES,
        "conversations",
        "vector_stores",
        "fine_tuning",
        "models",
        "containers",
        "uploads",
        "evals",
    )
)
"""Calls that create, list or delete things: a success reports no tokens, and nothing is missing."""

_BY_OBJECT = {
    "chat.completion": CHAT_COMPLETIONS,
    "chat.completion.chunk": CHAT_COMPLETIONS,
    "text_completion": COMPLETIONS,
    "text_completion.chunk": COMPLETIONS,
    "embedding": EMBEDDINGS,
    "response": RESPONSES,
    "response.compaction": COMPACTION,
    "image.generation": IMAGES,
}
_BY_FIRST_WORD = {
    "thread": ASSISTANTS,
    "assistant": ASSISTANTS,
    "file": FILES,
    "batch": BATCHES,
    "conversation": "conversations",
    "vector_store": "vector_stores",
    "fine_tuning": "fine_tuning",
    "model": "models",
    "moderation": MODERATIONS,
    "realtime": REALTIME,
    "container": "containers",
    "upload": "uploads",
    "eval": "evals",
}
_BY_EVENT = {"response": RESPONSES, "transcript": TRANSCRIPTIONS, "speech": SPEECH, "thread": ASSISTANTS}
_RESPONSES_ONLY = frozenset(
    (
        "instructions",
        "previous_response_id",
        "conversation",
        "max_output_tokens",
        "store",
        "background",
        "include",
        "tools",
        "text",
        "truncation",
        "stream",
        "reasoning",
    )
)


def by_object(name: str | None) -> str | None:
    """The operation that an `object` names, when it names one by itself (`list` does not)."""
    if not name:
        return None
    return _BY_OBJECT.get(name) or _BY_FIRST_WORD.get(name.partition(".")[0])


def by_event(kind: str) -> str | None:
    """The operation that the `type` of a stream's event names, such as `response.completed`."""
    word = kind.partition(".")[0]
    return IMAGES if word.startswith("image_") else _BY_EVENT.get(word)


def by_response(body: Mapping[str, Any]) -> str | None:
    """The operation that a whole response body looks like."""
    first = _first(body.get("choices"))
    if "message" in first or "delta" in first:
        return CHAT_COMPLETIONS
    if "text" in first:
        return COMPLETIONS
    return _by_data(_first(body.get("data"))) or _by_top_level(body)


def _by_data(first: Mapping[str, Any]) -> str | None:
    if "embedding" in first:
        return EMBEDDINGS
    if not first.keys().isdisjoint(("url", "b64_json", "revised_prompt")):
        return IMAGES
    name = first.get("object")
    return by_object(name) if isinstance(name, str) else None


def _by_top_level(body: Mapping[str, Any]) -> str | None:
    if isinstance(body.get("results"), list):
        return MODERATIONS
    if isinstance(body.get("output"), list):
        return RESPONSES
    if isinstance(body.get("text"), str):
        return TRANSLATIONS if body.get("task") == "translate" else TRANSCRIPTIONS
    return REALTIME if "session" in body and "value" in body else None


def by_request(request: Mapping[str, Any]) -> str | None:
    """The operation that a request body asks for; None where several could."""
    if "messages" in request:
        return CHAT_COMPLETIONS
    if "prompt" in request:
        return (
            COMPLETIONS
            if request.keys().isdisjoint(("size", "quality", "style", "output_format"))
            else IMAGES
        )
    if "input" in request:
        return _by_input(request)
    return RESPONSES if "previous_response_id" in request else None


def _by_input(request: Mapping[str, Any]) -> str | None:
    model = request.get("model")
    if "voice" in request:
        return SPEECH
    if isinstance(model, str) and "moderation" in model:
        return MODERATIONS
    if not request.keys().isdisjoint(("encoding_format", "dimensions", "input_type")):
        return EMBEDDINGS
    if isinstance(model, str) and "embedding" in model:
        return EMBEDDINGS
    if not request.keys().isdisjoint(_RESPONSES_ONLY):
        return RESPONSES
    # Azure takes the model of embeddings from the path; Responses always names it in the body.
    return EMBEDDINGS if model is None else RESPONSES


def _first(items: object) -> Mapping[str, Any]:
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


_BY_NAME = (
    # Letters of the name, the more telling ones first: a completion may be a chat's.
    ("responsescompact", COMPACTION),
    ("chatcompletion", CHAT_COMPLETIONS),
    ("moderation", MODERATIONS),
    ("embedding", EMBEDDINGS),
    ("transcription", TRANSCRIPTIONS),
    ("translation", TRANSLATIONS),
    ("speech", SPEECH),
    ("image", IMAGES),
    ("realtime", REALTIME),
    ("thread", ASSISTANTS),
    ("assistant", ASSISTANTS),
    ("completion", COMPLETIONS),
    ("response", RESPONSES),
    ("batch", BATCHES),
    ("conversation", "conversations"),
    ("vectorstore", "vector_stores"),
    ("finetun", "fine_tuning"),
    ("container", "containers"),
    ("upload", "uploads"),
    ("file", FILES),
    ("model", "models"),
)
_FOREIGN_PARTS = re.compile(r"^[a-z]+://[^/]*|/?deployments/[^/]*|[?#].*", re.DOTALL)
"""Of a URL: host, deployment and query are names that people choose."""


@lru_cache(maxsize=1024)
def by_name(text: str | None) -> str | None:
    """Our operation from a gateway's name of it: an operation id, a URL or its path, our own word.

    `ChatCompletions_Create`, `/openai/deployments/x/chat/completions?api-version=...` and
    `chat.completions` are the same; None for what names none.
    """
    own = _FOREIGN_PARTS.sub("", (text or "")[:LONGEST_PATH].lower())
    letters = "".join(filter(str.isalpha, own))
    return next((operation for word, operation in _BY_NAME if word in letters), None)
