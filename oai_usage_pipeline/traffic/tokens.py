"""Token counts of one call: how many, and the shapes of the usage objects that report them.

The counts that go into a body and into the ledger are the same `Tokens`; nothing is read back.
"""

from dataclasses import dataclass

from oai_usage_pipeline.traffic.material import Material
from oai_usage_pipeline.traffic.models import Model
from oai_usage_pipeline.traffic.newtonsoft import Json, hole


@dataclass(frozen=True)
class Tokens:
    """Token counts of one call; None where the response does not report a number."""

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cached: int | None = None
    reasoning: int | None = None

    def holes(self) -> dict[str, str | int]:
        """What the usage shapes of this module are filled with; unreported counts have no hole."""
        counts = {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "total_tokens": self.total,
            "cached_tokens": self.cached,
            "reasoning_tokens": self.reasoning,
        }
        return {name: count for name, count in counts.items() if count is not None}


NO_TOKENS = Tokens()

TOTALS_ONLY: Json = {
    "completion_tokens": hole("output_tokens"),
    "prompt_tokens": hole("input_tokens"),
    "total_tokens": hole("total_tokens"),
}
"""Usage of older models and API versions."""

CHAT_USAGE: Json = {
    "completion_tokens": hole("output_tokens"),
    "completion_tokens_details": {
        "accepted_prediction_tokens": 0,
        "audio_tokens": 0,
        "reasoning_tokens": hole("reasoning_tokens"),
        "rejected_prediction_tokens": 0,
    },
    "prompt_tokens": hole("input_tokens"),
    "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": hole("cached_tokens")},
    "total_tokens": hole("total_tokens"),
}
RESPONSES_USAGE: Json = {
    "input_tokens": hole("input_tokens"),
    "input_tokens_details": {"cached_tokens": hole("cached_tokens")},
    "output_tokens": hole("output_tokens"),
    "output_tokens_details": {"reasoning_tokens": hole("reasoning_tokens")},
    "total_tokens": hole("total_tokens"),
}


def draw_tokens(material: Material, model: Model, prompt: str, answer_tokens: int) -> Tokens:
    """Plausible counts for a prompt text and an answer of a known number of tokens.

    About four characters to a token; caches work in steps of 128 from 1,024 tokens on; reasoning
    is part of the output, as in the APIs.
    """
    count = len(prompt) // 4 + 8
    if not model.has_details:
        return Tokens(count, answer_tokens, count + answer_tokens)
    cached = count // 128 * 128 if count >= 1024 and material.chance(0.6) else 0
    reasoning = 64 * material.long_tailed(4, 0.8, 60) if model.reasons else 0
    output = answer_tokens + reasoning
    return Tokens(count, output, count + output, cached, reasoning)
