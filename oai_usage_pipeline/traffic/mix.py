"""How often each kind of call happens, and what may happen to its message on the way to the hub.

The proportions come from recorded calls: most are small chats, most streams report no usage,
embeddings and streams make the volume. How a body looks belongs in the modules of the APIs.
"""

from collections.abc import Callable
from dataclasses import dataclass

from oai_usage_pipeline.traffic import chat, chat_stream, completions, embeddings, failures, responses_api
from oai_usage_pipeline.traffic.damage import Damage
from oai_usage_pipeline.traffic.exchange import Call, Exchange
from oai_usage_pipeline.traffic.material import Material


@dataclass(frozen=True)
class Kind:
    """A kind of event: its name in the ledger, events per thousand, how to make it, and what befalls it."""

    name: str
    weight: int
    make: Callable[[Material, Call], Exchange]
    damage: Damage = Damage.NONE


MIX = (
    Kind("chat", 400, chat.plain),
    Kind("chat_tool_call", 90, chat.tool_call),
    Kind("chat_filtered", 10, chat.filtered),
    Kind("chat_stream", 90, chat_stream.without_usage),
    Kind("chat_stream_with_usage", 60, chat_stream.with_usage),
    Kind("responses", 120, responses_api.plain),
    Kind("responses_stream", 40, responses_api.streamed),
    Kind("responses_pending", 15, responses_api.pending),
    Kind("embeddings", 50, embeddings.floats),
    Kind("embeddings_base64", 35, embeddings.base64),
    Kind("completions", 40, completions.plain),
    Kind("blocked_prompt", 15, failures.blocked_prompt),
    Kind("too_many_requests", 15, failures.too_many_requests),
    Kind("server_error", 5, failures.server_error),
    Kind("truncated_prompt", 1, chat.long_context),
    Kind("truncated_stream", 2, chat_stream.endless),
    Kind("truncated_embeddings", 2, embeddings.many_inputs),
    Kind("null_response", 5, chat.plain, Damage.NULL_RESPONSE),
    Kind("not_json", 5, chat.plain, Damage.NOT_JSON),
)
