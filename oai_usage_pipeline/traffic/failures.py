"""Calls that the service refused: blocked prompts (HTTP 400), limits (429) and its own failures (500).

The envelope says nothing of the HTTP status: only the `error` object in the body tells. Damage
done to a message on its way belongs in `damage`.
"""

from oai_usage_pipeline.traffic.chat import OPERATION, request_text
from oai_usage_pipeline.traffic.exchange import Call, Exchange
from oai_usage_pipeline.traffic.material import Material
from oai_usage_pipeline.traffic.models import CHAT_MODELS
from oai_usage_pipeline.traffic.newtonsoft import Json, JsonTemplate

_SAFE: Json = {"filtered": False, "severity": "safe"}
_BLOCKED_PROMPT = JsonTemplate(
    {
        "error": {
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
            "management policy. Please modify your prompt and retry.",
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": {
                    "hate": _SAFE,
                    "jailbreak": {"filtered": True, "detected": True},
                    "self_harm": _SAFE,
                    "sexual": _SAFE,
                    "violence": {"filtered": True, "severity": "high"},
                },
            },
        }
    }
).render()
_TOO_MANY = JsonTemplate(
    {
        "error": {
            "code": "429",
            "message": "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version "
            "2024-10-21 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry "
            "after 14 seconds.",
        }
    }
).render()
_SERVER_ERROR = JsonTemplate(
    {
        "error": {
            "message": "The server had an error while processing your request. Sorry about that!",
            "type": "server_error",
            "param": None,
            "code": None,
        }
    }
).render()


def blocked_prompt(material: Material, call: Call) -> Exchange:
    """The content filter refused the prompt: HTTP 400, nothing billed."""
    return _refused(material, call, _BLOCKED_PROMPT)


def too_many_requests(material: Material, call: Call) -> Exchange:
    """The deployment's rate limit: HTTP 429."""
    return _refused(material, call, _TOO_MANY)


def server_error(material: Material, call: Call) -> Exchange:
    """The service failed: HTTP 500."""
    return _refused(material, call, _SERVER_ERROR)


def _refused(material: Material, call: Call, error: str) -> Exchange:
    model = material.model(CHAT_MODELS)
    request = request_text(material, call, model)
    return Exchange(request, error, "failed", OPERATION, None, model.deployment)
