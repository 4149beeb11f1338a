"""Makes the shipped prices anew: `python -m oai_usage_pipeline_tests.reference.build_prices`.

Azure's retail prices as azure-genai-prices carries them, and what genai-prices knows of prices before. Both
are development dependencies: take newer ones, run this, read the difference, commit it.
"""

import json
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib import resources
from importlib.metadata import version

from genai_prices.data import providers
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint

from oai_usage_pipeline.reference.price_list import Price, as_csv
from oai_usage_pipeline.reference.prices import SHIPPED
from oai_usage_pipeline.reference.retail_offers import Item, Offers, offers

RETAIL = f"azure-genai-prices {version('azure-genai-prices')}"
HISTORY = f"genai-prices {version('genai-prices')}"
BUCKETS = {"input": "input_mtok", "cached_input": "cache_read_mtok", "output": "output_mtok"}


def snapshot() -> list[Item]:
    """The lines of Azure's list that are about Azure OpenAI, as the package's release carries them."""
    text = resources.files("azure_genai_prices.data").joinpath("snapshot.json").read_text()
    return [
        Item(
            line["meterName"],
            line["unitOfMeasure"],
            region,
            Decimal(line["retailPrice"]),
            datetime.fromisoformat(line["effectiveStartDate"]),
        )
        for line in json.loads(text, parse_float=Decimal)["items"]
        if line["productName"].startswith("Azure OpenAI")
        for region in line["regions"]
    ]


def shipped_offers() -> Offers:
    return offers(snapshot(), "USD", RETAIL)


def history(current: list[Price]) -> list[Price]:
    """What Global Standard cost before, where OpenAI's price is known to have fallen to today's one.

    Only a change is history: Azure's price today must be the one that genai-prices has since its start date.
    """
    found = []
    for before, since, after in _changes():
        for price in current:
            attribute = BUCKETS.get(price.bucket, "")
            if not _is_meant(price, before[0], since):
                continue
            old, new = getattr(before[1], attribute, None), getattr(after, attribute, None)
            today = price.is_same_amount_as[0] * 1_000_000
            if isinstance(old, Decimal) and isinstance(new, Decimal) and old != new and new == today:
                found.append(_earlier(price, old))
    return found


def _changes() -> list[tuple[tuple[ModelInfo, ModelPrice], date, ModelPrice]]:
    return [
        ((model, before.prices), after.constraint.start_date, after.prices)
        for provider in providers
        if provider.id in {"azure", "openai"}
        for model in provider.models
        if isinstance(model.prices, list)
        for before, after in zip(model.prices, model.prices[1:], strict=False)
        if isinstance(before, ConditionalPrice) and isinstance(after.constraint, StartDateConstraint)
    ]


def _is_meant(price: Price, model: ModelInfo, since: date) -> bool:
    """The price of this model that began in the month of the change: Azure's prices begin on the first."""
    begins = price.valid_from
    return (
        price.deployment_type == "GlobalStandard"
        and price.service_tier is None
        and price.bucket in BUCKETS
        and model.is_match(price.model)
        and begins is not None
        and (begins.year, begins.month) == (since.year, since.month)
        and begins <= datetime.combine(since, time(), UTC)
    )


def _earlier(price: Price, amount: Decimal) -> Price:
    changes = {"price": amount, "unit": "1M tokens", "valid_from": None, "valid_to": price.valid_from}
    return Price(**{**vars(price), **changes, "source": f"{HISTORY}: OpenAI's price before, start unknown"})


def build() -> str:
    """The text of the shipped file."""
    found = shipped_offers()
    if found.not_understood:
        sys.exit(f"Meters that nobody taught us: {dict(found.not_understood)}")
    return as_csv([*found.prices, *history(found.prices)])


if __name__ == "__main__":
    SHIPPED.write_text(build())
    print(f"{SHIPPED}: {len(SHIPPED.read_text().splitlines()):,} lines")  # a maintainer's command
