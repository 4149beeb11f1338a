"""Which row of `prices` holds for a use: one, or none with the reason.

Belongs here: the rules of precedence. What a match costs is for `pricing`.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import translate
from typing import Any

import polars as pl

from oai_usage_pipeline.charge.deployments import ANY, WILDCARDS
from oai_usage_pipeline.charge.periods import Row, holds
from oai_usage_pipeline.tables import MONEY, PRICE_UNITS

UNIT_KINDS = {
    "audio_duration": ("second", "minute", "hour"),
    "image": ("image",),
    "character": ("1K characters", "1M characters"),
    "provisioned": ("PTU hour",),
}
"""The units that a bucket's prices may have, where they aren't tokens."""

_TOKEN_UNITS = tuple(unit for unit in PRICE_UNITS if unit.endswith("tokens"))

MATCH_COLUMNS = {
    "price_id": pl.String(),
    "price": MONEY,
    "unit": pl.String(),
    "currency": pl.String(),
    "reason": pl.String(),
}


@dataclass(frozen=True)
class Use:
    """All that a price depends on; `at` is the instant whose prices hold."""

    model: str | None
    deployment_type: str | None
    region: str | None
    service_tier: str | None
    bucket: str
    image_size: str | None
    image_quality: str | None
    at: datetime


@dataclass(frozen=True)
class Match:
    """The price that holds, or None and why."""

    price: Row | None
    reason: str | None

    @property
    def values(self) -> tuple[Any, ...]:
        """The values of `MATCH_COLUMNS`."""
        row = self.price or {}
        return (*(row.get(name) for name in ("price_id", "price", "unit", "currency")), self.reason)


class PriceList:
    """Rows of `prices`, ready to be asked many times."""

    def __init__(self, prices: pl.DataFrame) -> None:
        models = {model: re.compile(translate(model.lower())) for model in prices["model"].unique()}
        self._shelves: dict[tuple[Any, ...], list[tuple[re.Pattern[str], Row]]] = defaultdict(list)
        for row in prices.iter_rows(named=True):
            shelf = row["deployment_type"], row["service_tier"], row["bucket"]
            self._shelves[shelf].append((models[row["model"]], row))
        self._of_model: dict[tuple[Any, ...], list[Row]] = {}

    def match(self, use: Use) -> Match:
        """The price that holds for a use.

        A user's own price goes before a shipped one, a region before `*`, a model's name before a
        pattern, a longer pattern before a shorter, a given image size and quality before none. Two
        that are equal in all of it are no price: `price_ambiguous`, never a silent choice.
        """
        if use.bucket == "unsplit":
            return Match(None, "no_split")
        if use.model is None:
            return Match(None, "model_unknown")
        if use.deployment_type is None:
            return Match(None, "deployment_type_unknown")
        anywhere = [row for row in self._candidates(use) if holds(row, use.at) and _is_image(row, use)]
        fitting = [row for row in anywhere if _is_region(row, use.region)]
        if not fitting:
            return Match(None, "region_unknown" if anywhere and use.region is None else "no_price")
        return _best(fitting)

    def _candidates(self, use: Use) -> list[Row]:
        key = use.deployment_type, use.service_tier, use.bucket, use.model
        if key not in self._of_model:
            model = (use.model or "").lower()
            shelf = self._shelves.get(key[:3], [])
            self._of_model[key] = [row for pattern, row in shelf if pattern.match(model)]
        return self._of_model[key]


def matches(uses: Sequence[Use], prices: pl.DataFrame) -> pl.DataFrame:
    """For each use the values of `MATCH_COLUMNS`, in order; where there is no price only `reason`."""
    types, buckets = ({getattr(use, name) for use in uses} for name in ("deployment_type", "bucket"))
    # Of some ten thousand rows a day's uses need a few hundred.
    needed = pl.col("deployment_type").is_in(types - {None}) & pl.col("bucket").is_in(buckets)
    known = PriceList(prices.filter(needed))
    return pl.DataFrame([known.match(use).values for use in uses], schema=MATCH_COLUMNS, orient="row")


def _best(fitting: list[Row]) -> Match:
    ranked = sorted(fitting, key=_rank)
    if len(ranked) > 1 and _rank(ranked[0]) == _rank(ranked[1]):
        return Match(None, "price_ambiguous")
    best = ranked[0]
    if best["unit"] not in UNIT_KINDS.get(best["bucket"], _TOKEN_UNITS):
        # A price by another unit would be wrong by orders of magnitude.
        return Match(None, "price_unit_wrong")
    return Match(best, None)


def _rank(row: Row) -> tuple[object, ...]:
    pattern = row["model"]
    return (
        not row["is_override"],
        row["region"] == ANY,
        any(sign in pattern for sign in WILDCARDS),
        -len(pattern),
        row["image_size"] is None,
        row["image_quality"] is None,
    )


def _is_region(row: Row, region: str | None) -> bool:
    return bool(row["region"] == ANY or (region is not None and _plain(row["region"]) == _plain(region)))


def _plain(region: str) -> str:
    """`West Europe` and `westeurope` are one region: Azure writes both."""
    return region.replace(" ", "").lower()


def _is_image(row: Row, use: Use) -> bool:
    return row["image_size"] in (None, use.image_size) and row["image_quality"] in (None, use.image_quality)
