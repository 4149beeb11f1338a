"""The CSV files that hold prices: one line for a price, which may name several models and regions.

`gpt-4.1|gpt-4.1-20??-??-??` in `model`, `westeurope|swedencentral` in `region`: a list of prices stays short
enough to be read by people. Belongs here: columns, cells, a line taken apart and put together again. Which
files there are and what they may contradict belongs in `prices`.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator

from oai_usage_pipeline.reference.cells import Exact, Text, Validity, one_of, shown_hour
from oai_usage_pipeline.reference.files import read_rows
from oai_usage_pipeline.tables import DEPLOYMENT_TYPES, PRICE_BUCKETS, PRICE_UNITS, PRICES

ANYWHERE = "*"
"""The region of a price that holds in every region."""

OTHER_UNITS = {
    "audio_duration": ("second", "minute", "hour"),
    "image": ("image",),
    "character": ("1K characters", "1M characters"),
    "provisioned": ("PTU hour",),
}
"""Bucket -> the units it can be charged by, where those aren't tokens."""

_TOKEN_UNITS = ("1K tokens", "1M tokens")
_DECIMAL_PLACES = 12
_FINEST = Decimal(1).scaleb(-_DECIMAL_PLACES)
_EXACT = Context(prec=120)
_TOO_LARGE = Decimal(10) ** 12
_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,40})?([eE][+-]?\d{1,2})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_LONGEST_LIST = 4096
_ORDER = ("model", "deployment_type", "service_tier", "bucket", "image_size", "image_quality", "region")


@dataclass(frozen=True)
class Price:
    """One price of one model name or pattern, in one region or `*`; instants are whole hours of UTC."""

    model: str
    deployment_type: str
    region: str
    service_tier: str | None
    bucket: str
    image_size: str | None
    image_quality: str | None
    unit: str
    price: Decimal
    currency: str
    valid_from: datetime | None
    valid_to: datetime | None
    source: str | None

    @property
    def subject(self) -> tuple[str | None, ...]:
        """What the price is for, wherever and whenever."""
        kind = (self.model, self.deployment_type, self.service_tier, self.bucket)
        return (*kind, self.image_size, self.image_quality)

    @property
    def is_same_amount_as(self) -> tuple[Decimal, str]:
        """The price of the smallest unit, so that a price by 1K tokens can equal one by 1M."""
        return self.price / PRICE_UNITS[self.unit], self.currency

    @property
    def name(self) -> str:
        """A stable, readable name: `gpt-4o-2024-08-06:GlobalStandard:*:input:2024-10-01`."""
        details = (self.service_tier, self.image_size, self.image_quality)
        since = shown_hour(self.valid_from).removesuffix("T00:00Z") if self.valid_from else "always"
        parts = (self.model, self.deployment_type, self.region, self.bucket, *details, since)
        return ":".join(part for part in parts if part)


def _names(value: object) -> object:
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_LIST:
        raise ValueError(f"expected at most {_LONGEST_LIST:,} characters, these are {len(value):,}")
    names = [name.strip().lower() for name in value.split("|")]
    if not all(names):
        raise ValueError("expected a name on both sides of each '|'")
    if any(re.search(r"[\s\x00-\x1f]", name) for name in names):
        raise ValueError("expected names without white space, such as westeurope or gpt-4o-2024-08-06")
    if len(set(names)) < len(names):
        raise ValueError("a name stands twice in the list")
    return tuple(names)


def is_too_fine(amount: Decimal) -> bool:
    """Whether an amount has more digits after the point than money keeps."""
    return amount.quantize(_FINEST, context=_EXACT) != amount


