"""Azure's retail price list made into prices of ours, at one moment: meter by meter, region by region.

Belongs here: which of our prices the meters mean, and that one price in every region is one row. Reading a
meter's name is for `meters`, what became of earlier prices for `price_history`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from oai_usage_pipeline.reference.meters import Meter, NotOurs, NotUnderstood, read_meter
from oai_usage_pipeline.reference.price_list import ANYWHERE, Price, is_too_fine

SOURCE = "Azure Retail Prices API"
"""How the `source` of a fetched price begins."""


@dataclass(frozen=True)
class Item:
    """A line of Azure's list: a meter's price in one region, in force since an instant (UTC).

    `exclusion` says why the line can't be a price of ours, where more than the meter's name tells it.
    """

    meter_name: str
    unit_of_measure: str
    region: str
    retail_price: Decimal
    effective_at: datetime
    exclusion: str | None = None


@dataclass
class Offers:
    """Prices, and the meters that gave none: reason -> names."""

    prices: list[Price] = field(default_factory=list)
    left_out: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    not_understood: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def offers(items: Iterable[Item], currency: str, source: str) -> Offers:
    """The prices of a list, `*` where all its regions have one; of contradicting ones none.

    `source` is put before each meter's name. Prices that follow each other in a region end one another.
    """
    found = Offers()
    by_subject: dict[tuple[str | None, ...], list[Price]] = defaultdict(list)
    for item in items:
        try:
            meter = read_meter(item.meter_name, item.unit_of_measure)
            if item.exclusion or item.retail_price <= 0:
                raise NotOurs(item.exclusion or "the price is 0")
            unit, amount = _exact(item.retail_price / meter.amount, meter.unit)
        except NotUnderstood as error:
            found.not_understood[str(error)].add(item.meter_name)
        except NotOurs as error:
            found.left_out[str(error)].add(item.meter_name)
        else:
            for price in _prices(meter, item, unit, amount, currency, source):
                by_subject[price.subject].append(price)
    for prices in by_subject.values():
        found.prices += _everywhere(_by_region(prices, found))
    return found


def _exact(amount: Decimal, unit: str) -> tuple[str, Decimal]:
    """The unit and its price, by 1M tokens where 1K tokens cost less than can be written exactly."""
    if is_too_fine(amount) and unit == "1K tokens":
        unit, amount = "1M tokens", amount * 1000
    if is_too_fine(amount):
        raise NotUnderstood("the price has more digits than can be kept")
    return unit, amount


def _prices(
    meter: Meter, item: Item, unit: str, amount: Decimal, currency: str, source: str
) -> Iterable[Price]:
    for model in meter.models:
        for bucket in meter.buckets:
            for size in meter.sizes:
                yield Price(
                    model=model,
                    deployment_type=meter.deployment_type,
                    region=item.region.replace(" ", "").lower() or ANYWHERE,
                    service_tier=meter.service_tier,
                    bucket=bucket,
                    image_size=size,
                    image_quality=meter.image_quality,
                    unit=unit,
                    price=amount,
                    currency=currency,
                    valid_from=item.effective_at.astimezone(UTC),
                    valid_to=None,
                    source=f"{source}: {item.meter_name}",
                )


def _by_region(prices: list[Price], found: Offers) -> dict[str, list[Price]]:
    """Region -> its prices one after the other; an amount that doesn't change keeps its first day."""
    regions: dict[str, list[Price]] = defaultdict(list)
    for price in sorted(prices, key=lambda price: (price.region, str(price.valid_from), price.source or "")):
        earlier = regions[price.region]
        if not earlier or earlier[-1].is_same_amount_as != price.is_same_amount_as:
            earlier.append(price)
    for region, chain in list(regions.items()):
        if len({price.valid_from for price in chain}) < len(chain):
            names = {(price.source or "").rpartition(": ")[2] for price in chain}
            found.not_understood["several meters contradict each other"] |= names
            del regions[region]
    return {region: _chained(chain) for region, chain in regions.items()}


def _chained(chain: list[Price]) -> list[Price]:
    ends = [price.valid_from for price in chain[1:]] + [None]
    return [replace(price, valid_to=end) for price, end in zip(chain, ends, strict=True)]


def _everywhere(regions: dict[str, list[Price]]) -> list[Price]:
    """One row with `*` where every region has one and the same amount, else all as they are."""
    alike = {(len(chain), chain[0].is_same_amount_as) for chain in regions.values()}
    if len(alike) == 1 and alike.pop()[0] == 1:
        first = min((chain[0] for chain in regions.values()), key=lambda price: str(price.valid_from))
        return [replace(first, region=ANYWHERE)]
    return [_sourced(price, regions) for chain in regions.values() for price in chain]


def _sourced(price: Price, regions: dict[str, list[Price]]) -> Price:
    """Name the same meter for the same amount, so that regions share a line of the file."""
    same = [
        other.source or ""
        for chain in regions.values()
        for other in chain
        if other.is_same_amount_as == price.is_same_amount_as
    ]
    return replace(price, source=min(same))
