"""From a generated call to its ledger line: what can still be known of it after its damage.

The agreement with whoever reads the events, in one place. It shares no code with their parser.
"""

import hashlib

from oai_usage_pipeline.traffic.damage import Damage
from oai_usage_pipeline.traffic.exchange import Call, Exchange
from oai_usage_pipeline.traffic.ledger import LedgerEntry
from oai_usage_pipeline.traffic.tokens import NO_TOKENS


def expect(
    event_id: int,
    kind: str,
    damage: Damage,
    call: Call,
    partition_key: str,
    exchange: Exchange,
    body: bytes,
) -> LedgerEntry:
    """The ledger line of a message.

    Cut at 200 KB: unmetered, whoever called and when is still there. Without a response: rejected,
    caller and time are there. Not JSON: rejected, nothing is known.
    """
    readable = damage is not Damage.NOT_JSON
    whole = damage is Damage.NONE
    tokens = exchange.tokens if whole else NO_TOKENS
    return LedgerEntry(
        event_id=event_id,
        partition_key=partition_key,
        kind=kind,
        team=call.caller.team if readable else None,
        subscription_key_sha256=call.caller.key_sha256 if readable else None,
        event_time=call.event_time if readable else None,
        operation=exchange.operation if whole else None,
        model=exchange.model if whole else None,
        deployment=exchange.deployment if whole else None,
        user=call.user if whole else None,
        is_stream=exchange.is_stream and whole,
        response_id=exchange.response_id if whole else None,
        status=_STATUS.get(damage, exchange.status),
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        total_tokens=tokens.total,
        cached_input_tokens=tokens.cached,
        reasoning_output_tokens=tokens.reasoning,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        request_sha256=_sha256(exchange.request) if whole or damage is Damage.NULL_RESPONSE else None,
        response_sha256=_sha256(exchange.response) if whole else None,
    )


_STATUS = {Damage.TRUNCATED: "unmetered", Damage.NULL_RESPONSE: "rejected", Damage.NOT_JSON: "rejected"}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
