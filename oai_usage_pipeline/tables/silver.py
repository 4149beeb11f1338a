"""Silver: typed usage, at least one row for every event."""

import polars as pl

from oai_usage_pipeline.tables.contract import INSTANT, TableContract

STATUSES = ("metered", "unmetered", "pending", "failed", "unit_billed", "rejected")

EVENT_SHAPES = ("policy", "reference", "camel_case", "metered", "llm_log", "gateway_log")
"""How a gateway may log a call, the one that tells most first; see docs/EVENTS.md."""

TOKEN_COLUMNS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_input_tokens",
    "text_input_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "reasoning_output_tokens",
    "text_output_tokens",
    "audio_output_tokens",
    "image_output_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
)
"""As reported; null where nothing is. The parts are inside input_tokens or output_tokens."""

ESTIMATE_COLUMNS = ("estimated_input_tokens", "estimated_output_tokens")
"""What a tokenizer makes of the texts of an unmetered success; never added to reported counts."""

USAGE_EVENTS = TableContract(
    name="usage_events",
    description="Silver: at least one typed row with a status for every bronze row; no prompts.",
    version=2,
    partition_by="enqueued_date",
    statistics=("partition_id", "sequence_number", "enqueued_at", "event_at", "usage_date"),
    unique=("response_id", "request_id"),
    schema={
        "event_hub": pl.String(),
        "incarnation": pl.String(),
        "partition_id": pl.String(),
        "sequence_number": pl.Int64(),
        "event_index": pl.Int32(),
        "enqueued_at": INSTANT,
        "enqueued_date": pl.Date(),
        "event_at": INSTANT,
        "usage_date": pl.Date(),
        "event_shape": pl.String(),
        "request_id": pl.String(),
        "subscription": pl.String(),
        "subscription_name": pl.String(),
        "user_id": pl.String(),
        "product_id": pl.String(),
        "api_id": pl.String(),
        "operation_id": pl.String(),
        "api_version": pl.String(),
        "backend_id": pl.String(),
        "operation": pl.String(),
        "object": pl.String(),
        "model": pl.String(),
        "request_model": pl.String(),
        "deployment": pl.String(),
        "region": pl.String(),
        "service_tier": pl.String(),
        "is_stream": pl.Boolean(),
        "is_retrieval": pl.Boolean(),
        "response_id": pl.String(),
        "finish_reasons": pl.String(),
        "tool_call_count": pl.Int64(),
        "is_content_filtered": pl.Boolean(),
        "status_code": pl.Int32(),
        "latency_ms": pl.Int64(),
        "time_to_first_byte_ms": pl.Int64(),
        **{column: pl.Int64() for column in TOKEN_COLUMNS},
        "audio_duration_ms": pl.Int64(),
        "image_count": pl.Int64(),
        "image_size": pl.String(),
        "image_quality": pl.String(),
        "character_count": pl.Int64(),
        **{column: pl.Int64() for column in ESTIMATE_COLUMNS},
        "status": pl.String(),
        "reason": pl.String(),
        "schema_version": pl.Int32(),
    },
)
