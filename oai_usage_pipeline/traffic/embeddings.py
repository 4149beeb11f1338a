"""Embeddings: large responses with the usage at their very end, and no response id.

Numbers as text (33 KB a vector) or base64 (8 KB), as the caller asked.
"""

from oai_usage_pipeline.traffic.exchange import Call, Exchange
from oai_usage_pipeline.traffic.material import Material
from oai_usage_pipeline.traffic.models import EMBEDDING_MODELS
from oai_usage_pipeline.traffic.newtonsoft import json_text
from oai_usage_pipeline.traffic.tokens import Tokens

OPERATION = "embeddings"


def floats(material: Material, call: Call) -> Exchange:
    """One input, its vector as numbers."""
    return _embedded(material, call, [_numbers(material)])


def base64(material: Material, call: Call) -> Exchange:
    """One input, its vector in base64: what the OpenAI SDKs ask for."""
    return _embedded(material, call, [f'"{material.base64_vector()}"'], ',\n  "encoding_format": "base64"')


def many_inputs(material: Material, call: Call) -> Exchange:
    """A batch of inputs with more numbers than API Management's 200 KB."""
    return _embedded(material, call, [_numbers(material) for _ in range(material.random.randint(8, 12))])


def _numbers(material: Material) -> str:
    return f"[\n        {material.vector()}\n      ]"


def _embedded(material: Material, call: Call, vectors: list[str], tail: str = "") -> Exchange:
    model = EMBEDDING_MODELS[0]
    inputs = ",\n    ".join(
        f'"{call.marker}-{n}: {material.passages(material.long_tailed(2, 0.7, 20))}"'
        for n in range(len(vectors))
    )
    request = (
        f'{{\n  "input": [\n    {inputs}\n  ],\n  "model": {json_text(model.deployment)}'
        f"{tail}{call.user_property()}\n}}"
    )
    count = len(inputs) // 4
    tokens = Tokens(input=count, total=count)
    response = _response(vectors, model.name, tokens)
    return Exchange(request, response, "metered", OPERATION, model.name, model.deployment, tokens)


def _response(vectors: list[str], model: str, tokens: Tokens) -> str:
    data = ",\n    ".join(
        f'{{\n      "object": "embedding",\n      "index": {n},\n      "embedding": {vector}\n    }}'
        for n, vector in enumerate(vectors)
    )
    return (
        f'{{\n  "object": "list",\n  "data": [\n    {data}\n  ],\n  "model": {json_text(model)},\n'
        f'  "usage": {{\n    "prompt_tokens": {tokens.input},\n    "total_tokens": {tokens.total}\n  }}\n}}'
    )