def _amount(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _NUMBER.fullmatch(value):
        comma = "; write a point instead of the comma" if "," in value else ""
        raise ValueError(f"expected a number such as 0.0025{comma}; the currency has a column of its own")
    amount = Decimal(value)
    if amount < 0:
        raise ValueError("a price can't be negative")
    if amount >= _TOO_LARGE:
        raise ValueError("expected a price below 10^12")
    if is_too_fine(amount):
        raise ValueError(
            f"has more than {_DECIMAL_PLACES} digits after the point, which can't be kept: give the price "
            "for a larger unit, such as 1M tokens"
        )
    return amount


def _currency(value: str) -> str:
    if not _CURRENCY.fullmatch(value):
        hint = f"; did you mean {value.upper()}?" if _CURRENCY.fullmatch(value.upper()) else ""
        raise ValueError(f"expected the three letters of ISO 4217, such as USD{hint}")
    return value


def _tier(value: str) -> str:
    if value.lower() in {"default", "standard", "auto"}:
        raise ValueError("the default tier has no name: leave it empty")
    return value.lower()


class PriceRow(Validity):
    """A line of a file of prices; `model` and `region` may be lists, separated by `|`."""

    price_id: Exact | None = None
    model: Annotated[tuple[str, ...], BeforeValidator(_names)]
    deployment_type: Annotated[str, one_of(DEPLOYMENT_TYPES)]
    region: Annotated[tuple[str, ...], BeforeValidator(_names)] = (ANYWHERE,)
    service_tier: Annotated[Exact, BeforeValidator(_tier)] | None = None
    bucket: Annotated[str, one_of(PRICE_BUCKETS)]
    image_size: Exact | None = None
    image_quality: Exact | None = None
    unit: Annotated[str, one_of(tuple(PRICE_UNITS))]
    price: Annotated[Decimal, BeforeValidator(_amount)]
    currency: Annotated[str, BeforeValidator(_currency)]
    source: Text | None = None

    @model_validator(mode="after")
    def _unit_fits_the_bucket(self) -> Self:
        fitting = OTHER_UNITS.get(self.bucket, _TOKEN_UNITS)
        if self.unit not in fitting:
            raise ValueError(
                f"unit {self.unit!r} can't be the unit of bucket {self.bucket!r}, which is charged by "
                f"{' or '.join(fitting)}"
            )
        if self.bucket == "provisioned" and not self.deployment_type.endswith("ProvisionedManaged"):
            raise ValueError(f"bucket 'provisioned' is no price of {self.deployment_type} deployments")
        if self.bucket != "image" and (self.image_size or self.image_quality):
            raise ValueError("image_size and image_quality are for bucket 'image' only: leave them empty")
        return self

    def prices(self) -> Iterator[Price]:
        """The line's prices: one for each of its models and regions."""
        own = {name: getattr(self, name) for name in Price.__dataclass_fields__}
        for model in self.model:
            for region in self.region:
                yield Price(**{**own, "model": model, "region": region})


class RetailRow(PriceRow):
    """A line of a list of retail prices: none of them is for nothing."""

    @model_validator(mode="after")
    def _is_not_free(self) -> Self:
        if self.price == 0:
            raise ValueError("a retail price of 0 is none: only prices.csv may say that something is free")
        return self


def read_prices(path: Path, row_model: type[PriceRow]) -> list[tuple[int, PriceRow]]:
    """A file's lines with their numbers; raises ConfigurationError with everything wrong with it."""
    return read_rows(path, PRICES, row_model)


def as_csv(prices: Iterable[Price]) -> str:
    """A file of prices, in few lines and a fixed order: the same prices give the same bytes."""
    regions: dict[Price, list[str]] = defaultdict(list)
    for price in prices:
        regions[replace(price, region="")].append(price.region)
    models: dict[tuple[Price, str], list[str]] = defaultdict(list)
    for price, found in regions.items():
        models[replace(price, model=""), "|".join(sorted(found))].append(price.model)
    lines = [
        {**vars(price), "region": region, "model": "|".join(sorted(found))}
        for (price, region), found in models.items()
    ]
    columns = list(Price.__dataclass_fields__)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    cells = [{column: _cell(line[column]) for column in columns} for line in lines]
    cells.sort(key=lambda cell: [cell[column] for column in (*_ORDER, "valid_from", *columns)])
    writer.writerows([cell[column] for column in columns] for cell in cells)
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return shown_hour(value).removesuffix("T00:00Z")
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
