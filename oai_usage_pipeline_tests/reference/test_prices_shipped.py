"""The shipped prices: made anew to no difference, and two sources of their figures compared."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from azure_genai_prices.store import get_table
from genai_prices.data import providers
from genai_prices.types import TieredPrices

from oai_usage_pipeline.charge.matching import Use, matches
from oai_usage_pipeline.reference.price_list import Price
from oai_usage_pipeline.reference.prices import SHIPPED, price_rows, retail_prices
from oai_usage_pipeline.tables import PRICE_UNITS
from oai_usage_pipeline.traffic.models import (
    CHAT_MODELS,
    COMPLETION_MODELS,
    EMBEDDING_MODELS,
    RESPONSES_MODELS,
)
from oai_usage_pipeline_tests.reference.build_prices import build, shipped_offers

SNAPSHOT_AT = datetime(2026, 8, 11, tzinfo=UTC)
"""When azure-genai-prices 0.2.0 took its copy of Azure's list."""

MODELS = {model.name for model in (*CHAT_MODELS, *RESPONSES_MODELS, *EMBEDDING_MODELS, *COMPLETION_MODELS)}

_CUT = "OpenAI cut it on 2026-07-30; Azure's list of 2026-08-11 still has the first price"
_PREVIEW = "the first preview (2024-10-01) keeps its price on Azure; genai-prices has one for all previews"
_AUDIO = "OpenAI cut it when gpt-audio came out; Azure kept the preview's price (1.5 has the lower one)"
_OSS = "genai-prices has what others host it for; Azure's own price is higher"
EXPLAINED = {
    ("gpt-5.6-luna", "input"): _CUT,
    ("gpt-5.6-luna", "cached_input"): _CUT,
    ("gpt-5.6-luna", "output"): _CUT,
    ("gpt-5.6-terra", "input"): _CUT,
    ("gpt-5.6-terra", "cached_input"): _CUT,
    ("gpt-5.6-terra", "output"): _CUT,
    ("gpt-4o-realtime-preview-2024-10-01", "audio_input"): _PREVIEW,
    ("gpt-4o-realtime-preview-2024-10-01", "audio_output"): _PREVIEW,
    ("gpt-audio", "audio_input"): _AUDIO,
    ("gpt-audio", "audio_output"): _AUDIO,
    ("gpt-audio-2025-08-28", "audio_input"): _AUDIO,
    ("gpt-audio-2025-08-28", "audio_output"): _AUDIO,
    ("gpt-oss-120b", "input"): _OSS,
    ("gpt-oss-120b", "output"): _OSS,
}
"""Where genai-prices has another price for Global Standard than Azure's list, and why, found by hand."""

ATTRIBUTES = {
    "input": ("input_mtok",),
    "cached_input": ("cache_read_mtok",),
    "output": ("output_mtok",),
    "audio_input": ("input_audio_mtok",),
    "audio_output": ("output_audio_mtok",),
    "image_input": ("input_image_mtok",),
    "image_output": ("output_image_mtok", "output_mtok"),
    "character": ("input_mchars",),
    "audio_duration": ("audio_hours",),
}
"""Bucket -> where genai-prices keeps its price: by a million, and audio by the hour."""


@cache
def shipped() -> pl.DataFrame:
    return price_rows(Path("no such folder"))


def in_force(at: datetime) -> list[Price]:
    return [
        price
        for price in retail_prices(SHIPPED)
        if (price.valid_from is None or price.valid_from <= at)
        and (price.valid_to is None or at < price.valid_to)
    ]


def their_price(model: str, bucket: str, at: datetime) -> Decimal | None:
    """genai-prices' price: Azure's where it knows the model, else OpenAI's own."""
    for wanted in ("azure", "openai"):
        provider = next(each for each in providers if each.id == wanted)
        found = provider.find_model(model)
        if found is None:
            continue
        prices = found.get_prices(at)
        for attribute in ATTRIBUTES.get(bucket, ()):
            value = getattr(prices, attribute, None)
            if value is not None:
                return value.base if isinstance(value, TieredPrices) else Decimal(value)
    return None


