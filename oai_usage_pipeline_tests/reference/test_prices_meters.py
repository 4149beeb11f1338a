"""Names of meters as Azure's price list has them, and what they are taken for."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from oai_usage_pipeline.reference.meters import NotOurs, NotUnderstood, read_meter
from oai_usage_pipeline.reference.retail_offers import Item, offers

DAY = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "model", "kind", "tier", "bucket"),
    [
        ("gpt-4o-mini-0718-Inp-glbl Tokens", "gpt-4o-mini-2024-07-18", "GlobalStandard", None, "input"),
        ("gpt 4o mini0718 BatchOutp DataZone Tokens", "gpt-4o-mini-2024-07-18", "DataZoneBatch", None,
         "output"),
        ("gpt-35-turbo16K-0125 Inp-glbl Tokens", "gpt-35-turbo-0125", "GlobalStandard", None, "input"),
        ("gpt 4.1 nano cached Inp regnl Tokens", "gpt-4.1-nano", "Standard", None, "cached_input"),
        ("4.1 mini pp Opt Dz Tokens", "gpt-4.1-mini", "DataZoneStandard", "priority", "output"),
        ("gpt 5 pro inp glbl Tokens", "gpt-5-pro", "GlobalStandard", None, "input"),
        ("5 pp inp Gl 1M Tokens", "gpt-5", "GlobalStandard", "priority", "input"),
        ("GPT 5 Mini Batch Inpt cchd Dzone 1M Tokens", "gpt-5-mini", "DataZoneBatch", None, "cached_input"),
        ("5.6 luna ShortCo Cd Inp Std DZ 1M Tokens", "gpt-5.6-luna", "DataZoneStandard", None,
         "cached_input"),
        ("text-embedding-3-small-regional Tokens", "text-embedding-3-small", "Standard", None, "input"),
        ("gpt4omini-aud1217 Inp glbl Tokens", "gpt-4o-mini-audio-preview-2024-12-17", "GlobalStandard", None,
         "audio_input"),
        ("gpt4omini-aud1217-txt Inp glbl Tokens", "gpt-4o-mini-audio-preview-2024-12-17", "GlobalStandard",
         None, "input"),
        ("gpt-4o-rt-aud-0603 Outp DZone Tokens", "gpt-4o-realtime-preview-2025-06-03", "DataZoneStandard",
         None, "audio_output"),
        ("gpt img 1.5 in img DZ 1M Tokens", "gpt-image-1.5", "DataZoneStandard", None, "image_input"),
        ("o3-deep research 0626-out-glbl 1M Tokens", "o3-deep-research-2025-06-26", "GlobalStandard", None,
         "output"),
        ("9.9 nova 0401 inp Gl 1M Tokens", "gpt-9.9-nova-20??-04-01", "GlobalStandard", None, "input"),
    ],
)  # fmt: skip
def test_a_meter_is_one_models_price(name: str, model: str, kind: str, tier: str | None, bucket: str) -> None:
    meter = read_meter(name, "1M" if "1M" in name else "1K")
    assert (meter.models[0], meter.deployment_type, meter.service_tier) == (model, kind, tier)
    assert meter.buckets == (bucket,)
    assert meter.unit == ("1M tokens" if "1M" in name else "1K tokens")


def test_a_meter_without_a_version_is_for_every_dated_version_but_for_no_other_model() -> None:
    assert read_meter("gpt 4.1 Inp glbl Tokens", "1K").models == ("gpt-4.1", "gpt-4.1-20??-??-??")


@pytest.mark.parametrize(
    ("name", "unit", "reason"),
    [
        ("gpt-4.1-ft input global Tokens", "1K", "fine-tuned"),
        ("5.4 longco inp Gl 1M Tokens", "1M", "long prompts"),
        ("5.6 sol ShortCo Cd Wr Std Gl 1M Tokens", "1M", "writing to the prompt cache"),
        ("gpt rt aud 0828 cchd Inp glbl Tokens", "1K", "cached audio is no bucket"),
        ("Sora 2 glbl Second", "1", "video"),
        ("Provisioned Throughput Units", "1/Month", "provisioned throughput of the first kind"),
        ("Provisioned Managed Global Unit", "1/Month", "provisioned throughput by 1/Month"),
        ("gpt-realtime-whisper Opt Gl Unit", "1 Hour", "charged by 1 Hour"),
    ],
)
def test_what_is_no_price_of_ours_says_why(name: str, unit: str, reason: str) -> None:
    with pytest.raises(NotOurs, match=reason):
        read_meter(name, unit)


@pytest.mark.parametrize(
    ("name", "unit", "reason"),
    [
        ("gpt 7 Inp Tokens", "1K", "whether it is global"),
        ("gpt 7 glbl Tokens", "1K", "for input or for output"),
        ("Inp glbl Tokens", "1K", "names no model"),
        ("Image-Dall-E-3 Ultra HighRes-glbl Images", "100", "unknown size or quality"),
        ("Speech-to-Text-Whisper-glbl Unit", "1", "speech by 1"),
    ],
)
def test_what_nobody_taught_us_is_told_apart_from_what_is_left_out(name: str, unit: str, reason: str) -> None:
    with pytest.raises(NotUnderstood, match=reason):
        read_meter(name, unit)


def item(region: str, price: str, name: str = "gpt 4.1 Inp Data Zone Tokens", at: datetime = DAY) -> Item:
    return Item(name, "1K", region, Decimal(price), at)


def test_one_price_in_every_region_is_one_row() -> None:
    found = offers(
        [item("eastus", "0.002"), item("West Europe", "0.0020", at=datetime(2025, 4, 1, tzinfo=UTC))],
        "USD",
        "s",
    )
    assert [(each.model, each.region, each.valid_from) for each in found.prices] == [
        ("gpt-4.1", "*", datetime(2025, 4, 1, tzinfo=UTC)),
        ("gpt-4.1-20??-??-??", "*", datetime(2025, 4, 1, tzinfo=UTC)),
    ]


def test_prices_that_differ_keep_their_regions() -> None:
    found = offers([item("eastus", "0.002"), item("West Europe", "0.003")], "USD", "s")
    assert {(each.region, each.price) for each in found.prices} == {
        ("eastus", Decimal("0.002")),
        ("westeurope", Decimal("0.003")),
    }


def test_two_meters_that_contradict_each_other_give_no_price_and_are_named() -> None:
    one, other = "o1 Batch Inp glbl Tokens", "o1 1217 Batch Inp glbl Tokens"
    found = offers([item("eastus", "0.0075", one), item("eastus", "0.008", other)], "USD", "s")
    assert "o1" not in {each.model for each in found.prices}
    assert found.not_understood == {"several meters contradict each other": {one, other}}


def test_a_price_with_too_many_digits_is_kept_by_the_million_or_named() -> None:
    found = offers([item("eastus", "0.0000000000015")], "EUR", "s")
    assert {(each.unit, each.price) for each in found.prices} == {("1M tokens", Decimal("0.0000000015"))}
    found = offers([item("eastus", "0.0000000000000015")], "EUR", "s")
    assert found.prices == []
    assert list(found.not_understood) == ["the price has more digits than can be kept"]


def test_hundred_images_are_priced_by_the_image() -> None:
    images = Item("Image-Dall-E-3 HD HighRes-glbl Images", "100", "eastus", Decimal("12.0"), DAY)
    found = offers([images], "USD", "s")
    assert {(each.image_size, each.image_quality, each.unit, each.price) for each in found.prices} == {
        ("1024x1792", "hd", "image", Decimal("0.12")),
        ("1792x1024", "hd", "image", Decimal("0.12")),
    }
