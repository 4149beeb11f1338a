"""One call to a model: who calls, what went to and fro, and what the pipeline must make of it.

The shared vocabulary of the modules that make bodies. Expectations are stated where a body is
made, from the numbers put into it, and never read back out of the text.
"""

from dataclasses import dataclass

from oai_usage_pipeline.traffic.newtonsoft import json_text
from oai_usage_pipeline.traffic.teams import Caller
from oai_usage_pipeline.traffic.tokens import NO_TOKENS, Tokens


@dataclass(frozen=True)
class Call:
    """Who calls and when (as the envelope says it, and in seconds since 1970).

    `marker` makes the ids in the bodies unique.
    """

    marker: str
    caller: Caller
    event_time: str
    created: int
    user: str | None

    def user_property(self) -> str:
        """The request's optional last property, ready to stand before the closing brace."""
        return f',\n  "user": {json_text(self.user)}' if self.user else ""


@dataclass(frozen=True)
class Exchange:
    """The two body texts of a call, and what the pipeline must make of them.

    `status`: metered, unmetered, pending, failed, unit_billed or rejected. `model` is what the
    response names (None when it names none), `requested_model` what the request names: in Azure, a
    deployment.
    """

    request: str
    response: str
    status: str
    operation: str
    model: str | None
    requested_model: str
    tokens: Tokens = NO_TOKENS
    is_stream: bool = False
    response_id: str | None = None