def compared() -> Iterator[tuple[tuple[str, str], Decimal, Decimal]]:
    for price in in_force(SNAPSHOT_AT):
        is_plain = price.deployment_type == "GlobalStandard" and price.service_tier is None
        if not is_plain or "?" in price.model or price.region not in ("*", "eastus"):
            continue
        theirs = their_price(price.model, price.bucket, SNAPSHOT_AT)
        if theirs is not None:
            size = 3_600_000 if price.bucket == "audio_duration" else 1_000_000
            yield (price.model, price.bucket), price.price * size / PRICE_UNITS[price.unit], theirs


def test_making_the_shipped_prices_anew_gives_no_difference() -> None:
    assert build() == SHIPPED.read_text(), (
        "run `python -m oai_usage_pipeline_tests.reference.build_prices` and read the difference"
    )


def test_every_meter_of_the_snapshot_is_a_price_or_left_out_for_a_known_reason() -> None:
    found = shipped_offers()
    assert not found.not_understood
    assert {reason: len(meters) for reason, meters in found.left_out.items()} == {
        "a name that no deployment of ours has": 9,
        "cached audio is no bucket: all cached input has the price of cached text": 27,
        "cached image is no bucket: all cached input has the price of cached text": 27,
        "charged by 1 Hour": 2,
        "fine-tuned models (training, hosting, use)": 204,
        "first names of meters, kept by Azure for old bills": 17,
        "long prompts have prices of their own, and the table has no column for length": 56,
        "no price": 1,
        "provisioned throughput of the first kind, or overage": 3,
        "tools and agents, not models": 7,
        "video": 39,
        "writing to the prompt cache is no bucket: usage counts it as input": 12,
    }


def test_azures_list_and_genai_prices_agree_but_for_the_differences_explained() -> None:
    differing, count = {}, 0
    for subject, ours, theirs in compared():
        count += 1
        if ours != theirs:
            differing[subject] = (ours, theirs)
    assert count > 350
    assert {each: differing[each] for each in differing if each not in EXPLAINED} == {}
    assert set(EXPLAINED) == set(differing), "an explanation has nothing to explain any more"


def test_meters_are_read_as_the_author_of_the_snapshot_reads_them() -> None:
    """An independent reading of the same names: model, bucket, deployment type, batch, priority."""
    ours: dict[tuple[str, str, str | None, str], list[Price]] = {}
    for price in retail_prices(SHIPPED):
        if price.valid_to is None:
            subject = (price.model, price.deployment_type, price.service_tier, price.bucket)
            ours.setdefault(subject, []).append(price)
    places = {"global": "Global", "data_zone": "DataZone", "regional": ""}
    buckets = {"input": "input", "output": "output", "cache_read": "cached_input"}
    count = 0
    for (model, kind, place, mode, context), meter in get_table().items():
        kind_of_use = "Batch" if mode == "batch" else "Standard"
        tier = "priority" if mode == "priority" else None
        subject = (model, places[place] + kind_of_use, tier, buckets.get(kind, ""))
        for price in ours.get(subject, []) if context == "short" else []:
            theirs = meter.price_for(None if price.region == "*" else price.region)
            assert theirs == price.price / PRICE_UNITS[price.unit], (subject, price.region)
            count += 1
    assert count > 1_200


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_of_the_generated_traffic_has_a_price_for_what_it_is_billed_by(model: str) -> None:
    prices = shipped()
    buckets = ["input"] if "embedding" in model else ["input", "output"]
    if not model.startswith(("gpt-35", "text")):
        buckets.append("cached_input")
    for bucket in buckets:
        for at in (datetime(2025, 5, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)):
            use = Use(model, "GlobalStandard", None, None, bucket, None, None, at)
            found = matches([use], prices)
            assert found["price"][0] is not None, (bucket, found["reason"][0])


