"""Chat completions in one piece: plain answers, tool calls, and answers that the content filter cut.

Streams of the same API belong in `chat_stream`; blocked prompts are errors and belong in `failures`.
"""

from oai_usage_pipeline.traffic.exchange import Call, Exchange
from oai_usage_pipeline.traffic.material import Material
from oai_usage_pipeline.traffic.models import CHAT_MODELS, Model
from oai_usage_pipeline.traffic.newtonsoft import Json, JsonTemplate, hole, json_text
from oai_usage_pipeline.traffic.tokens import CHAT_USAGE, TOTALS_ONLY, draw_tokens

OPERATION = "chat.completions"

SAFE: dict[str, Json] = {
    category: {"filtered": False, "severity": "safe"}
    for category in ("hate", "self_harm", "sexual", "violence")
}
"""Azure's verdict on harmless text, part of every answer."""

PROMPT_FILTER_RESULTS: Json = [
    {
        "prompt_index": 0,
        "content_filter_results": {**SAFE, "jailbreak": {"detected": False, "filtered": False}},
    }
]

_BLOCKED: Json = {**SAFE, "violence": {"filtered": True, "severity": "medium"}}
_ORDER_TOOL: Json = {
    "type": "function",
    "function": {
        "name": "find_order",
        "description": "Look up an order by its number.",
        "parameters": {
            "type": "object",
            "properties": {"order": {"type": "string"}, "with_history": {"type": "boolean"}},
            "required": ["order"],
            "additionalProperties": False,
        },
    },
}
_MESSAGE: Json = {"annotations": [], "content": hole("content"), "refusal": None, "role": "assistant"}
_TOOL_MESSAGE: Json = {
    "annotations": [],
    "content": None,
    "refusal": None,
    "role": "assistant",
    "tool_calls": [
        {
            "function": {"arguments": hole("arguments"), "name": "find_order"},
            "id": hole("call_id"),
            "type": "function",
        }
    ],
}


class _Answer:
    """A response in Azure's order of properties, with the usage that its model reports."""

    def __init__(self, message: Json, finish_reason: str, filter_results: Json) -> None:
        choice: Json = {
            "content_filter_results": filter_results,
            "finish_reason": finish_reason,
            "index": 0,
            "logprobs": None,
            "message": message,
        }
        self._detailed, self._totals_only = (_response(choice, usage) for usage in (CHAT_USAGE, TOTALS_ONLY))

    def render(self, model: Model, **values: str | int) -> str:
        template = self._detailed if model.has_details else self._totals_only
        return template.render(model=json_text(model.name), **values)


def _response(choice: Json, usage: Json) -> JsonTemplate:
    return JsonTemplate(
        {
            "choices": [choice],
            "created": hole("created"),
            "id": hole("id"),
            "model": hole("model"),
            "object": "chat.completion",
            "prompt_filter_results": PROMPT_FILTER_RESULTS,
            "system_fingerprint": "fp_f38e8ce955",
            "usage": usage,
        }
    )


_PLAIN = _Answer(_MESSAGE, "stop", SAFE)
_FILTERED = _Answer(_MESSAGE, "content_filter", _BLOCKED)
_TOOL_CALL = _Answer(_TOOL_MESSAGE, "tool_calls", {})
_TURN = JsonTemplate({"role": hole("role"), "content": hole("content")})
_TOOLS = JsonTemplate([_ORDER_TOOL]).render()


def plain(material: Material, call: Call) -> Exchange:
    """A question and its answer."""
    return _answered(material, call, _PLAIN)


def filtered(material: Material, call: Call) -> Exchange:
    """HTTP 200, yet the answer was cut by the content filter: its tokens are billed all the same."""
    return _answered(material, call, _FILTERED)


def tool_call(material: Material, call: Call) -> Exchange:
    """The model asks for a function to be called: no content."""
    return _answered(material, call, _TOOL_CALL, request_tail=f',\n  "tools": {_indent(_TOOLS)}')


def long_context(material: Material, call: Call) -> Exchange:
    """A prompt with whole documents in it: far more than API Management's 200 KB."""
    return _answered(material, call, _PLAIN, passages=material.random.randint(1400, 1800))


def request_text(
    material: Material, call: Call, model: Model, tail: str = "", passages: int | None = None
) -> str:
    """A request with a system message, a dialogue of a long-tailed length and the caller's properties."""
    turns = [_turn("system", f"You answer case {call.marker}. {material.passages(1)}")]
    turns += _dialogue(material, passages or material.long_tailed(1.6, 1.2, 220))
    messages = ",\n    ".join(turns)
    return (
        f'{{\n  "messages": [\n    {messages}\n  ],\n  "model": {json_text(model.deployment)}'
        f"{tail}{call.user_property()}\n}}"
    )


def _dialogue(material: Material, passages: int) -> list[str]:
    """User and assistant in turn, the user last."""
    answered = 2 * material.random.randrange(3) if passages > 2 else 0
    turns = [_turn("assistant" if n % 2 else "user", material.passages(1)) for n in range(answered)]
    return [*turns, _turn("user", material.passages(passages))]


def _turn(role: str, content: str) -> str:
    return _indent(_TURN.render(role=json_text(role), content=f'"{content}"'), "    ")


def _answered(
    material: Material, call: Call, answer: _Answer, request_tail: str = "", passages: int | None = None
) -> Exchange:
    model = material.model(CHAT_MODELS)
    request = request_text(material, call, model, request_tail, passages)
    content = material.passages(material.long_tailed(1, 0.9, 40))
    tokens = draw_tokens(material, model, request, len(content) // 4 + 1)
    response_id = f"chatcmpl-{call.marker}"
    response = answer.render(
        model,
        content=f'"{content}"',
        arguments=json_text(f'{{"order":"{call.marker}","with_history":true}}'),
        call_id=json_text(f"call_{call.marker}"),
        created=call.created,
        id=json_text(response_id),
        **tokens.holes(),
    )
    return Exchange(
        request, response, "metered", OPERATION, model.name, model.deployment, tokens, response_id=response_id
    )


def _indent(text: str, by: str = "  ") -> str:
    """JSON text moved right, all but its first line; literals hold no raw line ends."""
    return text.replace("\n", f"\n{by}")
