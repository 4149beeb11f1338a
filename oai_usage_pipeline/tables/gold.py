"""Gold: calls, tokens and priced buckets by hour."""

import polars as pl

from oai_usage_pipeline.tables.contract import INSTANT, TableContract
from oai_usage_pipeline.tables.history import Change
from oai_usage_pipeline.tables.silver import ESTIMATE_COLUMNS, STATUSES, TOKEN_COLUMNS

DIMENSIONS: dict[str, pl.DataType] = {
    "hour_at": INSTANT,
    "usage_date": pl.Date(),
    "subscription": pl.String(),
    "user_id": pl.String(),
    "operation": pl.String(),
    "model": pl.String(),
    "deployment": pl.String(),
    "region": pl.String(),
    "service_tier": pl.String(),
    "image_size": pl.String(),
    "image_quality": pl.String(),
}
USAGE_DIMENSIONS = tuple(DIMENSIONS)
"""What tells one gold row from another: who, what, and all that a price depends on."""

TOKEN_BUCKETS = {
    "input": "billed_input_tokens",
    "cached_input": "billed_cached_input_tokens",
    "audio_input": "billed_audio_input_tokens",
    "image_input": "billed_image_input_tokens",
    "output": "billed_output_tokens",
    "audio_output": "billed_audio_output_tokens",
    "image_output": "billed_image_output_tokens",
    "unsplit": "billed_unsplit_tokens",
}
"""Priced bucket -> its gold column. Every reported token is in exactly one of them; `unsplit` are those
of calls that report a total only, which no price fits."""

UNIT_BUCKETS = {
    "audio_duration": "billed_audio_ms",
    "image": "billed_image_count",
    "character": "billed_character_count",
}
"""Buckets of calls that report no tokens and are billed by another unit."""

BUCKETS = {**TOKEN_BUCKETS, **UNIT_BUCKETS}

COUNT_COLUMNS = (
    "request_count",
    *(f"{status}_count" for status in STATUSES),
    "duplicate_count",
    "estimated_count",
)
SUM_COLUMNS = (*TOKEN_COLUMNS, *BUCKETS.values(), *ESTIMATE_COLUMNS)
"""Null, not zero, where no call of the group reports the count."""

TOKEN_USAGE_HOURLY = TableContract(
    name="token_usage_hourly",
    description="Gold: calls, statuses and tokens by hour, subscription, user, operation and model.",
    version=3,
    history=(
        Change(1, "The first.", "67855e9f"),
        Change(
            2,
            "All that a price depends on, priced buckets, estimates; a call of several records counts once.",
            "19c035cf",
            added=(
                "region",
                "service_tier",
                "image_size",
                "image_quality",
                "duplicate_count",
                "estimated_count",
                "text_input_tokens",
                "audio_input_tokens",
                "image_input_tokens",
                "text_output_tokens",
                "audio_output_tokens",
                "image_output_tokens",
                "accepted_prediction_tokens",
                "rejected_prediction_tokens",
                "billed_input_tokens",
                "billed_cached_input_tokens",
                "billed_audio_input_tokens",
                "billed_image_input_tokens",
                "billed_output_tokens",
                "billed_audio_output_tokens",
                "billed_image_output_tokens",
                "billed_unsplit_tokens",
                "billed_audio_ms",
                "billed_image_count",
                "billed_character_count",
                "estimated_input_tokens",
                "estimated_output_tokens",
            ),
        ),
        Change(3, "Hours that a gap reaches into are marked.", "e6d5f298", added=("is_incomplete",)),
    ),
    partition_by="usage_date",
    statistics=("hour_at",),
    unique=(),
    schema={
        **DIMENSIONS,
        **{column: pl.Int64() for column in COUNT_COLUMNS},
        **{column: pl.Int64() for column in SUM_COLUMNS},
        "is_incomplete": pl.Boolean(),
    },
)
