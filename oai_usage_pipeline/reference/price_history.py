"""Retail prices over time: a new list beside the prices of before, which end where the new ones begin.

Belongs here: what becomes of earlier prices. A list is the truth since its first day and says nothing of
before; a price that is no longer listed goes on, as usage may still need it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from oai_usage_pipeline.reference.price_list import ANYWHERE, Price

_Regions = dict[str, list[Price]]
_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass
class Merged:
    """All prices, and which of the earlier ones ended, were never right, or are no longer listed."""

    prices: list[Price] = field(default_factory=list)
    added: list[Price] = field(default_factory=list)
    ended: list[Price] = field(default_factory=list)
    corrected: list[Price] = field(default_factory=list)
    unlisted: list[Price] = field(default_factory=list)


def merge(earlier: Iterable[Price], listed: Iterable[Price]) -> Merged:
    """The earlier prices with a new list; a list that says the same again changes nothing.

    An earlier price that the list contradicts from its own first day on is `corrected`: it leaves the
    prices, and is named. All others stay, with an end where a listed one takes over.
    """
    merged = Merged()
    earlier = list(earlier)
    old, new = _by_subject(earlier), _by_subject(listed)
    for subject in {**old, **new}:
        _merge_subject(old.get(subject, {}), new.get(subject, {}), merged)
    known = {price.name for price in earlier}
    merged.added = [price for price in merged.prices if price.name not in known]
    return merged


def _by_subject(prices: Iterable[Price]) -> dict[tuple[str | None, ...], _Regions]:
    found: dict[tuple[str | None, ...], _Regions] = defaultdict(lambda: defaultdict(list))
    for price in sorted(prices, key=_start):
        found[price.subject][price.region].append(price)
    return found


def _merge_subject(old: _Regions, new: _Regions, merged: Merged) -> None:
    kept: _Regions = {}
    if ANYWHERE in old and new and ANYWHERE not in new:
        kept[ANYWHERE], new = _parted(old[ANYWHERE], new, merged)
    for region, chain in old.items():
        truth = new.get(region) or new.get(ANYWHERE, [])
        if truth:
            kept[region] = _keep(chain, _start(truth[0]), truth, merged)
        elif region not in kept:
            merged.unlisted += [price for price in chain if price.valid_to is None]
            kept[region] = chain
    for region in {**kept, **new}:
        _take(kept.get(region, []), new.get(region, []), merged)


def _parted(everywhere: list[Price], new: _Regions, merged: Merged) -> tuple[list[Price], _Regions]:
    """What stays of a price for everywhere now that regions have their own, and these from then on.

    It ended with the first listed price that differs from it. What it was before stays true of all regions.
    """
    listed = [price for chain in new.values() for price in chain]
    last = everywhere[-1]
    differing = [price for price in listed if price.is_same_amount_as != last.is_same_amount_as]
    ends = last.valid_to or min(_start(price) for price in differing or listed)
    kept = _keep(everywhere, ends, listed, merged)
    begins = kept[-1].valid_to if kept else None
    if begins is None:
        return kept, new
    return kept, {region: _since(chain, begins) for region, chain in new.items()}


def _since(chain: list[Price], begins: datetime) -> list[Price]:
    """What of these prices holds after an instant."""
    return [
        price if _start(price) >= begins else replace(price, valid_from=begins)
        for price in chain
        if price.valid_to is None or price.valid_to > begins
    ]


def _keep(chain: list[Price], ends: datetime, truth: list[Price], merged: Merged) -> list[Price]:
    """What of earlier prices stays: the time before the list knows better."""
    kept = []
    amounts = {price.is_same_amount_as for price in truth}
    for price in chain:
        if price.valid_to is not None and price.valid_to <= ends:
            kept.append(price)
        elif _start(price) < ends:
            kept.append(replace(price, valid_to=ends))
            if price.is_same_amount_as not in amounts:
                merged.ended.append(kept[-1])
        elif price.is_same_amount_as not in amounts:
            merged.corrected.append(price)
    return kept


def _take(kept: list[Price], chain: list[Price], merged: Merged) -> None:
    """Add the listed prices; one that only goes on is the earlier one still, under its own name."""
    if kept and chain and _goes_on(kept[-1], chain[0]):
        kept = [*kept[:-1], replace(kept[-1], valid_to=chain[0].valid_to)]
        chain = chain[1:]
    merged.prices += kept + chain


def _goes_on(earlier: Price, later: Price) -> bool:
    return earlier.valid_to == later.valid_from and earlier.is_same_amount_as == later.is_same_amount_as


def _start(price: Price) -> datetime:
    return price.valid_from or _FIRST
