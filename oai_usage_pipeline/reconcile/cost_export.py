"""Reads cost exports of Cost Management: what Azure charged for each meter and day.

Belongs here: the rows of the file, strictly, and what is the same charge in two files. Which model a
meter is for is a matter of `names`, comparing one of `costs`.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from io import StringIO
from pathlib import Path

import polars as pl

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reconcile.cost_columns import CostColumns
from oai_usage_pipeline.reconcile.text import file_text
from oai_usage_pipeline.tables import MONEY

THEIR_COSTS = {
    "usage_date": pl.Date(),
    "meter": pl.String(),
    "token_count": pl.Int64(),
    "cost": MONEY,
    "currency": pl.String(),
}

BLOCKS = {"1": 1, "1K": 1_000, "1M": 1_000_000}

_NUMBER = re.compile(r"[+-]?(\d{1,18}(\.\d{1,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?", re.ASCII)
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})( .*)?", re.ASCII)
_LARGEST = Decimal(10) ** 15


@dataclass
class _Charge:
    tokens: Decimal | None = None
    cost: Decimal = Decimal(0)


_Key = tuple[str, str, date, str]
"""Resource, meter, day, currency."""


@dataclass
class _Export:
    file: Path
    charges: dict[_Key, _Charge] = field(default_factory=lambda: defaultdict(_Charge))

    @property
    def reach(self) -> date:
        """The last day that the export holds."""
        return max((key[2] for key in self.charges), default=date.min)


@dataclass(frozen=True)
class CostExport:
    """What Azure charged for Azure OpenAI.

    `rows` has the columns `THEIR_COSTS`: the tokens of a meter that counts tokens (null for others) and
    the cost, by day, meter and currency. `last_date` may still grow.
    """

    rows: pl.DataFrame
    last_date: date | None


def read_cost_exports(files: Sequence[Path]) -> CostExport:
    """Read exports in any order. Of a charge in several of them, the one that reaches further counts.

    A charge is a resource, meter, day and currency: exports of a month to date repeat each other, and the
    later one is the better one. Raises ConfigurationError naming the file when it is no export, and when
    two that reach equally far disagree on a charge: they may be parts of one export, to be joined first.
    """
    with localcontext(prec=60):
        exports = [_read(file) for file in files]
        charges: dict[_Key, tuple[_Charge, _Export]] = {}
        for export in exports:
            for key, charge in export.charges.items():
                charges[key] = _better(key, (charge, export), charges.get(key))
        rows = _rows({key: charge for key, (charge, _) in charges.items()})
    return CostExport(rows, max((each.reach for each in exports if each.charges), default=None))


def _better(
    key: _Key, new: tuple[_Charge, _Export], old: tuple[_Charge, _Export] | None
) -> tuple[_Charge, _Export]:
    if old is None or new[1].reach > old[1].reach:
        return new
    if new[1].reach == old[1].reach and new[0] != old[0]:
        raise ConfigurationError(
            f"{old[1].file} and {new[1].file} both end on {new[1].reach} and disagree on the meter "
            f"{key[1]!r} of {key[2]}: {old[0].cost} and {new[0].cost} {key[3]}. Keep the newer one, or join "
            "them if they are parts of one export"
        )
    return old


def _read(file: Path) -> _Export:
    export = _Export(file)
    rows = _csv(file)
    _, header = next(rows)
    columns = CostColumns(file, header)
    for line, row in rows:
        if len(row) != columns.width:
            raise ConfigurationError(
                f"{file}, line {line}: {len(row)} values, but {columns.width} columns: is the file cut off?"
            )
        if columns.is_openai(row) and columns.value(row, "charge").lower() in ("", "usage"):
            _add(export, columns, row, f"{file}, line {line}")
    if not export.charges:
        raise ConfigurationError(
            f"{file} holds no usage of Azure OpenAI: expected are rows whose meter category or subcategory "
            "contains `OpenAI`"
        )
    return export


def _csv(file: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(StringIO(file_text(file), newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise ConfigurationError(f"{file}, line {reader.line_num}: not readable as CSV ({error})") from None


def _add(export: _Export, columns: CostColumns, row: Sequence[str], where: str) -> None:
    meter, currency = columns.value(row, "meter"), columns.value(row, "currency").upper()
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise ConfigurationError(f"{where}: the currency is no code of three letters")
    day = _date(columns.value(row, "date"), where)
    charge = export.charges[columns.value(row, "resource").lower(), meter, day, currency]
    cost = _number(columns.value(row, "cost"), "cost", where)
    charge.cost += cost
    if meter.lower().rstrip().endswith("tokens"):
        quantity = _number(columns.value(row, "quantity"), "quantity", where)
        block = _block(columns.value(row, "unit"), where)
        price = columns.value(row, "unit_price")
        if price and _counts_single(quantity, cost, _number(price, "unit price", where), block):
            block = 1
        charge.tokens = (charge.tokens or Decimal(0)) + quantity * block


def _counts_single(quantity: Decimal, cost: Decimal, unit_price: Decimal, block: int) -> bool:
    """Whether the quantity counts tokens although its unit is a thousand of them, or a million.

    The row's own arithmetic tells: quantity x price per unit is the cost, or too large by the block.
    Discounts and exchange rates move it by far less; the limit lies half-way between, in magnitude.
    """
    expected = abs(quantity * unit_price)
    return block > 1 and expected > 0 and cost != 0 and abs(cost) < expected / Decimal(block).sqrt()


def _block(unit: str, where: str) -> int:
    plain = unit.upper().removesuffix("TOKENS").replace(" ", "").replace(",", "")
    plain = {"1000": "1K", "1000000": "1M", "K": "1K", "M": "1M", "": "1"}.get(plain, plain)
    if plain not in BLOCKS:
        raise ConfigurationError(f"{where}: tokens in the unit {unit[:40]!r}; known are {', '.join(BLOCKS)}")
    return BLOCKS[plain]


def _number(text: str, what: str, where: str) -> Decimal:
    if not _NUMBER.fullmatch(text) or abs(number := Decimal(text)) >= _LARGEST:
        raise ConfigurationError(
            f"{where}: the {what} is no number such as 1234.56, with a point and below 10^15: {text[:40]!r}"
        )
    return number


def _date(text: str, where: str) -> date:
    try:
        if found := _US_DATE.fullmatch(text):
            month, day, year = (int(each) for each in found.groups()[:3])
            return date(year, month, day)
        moment = datetime.fromisoformat(text)
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{where}: the date {text[:40]!r} is neither 2026-03-31 nor 03/31/2026 (month first)"
        ) from None


def _rows(charges: dict[_Key, _Charge]) -> pl.DataFrame:
    sums: dict[tuple[date, str, str], _Charge] = defaultdict(_Charge)
    for (_, meter, day, currency), charge in charges.items():
        into = sums[day, meter, currency]
        into.cost += charge.cost
        if charge.tokens is not None:
            into.tokens = (into.tokens or Decimal(0)) + charge.tokens
    smallest = Decimal(1).scaleb(-12)
    rows = []
    for (day, meter, currency), charge in sums.items():
        tokens = None if charge.tokens is None else int(charge.tokens.to_integral_value())
        if tokens is not None and abs(tokens) >= 2**63:
            raise ConfigurationError(f"{meter!r} of {day}: more tokens than can be counted")
        rows.append((day, meter, tokens, charge.cost.quantize(smallest, ROUND_HALF_EVEN), currency))
    return pl.DataFrame(rows, schema=THEIR_COSTS, orient="row").sort("usage_date", "meter", "currency")
