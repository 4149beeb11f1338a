"""From a generated call to its ledger line: what can still be known of it after its damage.

The agreement with whoever reads the events, in one place. It shares no code with their parser.
"""

import hashlib
from dataclasses import dataclass

from oai_usage_pipeline.traffic.damage import Damage
from oai_usage_pipeline.traffic.exchange import Call, Exchange
from oai_usage_pipeline.traffic.ledger import LedgerEntry
from oai_usage_pipeline.traffic.tokens import NO_TOKENS

_STATUS = {Damage.TRUNCATED: "unmetered", Damage.NULL_RESPONSE: "rejected", Damage.NOT_JSON: "rejected"}


@dataclass(frozen=True)
class _Shown:
    """Which parts of a message its reader can use; a stream shows its names long before its end."""

    envelope: bool
    request: bool
    response_names: bool
    whole: bool

    @classmethod
    def after(cls, damage: Damage, exchange: Exchange, body: bytes) -> "_Shown":
        envelope = damage is not Damage.NOT_JSON
        whole = damage is Damage.NONE
        # No text inside a JSON string looks like this: its quotes are escaped.
        request = envelope and b'"Response": ' in body
        return cls(
            envelope, request, whole or (damage is Damage.TRUNCATED and request and exchange.is_stream), whole
        )


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

    Cut at 200 KB: unmetered, with whatever stands before the cut. Without a response: rejected, yet
    who asked for what is there. Not JSON: rejected, and nothing is known.
    """
    shown = _Shown.after(damage, exchange, body)
    tokens = exchange.tokens if shown.whole else NO_TOKENS
    requested = exchange.requested_model if shown.request else None
    return LedgerEntry(
        event_id=event_id,
        partition_key=partition_key,
        kind=kind,
        team=call.caller.team if shown.envelope else None,
        subscription_key_sha256=call.caller.key_sha256 if shown.envelope else None,
        event_time=call.event_time if shown.envelope else None,
        operation=exchange.operation if shown.envelope else None,
        model=(exchange.model if shown.response_names else None) or requested,
        requested_model=requested,
        user=call.user if shown.request else None,
        is_stream=exchange.is_stream and shown.request,
        response_id=exchange.response_id if shown.response_names else None,
        status=_STATUS.get(damage, exchange.status),
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        total_tokens=tokens.total,
        cached_input_tokens=tokens.cached,
        reasoning_output_tokens=tokens.reasoning,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        request_sha256=_sha256(exchange.request) if shown.request else None,
        response_sha256=_sha256(exchange.response) if shown.whole else None,
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
