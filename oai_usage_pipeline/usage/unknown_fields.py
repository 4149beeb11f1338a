"""Which fields of an event nobody reads and nobody has decided not to read: a sign that a provider changed.

Names only, never values. Looked for in the event itself, at the top of answers, and in every `usage`, where a
new field is money. Requests aren't looked at, and neither are Azure Monitor's records, whose tables have
far more columns than are read. What is done about an unknown field is for people.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from oai_usage_pipeline.usage.answers import Body
from oai_usage_pipeline.usage.bodies import NO_JSON
from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.key_looks import is_credential, is_gateway_key
from oai_usage_pipeline.usage.server_events import Event, events
from oai_usage_pipeline.usage.shapes import ARRAY, SHAPES, open_fields
from oai_usage_pipeline.usage.shapes.diagnostics import DIAGNOSTICS
from oai_usage_pipeline.usage.shapes.reference import REFERENCE
from oai_usage_pipeline.usage.shapes.shape import EVENT_SHAPE, Fields
from oai_usage_pipeline.usage.streams import is_stream
from oai_usage_pipeline.usage.tokens import Details, Usage

NOT_SHOWN = "(a name that isn't shown)"
"""Stands for a name that may be somebody's text or key."""

_SHOWN = re.compile(r"[A-Za-z_$@][A-Za-z0-9_$@.-]{0,63}", re.ASCII)
_IN_USAGE = frozenset((*Usage.__annotations__, "type"))  # of sound: whether it counts tokens or seconds
_IN_DETAILS = frozenset(Details.__annotations__)

_IN_ANSWERS = frozenset(
    (
        *Body.__annotations__,
        *Event.__annotations__,
        # Of every kind of call, from the API reference of OpenAI and recorded answers: known, and not needed.
        *("system_fingerprint", "prompt_filter_results", "content_filter_results", "content_filters"),
        *("moderation", "metadata", "obfuscation", "sequence_number", "message", "param", "headers"),
        # Responses and their events
        *("background", "billing", "completed_at", "conversation", "frequency_penalty", "instructions"),
        *("max_output_tokens", "max_tool_calls", "parallel_tool_calls", "presence_penalty"),
        *("previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_retention", "reasoning"),
        *("safety_identifier", "store", "temperature", "text", "tool_choice", "tool_usage", "tools"),
        *("top_logprobs", "top_p", "truncation", "user", "item", "item_id", "output_index"),
        *("content_index", "summary_index", "annotation", "annotation_index", "part", "delta", "logprobs"),
        *("arguments", "name", "input", "refusal", "partial_image_b64", "partial_image_index"),
        # chat and completions that are stored; lists
        *("input_user", "data", "first_id", "last_id", "has_more", "deleted", "results"),
        # images, sound, realtime sessions
        *("b64_json", "background", "output_format", "size", "quality", "task", "language", "duration"),
        *("segments", "words", "speaker", "start", "end", "audio", "expires_at", "session", "value"),
        *("client_secret", "transcript", "event_id"),
        # assistants, threads, runs and their messages
        *("assistant_id", "thread_id", "run_id", "role", "content", "attachments", "description"),
        *("tool_resources", "response_format", "reasoning_effort", "started_at", "cancelled_at"),
        *("failed_at", "required_action", "last_error", "max_completion_tokens", "max_prompt_tokens"),
        *("truncation_strategy", "step_details", "incomplete_at", "status_details", "tool_calls"),
        *("total_tokens", "expired_at"),
        # files, batches, vector stores, tuning
        *("bytes", "filename", "purpose", "endpoint", "errors", "input_file_id", "completion_window"),
        *("output_file_id", "error_file_id", "in_progress_at", "finalizing_at", "cancelling_at"),
        *("request_counts", "expires_after", "file_counts", "last_active_at", "usage_bytes"),
        *("vector_store_id", "chunking_strategy", "attributes", "fine_tuned_model", "organization_id"),
        *("result_files", "training_file", "validation_file", "hyperparameters", "trained_tokens"),
        *("finished_at", "estimated_finish", "integrations", "seed", "method", "container_id"),
    )
)


def unknown_fields(row: Sequence[Any]) -> set[str]:
    """The paths of one event's unknown fields, of its values of `derive.PAYLOAD_COLUMNS`.

    Such as `event.tenantId`, `response.tier_note` or `usage.prompt_tokens_details.video_tokens`; a name that
    may be somebody's text is `NOT_SHOWN`. Of an event of no known shape all fields are unknown, of
    others that can't be read none.
    """
    *columns, body, reason, _ = row
    if reason == "envelope_unknown":
        return {f"event.{each}" for each in _shown(_object(body))}
    return set(_of_event(Envelope(*columns)))


def _of_event(envelope: Envelope) -> Iterator[str]:
    fields = _object(envelope.properties)
    name = fields.get(EVENT_SHAPE)
    if name == ARRAY:
        for each in fields["events"]:
            if isinstance(each, dict):
                yield from _of_event(open_fields(each))
        return
    shape = next((each for each in SHAPES if each.name == name), REFERENCE)
    if shape is not DIAGNOSTICS:
        yield from _of_fields(fields, shape.contracts)
    yield from _of_response(envelope.Response)


def _of_fields(fields: Fields, contracts: Iterable[type]) -> Iterator[str]:
    known = {name for contract in contracts for name in contract.__annotations__} | {EVENT_SHAPE}
    for name in _shown(fields.keys() - known):
        yield f"event.{name}"
    if isinstance(fields.get("usage"), dict) and "usage" in known:
        yield from _of_usage(fields["usage"])


def _of_response(text: str | None) -> Iterator[str]:
    if not text:
        return
    for each in (data for _, data in events(text)) if is_stream(text) else (text,):
        yield from _of_answer(_object(each))


def _of_answer(answer: Fields) -> Iterator[str]:
    for name in _shown(answer.keys() - _IN_ANSWERS):
        yield f"response.{name}"
    if isinstance(answer.get("usage"), dict):
        yield from _of_usage(answer["usage"])
    if isinstance(answer.get("response"), dict):
        yield from _of_answer(answer["response"])


def _of_usage(usage: Fields) -> Iterator[str]:
    for name in _shown(usage.keys() - _IN_USAGE):
        yield f"usage.{name}"
    for whole in _IN_USAGE:
        if isinstance(usage.get(whole), dict):
            for name in _shown(usage[whole].keys() - _IN_DETAILS):
                yield f"usage.{whole}.{name}"


def _object(text: str | bytes | None) -> Mapping[str, Any]:
    try:
        tree = from_json(text) if text else {}
    except NO_JSON:
        return {}
    return tree if isinstance(tree, dict) else {}


def _shown(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        is_name = _SHOWN.fullmatch(name) and not (is_gateway_key(name) or is_credential(name))
        yield name if is_name else NOT_SHOWN
