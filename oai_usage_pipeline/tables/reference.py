"""Reference data that people keep: who a subscription is, how a deployment is billed, what a unit costs.

Small tables, replaced as a whole when their file changes; Delta keeps the older versions.
"""

import polars as pl

from oai_usage_pipeline.tables.contract import INSTANT, MONEY, TableContract
from oai_usage_pipeline.tables.history import Change

_VALIDITY = {"valid_from": INSTANT, "valid_to": INSTANT}
"""Half-open: from inclusive, to exclusive; null is unbounded. Whole hours, as usage is charged by them."""

SUBSCRIPTIONS = TableContract(
    name="subscriptions",
    description="Who is behind a subscription, with validity in time.",
    version=1,
    history=(Change(1, "The first.", "32fbbafd"),),
    partition_by=None,
    statistics=(),
    unique=(),
    schema={
        "subscription": pl.String(),
        "name": pl.String(),
        "team": pl.String(),
        "cost_centre": pl.String(),
        "owner": pl.String(),
        "environment": pl.String(),
        **_VALIDITY,
    },
)

DEPLOYMENT_TYPES = (
    "GlobalStandard",
    "DataZoneStandard",
    "Standard",
    "GlobalBatch",
    "DataZoneBatch",
    "Batch",
    "GlobalProvisionedManaged",
    "DataZoneProvisionedManaged",
    "ProvisionedManaged",
)
"""Azure's own SKU names of deployments (`az cognitiveservices account deployment create --sku-name`);
`Batch` is the regional batch price, which has no SKU of that name."""

PROVISIONED = "ProvisionedManaged"
"""How the names of the types end that are billed by the hour, used or not."""

DEPLOYMENTS = TableContract(
    name="deployments",
    description="How a deployment is billed, with validity in time.",
    version=1,
    history=(Change(1, "The first.", "dfb8fb58"),),
    partition_by=None,
    statistics=(),
    unique=(),
    schema={
        "deployment": pl.String(),
        "model": pl.String(),
        "deployment_type": pl.String(),
        "region": pl.String(),
        "ptu_count": pl.Int64(),
        "capacity_tokens_per_hour": pl.Int64(),
        **_VALIDITY,
    },
)

DEFAULT_DEPLOYMENTS: tuple[dict[str, str], ...] = (
    {"deployment": "*", "deployment_type": "GlobalStandard"},
    {"deployment": "*", "model": "whisper*", "deployment_type": "Standard"},
    {"deployment": "*", "model": "tts*", "deployment_type": "Standard"},
    {"deployment": "*", "model": "dall-e-3*", "deployment_type": "Standard"},
)
"""The rows of DEPLOYMENTS until there is a file, which then replaces them all. The models named are deployed
by region: Azure's list has lower, global prices for them too, which would be taken for calls that never had
them."""

PRICE_UNITS = {
    "1K tokens": 1_000,
    "1M tokens": 1_000_000,
    "1K characters": 1_000,
    "1M characters": 1_000_000,
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "image": 1,
    "PTU hour": 1,
}
"""Unit of a price -> how many of a bucket's own units (tokens, characters, milliseconds, images) it holds."""

PRICE_BUCKETS = (
    "input",
    "cached_input",
    "audio_input",
    "image_input",
    "output",
    "audio_output",
    "image_output",
    "audio_duration",
    "image",
    "character",
    "provisioned",
)
"""What a price may be for: the buckets of gold but `unsplit`, which none fits, and a PTU's hours."""

PRICES = TableContract(
    name="prices",
    description="What a unit of a bucket costs, with validity in time and source.",
    version=1,
    history=(Change(1, "The first.", "ad0edf2c"),),
    partition_by=None,
    statistics=(),
    unique=(),
    schema={
        "price_id": pl.String(),
        "model": pl.String(),
        "deployment_type": pl.String(),
        "region": pl.String(),
        "service_tier": pl.String(),
        "bucket": pl.String(),
        "image_size": pl.String(),
        "image_quality": pl.String(),
        "unit": pl.String(),
        "price": MONEY,
        "currency": pl.String(),
        **_VALIDITY,
        "source": pl.String(),
        "is_override": pl.Boolean(),
    },
)
