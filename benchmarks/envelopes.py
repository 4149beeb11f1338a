"""Message bodies of a wanted size, shaped as the gateway's policy logs a chat completion.

Belongs here: bodies for measuring with. They are as long as each other, so that events per second
mean something; traffic with all its kinds and lengths comes from `oai_usage_pipeline.traffic`.
"""

from collections.abc import Iterator
from itertools import count
from random import Random

from oai_usage_pipeline.traffic.chat import PROMPT_FILTER_RESULTS, SAFE
from oai_usage_pipeline.traffic.material import PASSAGES
from oai_usage_pipeline.traffic.newtonsoft import JsonTemplate, envelope, hole, json_text

CALLERS = 20
USERS = 500
WORDS_OF_ANSWER = 20

_BYTES_AROUND = 1870
_BYTES_OF_WORD = 6.63

_VOCABULARY = sorted({word for passage in PASSAGES for word in passage.split() if word.isascii()})
_REQUEST = JsonTemplate(
    {"messages": [{"role": "user", "content": hole("content")}], "model": "gpt-4o-mini", "user": hole("user")}
)
_RESPONSE = JsonTemplate(
    {
        "choices": [
            {
                "content_filter_results": SAFE,
                "finish_reason": "stop",
                "index": 0,
                "message": {"content": hole("content"), "refusal": None, "role": "assistant"},
            }
        ],
        "created": 1767225600,
        "id": hole("id"),
        "model": "gpt-4o-mini-2024-07-18",
        "object": "chat.completion",
        "prompt_filter_results": PROMPT_FILTER_RESULTS,
        "usage": {
            "completion_tokens": hole("output_tokens"),
            "prompt_tokens": hole("input_tokens"),
            "total_tokens": hole("total_tokens"),
        },
    }
)


def envelopes(size: int, seed: int = 1) -> Iterator[bytes]:
    """Endless bodies of about `size` bytes, no two alike; none shorter than 1.7 KB."""
    random = Random(seed)
    return (_body(random, n, size) for n in count())


def _body(random: Random, n: int, size: int) -> bytes:
    words = max(WORDS_OF_ANSWER, round((size - _BYTES_AROUND) / _BYTES_OF_WORD)) - WORDS_OF_ANSWER
    marker = f"{n:012x}"
    request = _REQUEST.render(
        content=_text(random, words, f"Case {marker}."), user=json_text(f"user-{n % USERS}")
    )
    tokens = len(request) // 4
    response = _RESPONSE.render(
        content=_text(random, WORDS_OF_ANSWER),
        id=json_text(f"chatcmpl-{marker}"),
        input_tokens=tokens,
        output_tokens=50,
        total_tokens=tokens + 50,
    )
    return envelope(f"2026-01-01T{n % 24:02}:00:00.1234567Z", _key(n % CALLERS), request, response).encode()


def _text(random: Random, words: int, start: str = "") -> str:
    # Words in random order, not whole passages: repeated sentences would compress too well.
    return json_text(" ".join([start, *random.choices(_VOCABULARY, k=words)]))


def _key(caller: int) -> str:
    """A subscription key as the gateway makes them: 32 hexadecimals."""
    return f"{caller + 1:02x}" * 16
