"""Legacy completions: a prompt and its continuation, with three totals for usage."""

from oai_usage_pipeline.traffic.exchange import Call, Exchange
from oai_usage_pipeline.traffic.material import Material
from oai_usage_pipeline.traffic.models import COMPLETION_MODELS
from oai_usage_pipeline.traffic.newtonsoft import JsonTemplate, hole, json_text
from oai_usage_pipeline.traffic.tokens import TOTALS_ONLY, draw_tokens

OPERATION = "completions"

_RESPONSE = JsonTemplate(
    {
        "id": hole("id"),
        "object": "text_completion",
        "created": hole("created"),
        "model": hole("model"),
        "choices": [{"text": hole("content"), "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": TOTALS_ONLY,
    }
)


def plain(material: Material, call: Call) -> Exchange:
    """A prompt continued."""
    model = COMPLETION_MODELS[0]
    prompt = material.passages(material.long_tailed(2, 0.8, 20))
    request = (
        f'{{\n  "prompt": "{call.marker}: {prompt}",\n  "max_tokens": 256,\n'
        f'  "model": {json_text(model.deployment)}{call.user_property()}\n}}'
    )
    content = material.passages(material.long_tailed(2, 0.7, 6))
    tokens = draw_tokens(material, model, prompt, len(content) // 4 + 1)
    response_id = f"cmpl-{call.marker}"
    response = _RESPONSE.render(
        id=json_text(response_id),
        created=call.created,
        model=json_text(model.name),
        content=f'"{content}"',
        **tokens.holes(),
    )
    return Exchange(
        request, response, "metered", OPERATION, model.name, model.deployment, tokens, response_id=response_id
    )
