"""Azure's retail price list, asked of the Azure Retail Prices API page by page. It needs no account.

Belongs here: the requests, their deadlines, and what is no answer. The lines' meaning: `retail_offers`.
The API: https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices
"""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from urllib.parse import urlsplit

import requests
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from oai_usage_pipeline.errors import ConfigurationError, PipelineError
from oai_usage_pipeline.reference.retail_offers import Item

URL = "https://prices.azure.com/api/retail/prices"
FILTER = "contains(productName, 'Azure OpenAI') and priceType eq 'Consumption'"
"""By product: the service was renamed (Cognitive Services, Foundry Models), and an old name finds nothing."""

_VERSION = "2023-01-01-preview"
_MOST_PAGES = 500
_ATTEMPTS = 6
_ATTEMPTS_TO_REACH = 3
_LONGEST_PAUSE = 60.0
_DEADLINE = 900.0
_TIMEOUTS = (10.0, 60.0)
_LATER = {429, 500, 502, 503, 504}

Progress = Callable[[int, int], object]
"""Told the pages and lines that are there so far."""


class RetailPricesUnavailable(PipelineError):
    """The Azure Retail Prices API can't be reached, or answers with what is no price list."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    currencyCode: str  # noqa: N815 - Azure's own name
    tierMinimumUnits: Decimal = Decimal(0)  # noqa: N815 - Azure's own name
    retailPrice: Annotated[Decimal, Field(ge=0, lt=10**12, allow_inf_nan=False)]  # noqa: N815 - Azure's own name
    armRegionName: str = ""  # noqa: N815 - Azure's own name
    effectiveStartDate: AwareDatetime  # noqa: N815 - Azure's own name
    meterName: str  # noqa: N815 - Azure's own name
    unitOfMeasure: str  # noqa: N815 - Azure's own name
    type: str = "Consumption"


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    Items: list[_Line]
    NextPageLink: str | None = None


def retail_items(
    currency: str,
    url: str = URL,
    progress: Progress = lambda _pages, _lines: None,
    pause: Callable[[float], object] = time.sleep,
) -> list[Item]:
    """Every line of the list about Azure OpenAI, in `currency`.

    Waits and asks again, a few times for each page and for 15 minutes in all, when told to (429) or when
    the API fails or can't be reached. Raises RetailPricesUnavailable, also for an empty list.
    """
    _refuse_other_schemes(url)
    items: list[Item] = []
    for number, page in enumerate(_pages(url, currency, pause), 1):
        items += [_item(line, currency) for line in page.Items]
        progress(number, len(items))
    if not items:
        raise RetailPricesUnavailable(
            f"{_host(url)} knows no price of Azure OpenAI in {currency}: is the currency one that Azure has, "
            "and the address right? The retail prices stay as they were"
        )
    return items


def _pages(url: str, currency: str, pause: Callable[[float], object]) -> Iterator[_Page]:
    parameters = {"api-version": _VERSION, "currencyCode": f"'{currency}'", "$filter": FILTER}
    next_url: str | None = requests.Request("GET", url, params=parameters).prepare().url
    seen: set[str] = set()
    deadline = time.monotonic() + _DEADLINE
    with requests.Session() as session:
        while next_url:
            if next_url in seen or len(seen) >= _MOST_PAGES:
                raise RetailPricesUnavailable(f"{_host(url)} leads in a circle after {len(seen)} pages")
            seen.add(next_url)
            page = _page(_answer(session, next_url, deadline, pause), url)
            yield page
            next_url = _same_host(page.NextPageLink, url) if page.NextPageLink else None


def _answer(
    session: requests.Session, url: str, deadline: float, pause: Callable[[float], object]
) -> requests.Response:
    """Step 1: ask. Step 2: take what is an answer. Step 3: wait as told, within bounds."""
    for attempt in range(1, _ATTEMPTS + 1):
        # Step 1.
        answer, problem = _asked(session, url)
        # Step 2.
        if answer is not None and answer.status_code == requests.codes.ok:
            return answer
        if answer is not None and answer.status_code not in _LATER:
            break
        # Step 3.
        wait = _wait(answer, attempt)
        if (
            attempt == (_ATTEMPTS_TO_REACH if answer is None else _ATTEMPTS)
            or time.monotonic() + wait > deadline
        ):
            break
        pause(wait)
    raise RetailPricesUnavailable(
        f"{_host(url)} {problem}: check the network and the address, and try again later. "
        "The retail prices stay as they were"
    )


def _asked(session: requests.Session, url: str) -> tuple[requests.Response | None, str]:
    try:
        answer = session.get(url, timeout=_TIMEOUTS)
    except requests.RequestException as error:
        return None, f"can't be reached ({type(error).__name__})"
    return answer, f"answered {answer.status_code}, expected 200"


def _wait(answer: requests.Response | None, attempt: int) -> float:
    """Seconds: as the answer asks for, else doubling; bounded."""
    asked = "" if answer is None else answer.headers.get("Retry-After", "")
    return min(float(asked) if asked.isdecimal() else 2.0**attempt, _LONGEST_PAUSE)


def _page(answer: requests.Response, url: str) -> _Page:
    try:
        # Decimal from the digits as they came: a float would change some of them.
        return _Page.model_validate(json.loads(answer.content, parse_float=Decimal))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        what = f"{where}: {first['msg'].lower()}"
    except (ValueError, RecursionError):
        what = "it is no JSON"
    raise RetailPricesUnavailable(
        f"{_host(url)} answered with what is no price list ({what}): is a proxy in between? "
        "The retail prices stay as they were"
    )


def _item(line: _Line, currency: str) -> Item:
    if line.currencyCode != currency:
        raise RetailPricesUnavailable(
            f"A price came in {line.currencyCode[:3]!r} where {currency} was asked for: Azure may not sell "
            f"in {currency}. The retail prices stay as they were"
        )
    exclusion = "reservations" if line.type != "Consumption" else None
    if line.tierMinimumUnits:
        exclusion = "prices from a minimum quantity on"
    begins = line.effectiveStartDate.astimezone(UTC)
    return Item(
        line.meterName,
        line.unitOfMeasure,
        line.armRegionName,
        line.retailPrice,
        datetime(begins.year, begins.month, begins.day, begins.hour, tzinfo=UTC),
        exclusion,
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _same_host(link: str, url: str) -> str:
    there, here = urlsplit(link), urlsplit(url)
    if (there.scheme, there.hostname) != (here.scheme, here.hostname):
        raise RetailPricesUnavailable(f"{here.hostname} leads to another host for its next page")
    return link


def _refuse_other_schemes(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise ConfigurationError(f"{url!r} is no https:// address: prices come over TLS")
