"""Every price that is known: the retail prices, shipped or refreshed, and the user's own, which win.

Belongs here: which files there are and that they may stand beside each other. A file's lines are for
`price_list`, getting new retail prices for `retail_prices`, what a price is applied to for `charge`.
"""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reference.findings import Finding, refuse
from oai_usage_pipeline.reference.price_conflicts import conflicts
from oai_usage_pipeline.reference.price_list import Price, PriceRow, RetailRow, read_prices
from oai_usage_pipeline.tables import PRICES

FILE = "prices.csv"
RETAIL_FILE = "prices.retail.csv"
SHIPPED = Path(__file__).parent / "shipped" / "prices.csv"

_Lines = list[tuple[int, PriceRow]]

_NOTHING = b"", PRICES.empty()
_READ: dict[Path, tuple[bytes, pl.DataFrame]] = {}
"""File of retail prices -> the digest of its bytes as it was read last, and its rows; only correct ones."""


def price_rows(folder: Path) -> pl.DataFrame:
    """The rows of PRICES: the user's `prices.csv`, then `prices.retail.csv` or else the shipped ones.

    A user's own price is an override (`own:<line>`, or the id that it was given); a retail price is called
    after what it is for and since when (`retail:gpt-4o:GlobalStandard:*:input:2024-10-01`). Ids are unique.
    Raises ConfigurationError with every finding: wrong cells, equally good prices, two currencies.
    """
    retail_file = retail_path(folder)
    retail, own = retail_rows(retail_file), _read(folder / FILE, PriceRow)
    _refuse_two_currencies(retail_file, retail, folder / FILE, own)
    return pl.concat([_frame(_own_rows(folder / FILE, own)), retail])


def retail_rows(path: Path) -> pl.DataFrame:
    """The rows of PRICES of a file of retail prices; one with the same bytes as last time isn't read anew.

    A sensor asks every half minute, and checking some six thousand prices takes a fifth of a second.
    """
    content = _digest(path)
    if content is not None and _READ.get(path, _NOTHING)[0] == content:
        return _READ[path][1]
    rows = _frame(_retail_rows(_read(path, RetailRow)))
    if content is not None and _digest(path) == content:
        _READ[path] = content, rows
    return rows


def retail_path(folder: Path) -> Path:
    """The file of retail prices in force: the folder's, else the one that is shipped."""
    refreshed = folder / RETAIL_FILE
    return refreshed if refreshed.exists() else SHIPPED


def retail_prices(path: Path) -> list[Price]:
    """The prices of a file of retail prices; raises ConfigurationError for what is wrong with it."""
    return [price for _, row in _read(path, RetailRow) for price in row.prices()]


def _read(path: Path, row_model: type[PriceRow]) -> _Lines:
    if not path.exists():
        return []
    lines = read_prices(path, row_model)
    prices = [(line, price) for line, row in lines for price in row.prices()]
    refuse(path, [*conflicts(prices), *_other_currencies(lines), *_same_ids(lines)])
    return lines


def _digest(path: Path) -> bytes | None:
    """None where it can't be read: what is wrong then is told by reading it as a file of prices."""
    try:
        return blake2b(path.read_bytes()).digest()
    except OSError:
        return None


def _frame(rows: Iterator[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=PRICES.schema, orient="row")


def _other_currencies(lines: _Lines) -> Iterator[Finding]:
    for line, row in lines[1:]:
        first = lines[0][1].currency
        if row.currency != first:
            text = f"found {row.currency}, but line {lines[0][0]} has {first}: one lake keeps one currency"
            yield Finding(line, "currency", text)


def _same_ids(lines: _Lines) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for line, row in lines:
        if row.price_id is None:
            continue
        if row.price_id in first:
            text = f"stands in line {first[row.price_id]} too: a price needs a name of its own, or none"
            yield Finding(line, "price_id", text)
        first.setdefault(row.price_id, line)


def _refuse_two_currencies(retail_file: Path, retail: pl.DataFrame, own_file: Path, own: _Lines) -> None:
    if retail.is_empty() or not own or retail["currency"][0] == own[0][1].currency:
        return
    wanted, listed = own[0][1].currency, retail["currency"][0]
    raise ConfigurationError(
        f"{own_file} is in {wanted} and the retail prices of {retail_file.name} in {listed}: sums of both "
        f"would mean nothing. Fetch them in {wanted} (`oai-usage prices refresh --currency {wanted}`), give "
        f"your own in {listed}, or, to use none but your own, put a {RETAIL_FILE} with nothing but its "
        "first line beside it"
    )


def _own_rows(path: Path, lines: _Lines) -> Iterator[dict[str, Any]]:
    for line, row in lines:
        name = row.price_id or f"own:{line}"
        is_list = len(row.model) * len(row.region) > 1
        for price in row.prices():
            price_id = f"{name}:{price.model}:{price.region}" if is_list else name
            source = price.source or f"{path.name}, line {line}"
            yield {**vars(price), "price_id": price_id, "source": source, "is_override": True}


def _retail_rows(lines: _Lines) -> Iterator[dict[str, Any]]:
    for _, row in lines:
        for price in row.prices():
            yield {**vars(price), "price_id": f"retail:{price.name}", "is_override": False}
