"""Streamed chat completions: server-sent events as Azure writes them, with and without usage.

Azure's first chunk has empty id, model and object and carries the prompt's filter results. With
`include_usage` every chunk says `usage: null` and one with `choices: []` reports it before `[DONE]`.
"""

from oai_usage_pipeline.traffic.chat import OPERATION, PROMPT_FILTER_RESULTS, SAFE, request_text
from oai_usage_pipeline.traffic.exchange import Call, Exchange
from oai_usage_pipeline.traffic.material import Material
from oai_usage_pipeline.traffic.models import CHAT_MODELS, Model
from oai_usage_pipeline.traffic.newtonsoft import Json, JsonTemplate, hole, json_text
from oai_usage_pipeline.traffic.tokens import CHAT_USAGE, NO_TOKENS, TOTALS_ONLY, Tokens, draw_tokens

_STREAM = ',\n  "stream": true'
_STREAM_WITH_USAGE = _STREAM + ',\n  "stream_options": {\n    "include_usage": true\n  }'

_LENGTH = (18, 0.8, 200)
"""Median, spread and bound of a stream's tokens, each about half a kilobyte in the message."""

_FIRST = JsonTemplate(
    {
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "prompt_filter_results": PROMPT_FILTER_RESULTS,
    },
    indented=False,
).render()


def _chunk(delta: Json, finish_reason: str | None, filter_results: Json) -> Json:
    return {
        "content_filter_results": filter_results,
        "delta": delta,
        "finish_reason": finish_reason,
        "index": 0,
        "logprobs": None,
    }


def _event(choices: Json, usage: dict[str, Json]) -> JsonTemplate:
    """One chunk; `usage` is its usage property, or nothing."""
    shape: dict[str, Json] = {
        "choices": choices,
        "created": hole("created"),
        "id": hole("id"),
        "model": hole("model"),
        "object": "chat.completion.chunk",
        "system_fingerprint": "fp_f38e8ce955",
    }
    return JsonTemplate({**shape, **usage}, indented=False)


class _Chunks:
    """The chunks of one kind of stream; `usage` is what those before the last say of it."""

    def __init__(self, usage: dict[str, Json]) -> None:
        self._opening = _event([_chunk({"content": "", "role": "assistant"}, None, {})], usage)
        self._token = _event([_chunk({"content": hole("content")}, None, SAFE)], usage)
        self._closing = _event([_chunk({}, "stop", {})], usage)

    def lines(self, tokens: list[str], **values: str | int) -> list[str]:
        """The `data:` payloads from the first chunk to the finish reason.

        The token chunk is rendered once and split at its token: everything else in it is the same
        in the whole stream.
        """
        before, after = self._token.render(content='"\0"', **values).split("\0")
        return [
            _FIRST,
            self._opening.render(**values),
            *(f"{before}{token}{after}" for token in tokens),
            self._closing.render(**values),
        ]


_WITHOUT_USAGE = _Chunks({})
_WITH_USAGE = _Chunks({"usage": None})
_DETAILED, _TOTALS_ONLY = (_event([], {"usage": usage}) for usage in (CHAT_USAGE, TOTALS_ONLY))


def without_usage(material: Material, call: Call) -> Exchange:
    """What most clients send: no `include_usage`, so nothing reports what the call cost."""
    return _streamed(material, call, material.long_tailed(*_LENGTH), with_usage=False)


def with_usage(material: Material, call: Call) -> Exchange:
    """A stream that reports its usage in the last chunk but one."""
    return _streamed(material, call, material.long_tailed(*_LENGTH), with_usage=True)


def endless(material: Material, call: Call) -> Exchange:
    """A stream with usage that is longer than API Management's 200 KB."""
    return _streamed(material, call, material.random.randint(700, 1200), with_usage=True)


def _streamed(material: Material, call: Call, length: int, *, with_usage: bool) -> Exchange:
    model = material.model(CHAT_MODELS)
    request = request_text(material, call, model, _STREAM_WITH_USAGE if with_usage else _STREAM)
    tokens = draw_tokens(material, model, request, length) if with_usage else NO_TOKENS
    response_id = f"chatcmpl-{call.marker}"
    chunks = _payloads(material.tokens(length), model, tokens, call.created, json_text(response_id))
    response = "".join(f"data: {payload}\n\n" for payload in chunks)
    status = "metered" if with_usage else "unmetered"
    return Exchange(
        request, response, status, OPERATION, model.name, model.deployment, tokens, True, response_id
    )


def _payloads(content: list[str], model: Model, tokens: Tokens, created: int, response_id: str) -> list[str]:
    identity: dict[str, str | int] = {"created": created, "id": response_id, "model": json_text(model.name)}
    if tokens is NO_TOKENS:
        return [*_WITHOUT_USAGE.lines(content, **identity), "[DONE]"]
    last = _DETAILED if model.has_details else _TOTALS_ONLY
    lines = _WITH_USAGE.lines(content, **identity)
    return [*lines, last.render(**identity, **tokens.holes()), "[DONE]"]
