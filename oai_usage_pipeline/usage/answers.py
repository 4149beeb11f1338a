"""What a response says about one call, and the status that follows from it.

The rules that make a call metered, failed or unmetered are here, one for all kinds of bodies.
How a body is read belongs in `bodies` and `streams`.
"""

import re
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from oai_usage_pipeline.usage.endings import UNKNOWN, Choice, Ending, Incomplete, OutputItem
from oai_usage_pipeline.usage.operations import (
    BATCHES,
    CHAT_COMPLETIONS,
    COMPACTION,
    COMPLETIONS,
    EMBEDDINGS,
    RESPONSES,
    UNIT_BILLED,
    WITHOUT_USAGE,
)
from oai_usage_pipeline.usage.tokens import NO_TOKENS, STRICT, Tokens, Usage, contradictions, tokens_of
from oai_usage_pipeline.usage.units import NO_UNITS, Units

_PENDING = frozenset(
    (
        "queued",
        "in_progress",
        "requires_action",
        "validating",
        "finalizing",
        "cancelling",
        "notRunning",
        "running",
    )
)
_FAILED = frozenset(("failed", "cancelled", "expired"))
_FINAL = frozenset(("completed", *_FAILED))

USAGE_OF_ZERO = "usage_of_zero"
"""The reason of a success that reports zeros alone: nobody reads nothing and writes nothing."""

_NEVER_FREE = frozenset((CHAT_COMPLETIONS, COMPLETIONS, RESPONSES, COMPACTION, EMBEDDINGS, None))

RUN_STEP = "thread.run.step"
"""The object whose usage is a part of its run's."""
_DEFAULT_TIERS = frozenset((None, "", "default", "auto", "standard"))
_END_OF_TIME = 253_402_300_800  # the year 10,000
_SAFE_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,47}|[0-9]{3}")


class Body(TypedDict, total=False):
    """The fields that accounting needs of a JSON body, of whatever kind; all others are skipped."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # pydantic's documented way to configure a TypedDict

    id: str | None
    object: str | None
    model: str | None
    status: str | None
    service_tier: str | None
    usage: Usage | None
    choices: list[Choice] | None  # chat, completions
    output: list[OutputItem] | None  # Responses
    incomplete_details: Incomplete | None  # Responses
    error: Any
    statusCode: Any  # the gateway's own errors
    created_at: Any  # Responses, runs, batches
    created: Any  # chat


class Answer(NamedTuple):
    """One call as its response tells it; `reason` is a code, or names contradicting numbers."""

    status: str
    reason: str | None = None
    operation: str | None = None
    object: str | None = None
    model: str | None = None
    response_id: str | None = None
    is_stream: bool | None = None
    tokens: Tokens = NO_TOKENS
    service_tier: str | None = None
    ending: Ending = UNKNOWN
    units: Units = NO_UNITS
    created_at: int | None = None


class Unreadable(Exception):  # a body's property, never a failure of the pipeline
    """A body that can't be accounted for: the reason code, and the names that it shows nevertheless."""

    def __init__(self, reason: str, names: Body | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.names = names or Body()


def judge(
    body: Body, operation: str | None, *, without_usage: str = "usage_missing"
) -> tuple[str, str | None, Tokens]:
    """Status, reason and tokens of a body; a reported count makes it metered.

    Unless it is the count of something unfinished, which grows, or a part of another object's.
    """
    usage = body.get("usage")
    if usage:
        tokens = tokens_of(usage)
        if tokens != NO_TOKENS:
            if operation in WITHOUT_USAGE and body.get("object") == RUN_STEP:
                return "unmetered", "no_usage_expected", NO_TOKENS
            unfinished = _why_unfinished(body.get("status"), operation)
            if unfinished:
                return "pending", unfinished, NO_TOKENS
            if tokens[0] or any(tokens) or operation not in _NEVER_FREE:
                return "metered", _remarks(body, tokens), tokens
            without_usage, usage = USAGE_OF_ZERO, None
    failure = failure_of(body)
    if failure:
        return "failed", failure, NO_TOKENS
    if body.get("status") in _PENDING:
        return "pending", body.get("status"), NO_TOKENS
    if operation in UNIT_BILLED or (usage and "seconds" in usage):
        return "unit_billed", None, NO_TOKENS
    if operation in WITHOUT_USAGE or (operation is None and body.get("object") == "list"):
        return "unmetered", "no_usage_expected", NO_TOKENS
    return "unmetered", without_usage if usage is None else "usage_without_tokens", NO_TOKENS


def _why_unfinished(status: str | None, operation: str | None) -> str | None:
    """Why the counts of an object that is polled aren't its last ones; None when they are."""
    if status in _PENDING:
        return status
    return "status_unknown" if operation == BATCHES and status not in _FINAL else None


def failure_of(body: Body) -> str | None:
    """The reason code of a body that reports an error, as bodies of OpenAI, Azure and the gateway do."""
    error = body.get("error")
    if error:
        return error_code(error)
    if body.get("statusCode") is not None:
        return error_code({"code": body["statusCode"]})
    status = body.get("status")
    return f"response_{status}" if status in _FAILED else None


def error_code(error: object) -> str:
    """The error's own code when it is a short plain token, which a foreign text never is."""
    if isinstance(error, dict):
        for value in (error.get("code"), error.get("type")):
            if isinstance(value, str | int) and _SAFE_CODE.fullmatch(str(value)):
                return str(value)
    return "error"


def tier_of(body: Body) -> str | None:
    """The processing tier where it isn't the default one."""
    tier = body.get("service_tier")
    return None if tier in _DEFAULT_TIERS else tier


def instant_of(body: Body) -> int | None:
    """Seconds since 1970 at which the answer was made, where the body says a plausible one."""
    at = body.get("created_at") or body.get("created")
    return at if type(at) is int and 0 < at < _END_OF_TIME else None


def _remarks(body: Body, tokens: Tokens) -> str | None:
    failure, contradiction = failure_of(body), contradictions(tokens)
    return f"{failure}; {contradiction}" if failure and contradiction else failure or contradiction
