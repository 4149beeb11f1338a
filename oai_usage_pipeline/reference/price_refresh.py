"""`prices.retail.csv` brought up to date with Azure's retail price list of now, its history kept.

Belongs here: the order of the steps, and that the file is replaced whole or not at all. Fetching, reading
meters and merging belong in `retail_prices`, `retail_offers` and `price_history`.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reference.price_history import Merged, merge
from oai_usage_pipeline.reference.price_list import Price, PriceRow, as_csv, read_prices
from oai_usage_pipeline.reference.prices import FILE, RETAIL_FILE, SHIPPED, retail_path, retail_prices
from oai_usage_pipeline.reference.retail_offers import SOURCE, Offers, offers
from oai_usage_pipeline.reference.retail_prices import URL, Progress, retail_items

_FIRST_LINE = (
    f"# Made by `oai-usage prices refresh` from the {SOURCE}: prices of your own belong in {FILE}.\n"
)


@dataclass(frozen=True)
class Refreshed:
    """The file, what became of its prices, and the meters that gave none."""

    path: Path
    merged: Merged
    offers: Offers


def refresh_prices(
    folder: Path,
    currency: str | None = None,
    url: str = URL,
    progress: Progress = lambda _pages, _lines: None,
    pause: Callable[[float], object] = time.sleep,
) -> Refreshed:
    """Fetch the list, merge it with the retail prices in force, replace `prices.retail.csv`.

    The currency is the file's, or else that of the user's own prices, or USD. A first file begins with the
    shipped prices, if they are in its currency. Raises RetailPricesUnavailable or ConfigurationError, and
    then the file is as it was.
    """
    # Step 1: everything that can be wrong here is found before Azure is asked.
    currency = currency or known_currency(folder)
    earlier = _earlier(folder, currency)
    # Step 2.
    found = offers(retail_items(currency, url, progress, pause), currency, SOURCE)
    merged = merge(earlier, found.prices)
    # Step 3.
    path = folder / RETAIL_FILE
    _replace(path, _FIRST_LINE + as_csv(merged.prices))
    return Refreshed(path, merged, found)


def known_currency(folder: Path) -> str:
    """The currency of the folder's refreshed prices, or of the user's own, or USD."""
    if (folder / RETAIL_FILE).exists():
        prices = retail_prices(folder / RETAIL_FILE)
        if prices:
            return prices[0].currency
    own = read_prices(folder / FILE, PriceRow) if (folder / FILE).exists() else []
    return own[0][1].currency if own else "USD"


def _earlier(folder: Path, currency: str) -> list[Price]:
    path = retail_path(folder)
    prices = retail_prices(path)
    if not prices or prices[0].currency == currency:
        return prices
    if path == SHIPPED:
        return []
    raise ConfigurationError(
        f"{path} is in {prices[0].currency}, not in {currency}: a lake keeps one currency. Leave --currency "
        f"out to go on in {prices[0].currency}, or move the file away to begin anew in {currency}"
    )


def _replace(path: Path, text: str) -> None:
    """Another process reads the old file or the new one, never a part; so does this one after a crash."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)  # mkstemp's own mode would hide the file from the pipeline's user
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}. It is as it was") from None
