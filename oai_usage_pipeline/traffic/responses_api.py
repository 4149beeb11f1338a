"""The Responses API: answers in one piece, streamed answers, and background work that has no usage yet.

A stream has named events, ends without `[DONE]` and reports its usage inside the response of its
last event.
"""

from oai_usage_pipeline.traffic.exchange import Call, Exchange
from oai_usage_pipeline.traffic.material import Material
from oai_usage_pipeline.traffic.models import RESPONSES_MODELS, Model
from oai_usage_pipeline.traffic.newtonsoft import Json, JsonTemplate, hole, json_text
from oai_usage_pipeline.traffic.tokens import NO_TOKENS, RESPONSES_USAGE, Tokens, draw_tokens

OPERATION = "responses"

_MESSAGE: Json = {
    "id": hole("message_id"),
    "type": "message",
    "status": hole("status"),
    "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": hole("content")}],
    "role": "assistant",
}


def _response(output: Json, usage: Json) -> Json:
    return {
        "background": hole("background"),
        "created_at": hole("created"),
        "error": None,
        "id": hole("id"),
        "incomplete_details": hole("incomplete_details"),
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": hole("model"),
        "object": "response",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "status": hole("status"),
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": hole("user"),
    }


_FINISHED = _response([_MESSAGE], RESPONSES_USAGE)
_UNFINISHED = _response([], None)


def _named(name: str, shape: dict[str, Json]) -> tuple[str, JsonTemplate]:
    """A server-sent event: its name, also the payload's `type`, and the payload."""
    return name, JsonTemplate({"type": name, **shape}, indented=False)


_TEXT_PLACE: dict[str, Json] = {"content_index": 0, "item_id": hole("message_id"), "output_index": 0}
_OPENING = (
    _named("response.created", {"response": _UNFINISHED, "sequence_number": 0}),
    _named("response.in_progress", {"response": _UNFINISHED, "sequence_number": 1}),
    _named(
        "response.output_item.added",
        {
            "item": {
                "id": hole("message_id"),
                "type": "message",
                "status": "in_progress",
                "content": [],
                "role": "assistant",
            },
            "output_index": 0,
            "sequence_number": 2,
        },
    ),
    _named("response.content_part.added", {**_TEXT_PLACE, "sequence_number": 3}),
)
_DELTA = _named(
    "response.output_text.delta",
    {**_TEXT_PLACE, "delta": hole("content"), "logprobs": [], "sequence_number": hole("sequence_number")},
)
_TEXT_DONE = _named(
    "response.output_text.done",
    {**_TEXT_PLACE, "text": hole("content"), "sequence_number": hole("sequence_number")},
)
_CLOSING = {
    status: _named(f"response.{status}", {"response": _FINISHED, "sequence_number": hole("sequence_number")})
    for status in ("completed", "incomplete")
}
_WHOLE = JsonTemplate(_FINISHED)
_PENDING = JsonTemplate(_UNFINISHED)


def plain(material: Material, call: Call) -> Exchange:
    """An answer in one piece; a few stop at their limit (`incomplete`), with usage all the same."""
    model = material.model(RESPONSES_MODELS)
    request = _request(material, call, model)
    content = material.passages(material.long_tailed(2, 0.9, 40))
    tokens = draw_tokens(material, model, request, len(content) // 4 + 1)
    values = _values(call, model, _final_status(material))
    response = _WHOLE.render(**values, **tokens.holes(), content=f'"{content}"')
    return _exchange(call, model, request, response, "metered", tokens)


def pending(material: Material, call: Call) -> Exchange:
    """Background work, accepted: no output and `usage: null` yet."""
    model = material.model(RESPONSES_MODELS)
    request = _request(material, call, model, ',\n  "background": true')
    status = "queued" if material.chance(0.5) else "in_progress"
    response = _PENDING.render(**_values(call, model, status, background=True))
    return _exchange(call, model, request, response, "pending", NO_TOKENS)


def streamed(material: Material, call: Call) -> Exchange:
    """An answer as server-sent events; their usage is in the last one."""
    model = material.model(RESPONSES_MODELS)
    request = _request(material, call, model, ',\n  "stream": true')
    content = material.tokens(material.long_tailed(24, 0.8, 200))
    tokens = draw_tokens(material, model, request, len(content))
    response = _events(content, _values(call, model, _final_status(material)), tokens)
    return _exchange(call, model, request, response, "metered", tokens, is_stream=True)


def _request(material: Material, call: Call, model: Model, tail: str = "") -> str:
    text = material.passages(material.long_tailed(2, 1.1, 220))
    return (
        f'{{\n  "input": "Case {call.marker}. {text}",\n  "model": {json_text(model.deployment)}'
        f"{tail}{call.user_property()}\n}}"
    )


def _final_status(material: Material) -> str:
    return "incomplete" if material.chance(0.05) else "completed"


def _values(call: Call, model: Model, status: str, *, background: bool = False) -> dict[str, str | int]:
    return {
        "background": "true" if background else "false",
        "created": call.created,
        "id": json_text(_response_id(call)),
        "incomplete_details": '{"reason": "max_output_tokens"}' if status == "incomplete" else "null",
        "message_id": json_text(f"msg_{call.marker}"),
        "model": json_text(model.name),
        "status": json_text(status),
        "user": json_text(call.user) if call.user else "null",
    }


def _response_id(call: Call) -> str:
    return f"resp_{call.marker}"


def _events(content: list[str], values: dict[str, str | int], tokens: Tokens) -> str:
    """The stream's text; all events but the last show the response as it was on the way."""
    on_the_way = {**values, "status": '"in_progress"', "incomplete_details": "null"}
    after = len(_OPENING) + len(content)
    name, closing = _CLOSING[str(values["status"]).strip('"')]
    whole_text = f'"{"".join(content)}"'
    events = [_event(opening_name, template.render(**on_the_way)) for opening_name, template in _OPENING]
    events += _deltas(content, values)
    events.append(
        _event(_TEXT_DONE[0], _TEXT_DONE[1].render(**values, content=whole_text, sequence_number=after))
    )
    last = closing.render(**values, **tokens.holes(), content=whole_text, sequence_number=after + 1)
    return "".join([*events, _event(name, last)])


def _deltas(content: list[str], values: dict[str, str | int]) -> list[str]:
    """Rendered once and split where tokens differ: the rest is the same in the whole stream."""
    name, template = _DELTA
    text = _event(name, template.render(**values, content='"\0"', sequence_number="\0"))
    before, between, after = text.split("\0")
    return [
        f"{before}{token}{between}{number}{after}"
        for number, token in enumerate(content, start=len(_OPENING))
    ]


def _event(name: str, payload: str) -> str:
    return f"event: {name}\ndata: {payload}\n\n"


def _exchange(
    call: Call,
    model: Model,
    request: str,
    response: str,
    status: str,
    tokens: Tokens,
    *,
    is_stream: bool = False,
) -> Exchange:
    return Exchange(
        request,
        response,
        status,
        OPERATION,
        model.name,
        model.deployment,
        tokens,
        is_stream,
        _response_id(call),
    )
