"""Fetching Azure's retail prices: page by page, with patience, and the file whole or as it was."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reference.price_refresh import Refreshed, _replace, refresh_prices
from oai_usage_pipeline.reference.prices import price_rows
from oai_usage_pipeline.reference.retail_prices import FILTER, RetailPricesUnavailable
from oai_usage_pipeline_tests.reference.management_api import Answer, ManagementApi, management_api
from oai_usage_pipeline_tests.reference.price_api import line, page
from oai_usage_pipeline_tests.reference.writing import write

FILE = "prices.retail.csv"
INPUT, OUTPUT = "gpt 4.1 Inp glbl Tokens", "gpt 4.1 Outp glbl Tokens"
MARCH, JUNE = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 6))


@pytest.fixture
def api() -> Iterator[ManagementApi]:
    with management_api() as running:
        yield running


def refresh(folder: Path, api: ManagementApi, currency: str | None = "USD") -> tuple[Refreshed, list[float]]:
    pauses: list[float] = []
    return refresh_prices(folder, currency, api.endpoint, pause=pauses.append), pauses


def begin_with_nothing(folder: Path) -> None:
    """A first refresh would begin with the shipped prices."""
    write(folder, FILE, "model,deployment_type,bucket,unit,price,currency,valid_from,valid_to,region,source")


def prices_of(folder: Path, bucket: str = "input") -> list[tuple[Decimal, datetime | None, datetime | None]]:
    rows = price_rows(folder).filter(model="gpt-4.1", deployment_type="GlobalStandard", bucket=bucket)
    rows = rows.filter(pl.col("service_tier").is_null())
    return rows.select("price", "valid_from", "valid_to").rows()


def test_every_page_is_asked_for_by_product_and_currency(tmp_path: Path, api: ManagementApi) -> None:
    begin_with_nothing(tmp_path)
    api.answers += [
        page(line(INPUT, 0.002), next_link=f"{api.endpoint}/?$skip=1000"),
        page(line(OUTPUT, 0.008)),
    ]
    told: list[tuple[int, int]] = []
    refresh_prices(tmp_path, "USD", api.endpoint, lambda *counts: told.append(counts))
    first, second = (parse_qs(urlsplit(path).query) for path, _ in api.requests)
    assert (first["$filter"], first["currencyCode"]) == ([FILTER], ["'USD'"])
    assert second == {"$skip": ["1000"]}
    assert told == [(1, 1), (2, 2)]
    assert prices_of(tmp_path) == [(Decimal("0.002"), JUNE, None)]
    assert prices_of(tmp_path, "output") == [(Decimal("0.008"), JUNE, None)]


def test_prices_are_taken_digit_by_digit(tmp_path: Path, api: ManagementApi) -> None:
    begin_with_nothing(tmp_path)
    api.answers.append(page(line(INPUT, 2.8e-05), line(OUTPUT, 0.1 + 0.2)))
    refreshed, _ = refresh(tmp_path, api)
    assert prices_of(tmp_path) == [(Decimal("0.000028"), JUNE, None)]
    assert [str(each.price) for each in refreshed.offers.prices if each.bucket == "output"] == []
    assert refreshed.offers.not_understood == {"the price has more digits than can be kept": {OUTPUT}}


def test_a_second_refresh_writes_the_same_bytes(tmp_path: Path, api: ManagementApi) -> None:
    api.answers.append(page(line(INPUT, 0.002), line("GPT 9 Inpt Glbl 1M Tokens", 3.5)))
    refresh(tmp_path, api)
    before = (tmp_path / FILE).read_bytes()
    refreshed, _ = refresh(tmp_path, api)
    assert (tmp_path / FILE).read_bytes() == before
    assert (refreshed.merged.added, refreshed.merged.ended, refreshed.merged.corrected) == ([], [], [])


def test_a_changed_price_ends_the_earlier_one(tmp_path: Path, api: ManagementApi) -> None:
    begin_with_nothing(tmp_path)
    api.answers += [
        page(line(INPUT, 0.003, effectiveStartDate="2026-03-01T00:00:00Z")),
        page(line(INPUT, 0.002)),
    ]
    refresh(tmp_path, api)
    refresh(tmp_path, api)
    assert prices_of(tmp_path) == [(Decimal("0.003"), MARCH, JUNE), (Decimal("0.002"), JUNE, None)]


def test_the_first_refresh_goes_on_from_the_shipped_prices(tmp_path: Path, api: ManagementApi) -> None:
    api.answers.append(page(line(INPUT, 0.001)))
    refreshed, _ = refresh(tmp_path, api)
    listed = datetime(2025, 4, 1, tzinfo=UTC)
    assert prices_of(tmp_path) == [(Decimal("0.002"), listed, JUNE), (Decimal("0.001"), JUNE, None)]
    assert price_rows(tmp_path).filter(pl.col("model") == "o3", pl.col("valid_from").is_null()).height == 2
    assert len(refreshed.merged.unlisted) > 5_000


def test_meters_that_give_no_price_are_named_with_the_reason(tmp_path: Path, api: ManagementApi) -> None:
    begin_with_nothing(tmp_path)
    api.answers.append(
        page(
            line("gpt-4.1-ft input global Tokens", 0.002),
            line("hyper 7 glbl Tokens", 0.002),
            line(INPUT, 0),
            line(OUTPUT, 0.001, tierMinimumUnits=1000.0),
            line("Provisioned Managed Global Unit", 221, type="Reservation", unitOfMeasure="1/Hour"),
        )
    )
    found = refresh(tmp_path, api)[0].offers
    assert found.left_out == {
        "fine-tuned models (training, hosting, use)": {"gpt-4.1-ft input global Tokens"},
        "the price is 0": {INPUT},
        "prices from a minimum quantity on": {OUTPUT},
        "reservations": {"Provisioned Managed Global Unit"},
    }
    assert found.not_understood == {
        "it doesn't say whether it is for input or for output": {"hyper 7 glbl Tokens"}
    }


def test_it_waits_as_it_is_told_and_asks_again(tmp_path: Path, api: ManagementApi) -> None:
    begin_with_nothing(tmp_path)
    api.answers += [
        Answer(status=429, headers={"Retry-After": "7"}),
        Answer(status=503),
        page(line(INPUT, 0.002)),
    ]
    _, pauses = refresh(tmp_path, api)
    assert pauses == [7, 4]
    assert len(prices_of(tmp_path)) == 1


def test_it_waits_a_minute_at_most(tmp_path: Path, api: ManagementApi) -> None:
    begin_with_nothing(tmp_path)
    api.answers += [Answer(status=429, headers={"Retry-After": "86400"}), page(line(INPUT, 0.002))]
    assert refresh(tmp_path, api)[1] == [60]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(status=500), "127.0.0.1 answered 500, expected 200"),
        (Answer(status=400), "127.0.0.1 answered 400, expected 200"),
        (Answer("<html>"), "no price list (it is no JSON): is a proxy in between?"),
        (Answer('{"Items": 3}'), "no price list (Items: input should be a valid list)"),
        (Answer("[" * 100_000), "no price list (it is no JSON)"),
        (page(line(INPUT, -1)), "Items.0.retailPrice"),
        (page(line(INPUT, 1, effectiveStartDate="soon")), "Items.0.effectiveStartDate"),
        (page(line(INPUT, 1, currencyCode="EUR")), "came in 'EUR' where USD was asked for"),
        (page(), "knows no price of Azure OpenAI in USD"),
        (page(line(INPUT, 1), next_link="http://elsewhere.example/"), "leads to another host"),
    ],
)  # fmt: skip
def test_what_is_no_price_list_leaves_the_file_as_it_was(
    tmp_path: Path, api: ManagementApi, answer: Answer, expected: str
) -> None:
    begin_with_nothing(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    api.answers.append(answer)
    with pytest.raises(RetailPricesUnavailable) as raised:
        refresh(tmp_path, api)
    assert expected in str(raised.value)
    assert (tmp_path / FILE).read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def test_pages_that_lead_in_a_circle_end(tmp_path: Path, api: ManagementApi) -> None:
    api.answers.append(page(line(INPUT, 1), next_link=f"{api.endpoint}/again"))
    with pytest.raises(RetailPricesUnavailable, match="leads in a circle after 2 pages"):
        refresh(tmp_path, api)


def test_without_a_network_it_says_so_soon(tmp_path: Path, api: ManagementApi) -> None:
    pauses: list[float] = []
    with pytest.raises(RetailPricesUnavailable, match=r"127\.0\.0\.1 can't be reached"):
        refresh_prices(tmp_path, "USD", "http://127.0.0.1:9", pause=pauses.append)
    assert pauses == [2, 4]
    assert not list(tmp_path.iterdir())


def test_prices_come_over_tls_or_from_this_machine(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="prices come over TLS"):
        refresh_prices(tmp_path, "USD", "http://prices.example")


def test_a_file_goes_on_in_its_currency(tmp_path: Path, api: ManagementApi) -> None:
    api.answers.append(page(line(INPUT, 0.0018, currencyCode="EUR")))
    refresh(tmp_path, api, "EUR")
    assert price_rows(tmp_path)["currency"].unique().to_list() == ["EUR"]
    refresh(tmp_path, api, None)
    assert parse_qs(urlsplit(api.requests[-1][0]).query)["currencyCode"] == ["'EUR'"]
    with pytest.raises(ConfigurationError, match="is in EUR, not in USD: a lake keeps one currency"):
        refresh(tmp_path, api, "USD")


def test_a_first_file_takes_the_currency_of_ones_own_prices(tmp_path: Path, api: ManagementApi) -> None:
    write(
        tmp_path, "prices.csv", "model,deployment_type,bucket,unit,price,currency",
        "gpt-4.1,GlobalStandard,input,1M tokens,1.7,EUR",
    )  # fmt: skip
    api.answers.append(page(line(INPUT, 0.0018, currencyCode="EUR")))
    refresh(tmp_path, api, None)
    assert price_rows(tmp_path)["price"].to_list() == [Decimal("1.7"), Decimal("0.0018"), Decimal("0.0018")]


def test_a_damaged_file_is_refused_before_azure_is_asked(tmp_path: Path, api: ManagementApi) -> None:
    write(tmp_path, FILE, "model,deployment_type", "gpt-4.1,Global")
    with pytest.raises(ConfigurationError, match=r"prices\.retail\.csv"):
        refresh(tmp_path, api)
    assert api.requests == []


def test_a_folder_that_cant_be_written_is_named(tmp_path: Path, api: ManagementApi) -> None:
    (tmp_path / "taken").write_text("a file")
    api.answers.append(page(line(INPUT, 0.002)))
    with pytest.raises(ConfigurationError, match=r"taken.prices\.retail\.csv can't be written"):
        refresh(tmp_path / "taken", api)


def test_a_file_that_cant_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / FILE / "within").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="can't be written"):
        _replace(tmp_path / FILE, "text")
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