@pytest.mark.parametrize(
    ("model", "bucket", "unit", "amount"),
    [
        ("gpt-5-2025-08-07", "input", "1M tokens", "1.25"),
        ("gpt-5.4-mini-2026-03-17", "cached_input", "1M tokens", "0.075"),
        ("o3-2025-04-16", "output", "1K tokens", "0.008"),
        ("text-embedding-3-large", "input", "1K tokens", "0.00013"),
        ("whisper", "audio_duration", "hour", "0.36"),
        ("gpt-4o-transcribe", "audio_input", "1K tokens", "0.006"),
        ("gpt-4o-mini-tts", "audio_output", "1K tokens", "0.012"),
        ("gpt-4o-mini-tts", "output", "1K tokens", "0.012"),
        ("gpt-image-1", "image_input", "1K tokens", "0.01"),
        ("gpt-image-1", "image_output", "1K tokens", "0.04"),
        ("gpt-image-1", "output", "1K tokens", "0.04"),
        ("tts-1-hd", "character", "1M characters", "30"),
        ("gpt-4o-audio-preview-2024-12-17", "audio_output", "1K tokens", "0.08"),
        ("gpt-4o-audio-preview-2024-12-17", "output", "1K tokens", "0.01"),
    ],
)
def test_global_standard_costs_what_azure_lists(model: str, bucket: str, unit: str, amount: str) -> None:
    found = global_price(Use(model, "GlobalStandard", None, None, bucket, None, None, SNAPSHOT_AT))
    assert (found["unit"], found["price"]) == (unit, Decimal(amount))


@pytest.mark.parametrize(
    ("size", "quality", "amount"),
    [
        (None, None, "0.04"),
        ("1024x1024", "standard", "0.04"),
        ("1024x1024", "hd", "0.08"),
        (None, "hd", "0.08"),
        ("1792x1024", None, "0.08"),
        ("1024x1792", "standard", "0.08"),
        ("1024x1792", "hd", "0.12"),
    ],
)
def test_an_image_costs_what_its_size_and_quality_cost(
    size: str | None, quality: str | None, amount: str
) -> None:
    found = global_price(Use("dall-e-3", "GlobalStandard", None, None, "image", size, quality, SNAPSHOT_AT))
    assert found["price"] == Decimal(amount)


def test_last_years_usage_is_priced_at_last_years_price() -> None:
    before, after = (datetime(2025, month, 1, tzinfo=UTC) for month in (5, 6))
    costs = [
        global_price(Use("o3-2025-04-16", "GlobalStandard", None, None, "output", None, None, at))
        for at in (before, after)
    ]
    assert [cost["price"] * 1_000_000 / PRICE_UNITS[cost["unit"]] for cost in costs] == [40, 8]


def test_a_data_zone_costs_another_price_in_another_zone() -> None:
    costs = [
        global_price(Use("gpt-5.4", "DataZoneStandard", region, None, "input", None, None, SNAPSHOT_AT))
        for region in ("westeurope", "japaneast", None)
    ]
    assert [cost["price"] for cost in costs] == [Decimal("2.75"), Decimal(3), None]
    assert costs[2]["reason"] == "region_unknown"


def test_a_provisioned_unit_has_an_hourly_price() -> None:
    use = Use(
        "gpt-4o-2024-08-06", "GlobalProvisionedManaged", None, None, "provisioned", None, None, SNAPSHOT_AT
    )
    assert global_price(use)["price"] == 1


def test_a_model_that_nobody_lists_has_no_price() -> None:
    use = Use("gpt-4.1-ultra-2027-01-01", "GlobalStandard", None, None, "input", None, None, SNAPSHOT_AT)
    assert global_price(use) == {
        "price_id": None, "price": None, "unit": None, "currency": None, "reason": "no_price"
    }  # fmt: skip


def test_ids_are_unique_and_sources_name_package_version_and_meter() -> None:
    rows = shipped()
    assert rows["price_id"].n_unique() == rows.height
    assert rows["source"].str.contains(r"^(azure-genai-prices|genai-prices) \d+\.\d+\.\d+: .+").all()
    assert rows.filter(pl.col("is_override") | (pl.col("price") <= 0)).is_empty()
    assert "retail:gpt-4o-2024-08-06:GlobalStandard:*:input:2024-08-01" in rows["price_id"]


def global_price(use: Use) -> dict[str, Any]:
    return matches([use], shipped()).to_dicts()[0]
