"""Reading cost exports: columns by any of their names, money to the last digit, each charge once."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reconcile.cost_export import read_cost_exports
from oai_usage_pipeline_tests.reconcile.truth import (
    ACCOUNT,
    DAY,
    INPUT_METER,
    Call,
    charge,
    charged,
    export,
    written,
)

ROW = charge(INPUT_METER, 4_000, Decimal("0.01"))


def read(folder: Path, *texts: str | bytes) -> list[dict[str, object]]:
    files = [written(folder / f"cost-{number}.csv", text) for number, text in enumerate(texts)]
    return read_cost_exports(files).rows.to_dicts()


def changed(**changes: str) -> str:
    return export([ROW | changes])


def test_an_enterprise_agreement_export_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, changed()) == [
        {
            "usage_date": DAY,
            "meter": INPUT_METER,
            "token_count": 4_000,
            "cost": Decimal("0.01"),
            "currency": "USD",
        }
    ]


def test_a_customer_agreement_export_is_read(tmp_path: Path) -> None:
    row = {
        "billingAccountId": "1",
        "date": "03/10/2026",
        "meterName": INPUT_METER,
        "meterCategory": "Cognitive Services",
        "meterSubCategory": "Azure OpenAI",
        "ResourceId": ACCOUNT,
        "quantity": "4",
        "unitOfMeasure": "1K",
        "chargeType": "Usage",
        "billingCurrency": "EUR",
        "costInBillingCurrency": "0.0092",
        "costInUsd": "0.01",
    }
    [found] = read(tmp_path, export([row]))
    assert (found["token_count"], found["cost"], found["currency"]) == (4_000, Decimal("0.0092"), "EUR")


def test_a_focus_export_is_read(tmp_path: Path) -> None:
    row = {
        "BilledCost": "0.01",
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargePeriodStart": "2026-03-10T00:00:00Z",
        "PricingQuantity": "0.004",
        "PricingUnit": "1M Tokens",
        "ResourceId": ACCOUNT,
        "ServiceName": "Azure OpenAI Service",
        "SkuMeter": INPUT_METER,
        "x_SkuMeterSubcategory": "Azure OpenAI",
    }
    [found] = read(tmp_path, export([row]))
    assert (found["usage_date"], found["token_count"], found["cost"]) == (DAY, 4_000, Decimal("0.01"))


@pytest.mark.parametrize(
    ("unit", "quantity", "tokens"),
    [
        ("1K", "4", 4_000),
        ("1M", "0.004", 4_000),
        ("1", "4000", 4_000),
        ("1K Tokens", "4", 4_000),
        ("1000", "4", 4_000),
    ],
)
def test_quantities_become_tokens(tmp_path: Path, unit: str, quantity: str, tokens: int) -> None:
    assert read(tmp_path, changed(UnitOfMeasure=unit, Quantity=quantity))[0]["token_count"] == tokens


@pytest.mark.parametrize(
    ("quantity", "unit_price"), [("4", "0.0025"), ("4000", "0.0025"), ("4", "0"), ("4", "")]
)
def test_a_quantity_in_single_tokens_is_recognised_by_its_price(
    tmp_path: Path, quantity: str, unit_price: str
) -> None:
    [found] = read(tmp_path, changed(Quantity=quantity, UnitPrice=unit_price))
    assert found["token_count"] == 4_000


def test_money_keeps_every_digit_that_the_table_holds(tmp_path: Path) -> None:
    rows = [ROW | {"CostInBillingCurrency": cost} for cost in ("0.1", "0.2", "1E-12", "0.0000000000004")]
    assert read(tmp_path, export(rows))[0]["cost"] == Decimal("0.300000000001")


def test_other_services_and_other_charges_are_left_out(tmp_path: Path) -> None:
    others = [
        ROW | {"MeterSubCategory": "Azure Speech", "CostInBillingCurrency": "100"},
        ROW | {"ChargeType": "Refund", "CostInBillingCurrency": "-5"},
    ]
    assert [row["cost"] for row in read(tmp_path, export([ROW, *others]))] == [Decimal("0.01")]


def test_units_that_are_no_tokens_keep_their_cost(tmp_path: Path) -> None:
    images = charge("Image-DALL-E-3-glbl Images", 0, Decimal("0.04"), UnitOfMeasure="100", Quantity="0.01")
    [found] = read(tmp_path, export([images]))
    assert (found["token_count"], found["cost"]) == (None, Decimal("0.04"))


def test_the_export_that_reaches_further_wins_whatever_the_order(tmp_path: Path) -> None:
    tomorrow = Call(day=DAY + timedelta(days=1))
    early = export(charged([Call()]))
    late = export(charged([Call(input_tokens=9_000), tomorrow]))
    for texts in ((early, late), (late, early), (early, late, early)):
        found = read(tmp_path, *texts)
        first = [row for row in found if row["usage_date"] == DAY and row["meter"] == INPUT_METER]
        assert [row["token_count"] for row in first] == [9_000]
        assert len(found) == 4


def test_the_same_export_twice_counts_once(tmp_path: Path) -> None:
    assert read(tmp_path, changed(), changed()) == read(tmp_path, changed())


def test_two_resources_in_two_files_are_added(tmp_path: Path) -> None:
    [found] = read(tmp_path, changed(), changed(ResourceId=ACCOUNT + "-2"))
    assert found["cost"] == Decimal("0.02")


def test_exports_of_the_same_reach_that_disagree_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"disagree on the meter .* 0\.01 and 0\.02 USD"):
        read(tmp_path, changed(), changed(CostInBillingCurrency="0.02"))


@pytest.mark.parametrize(
    "text", ["2026-03-10", "2026-03-10T00:00:00Z", "03/10/2026", "3/10/2026 12:00:00 AM"]
)
def test_dates_are_iso_or_month_first(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, changed(Date=text))[0]["usage_date"] == DAY


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, changed().encode(encoding))[0]["token_count"] == 4_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"PAR1\x15\x04\xff\xff", "is it compressed, or Parquet"),
        (
            "Date,Cost\n2026-03-10,1\n",
            "lacks metername, quantity, unitofmeasure, billingcurrency, resourceid",
        ),
        ("Date,Cost\n", "Found columns: 'Date', 'Cost'"),
        (changed().replace(",", ";"), "separated by semicolons"),
        (changed().rpartition("Usage")[0], "is the file cut off?"),
        (changed(MeterSubCategory="Speech"), "holds no usage of Azure OpenAI"),
        (changed().splitlines()[0] + "\n", "holds no usage of Azure OpenAI"),
        (changed(Date="13/03/2026"), "month first"),
        (changed(Date=""), "month first"),
        (changed(Date="2026-02-30"), "month first"),
        (changed(Quantity="NaN"), "the quantity is no number"),
        (changed(Quantity="4,5"), "the quantity is no number"),
        (changed(Quantity="1_000"), "the quantity is no number"),
        (changed(Quantity="٤"), "the quantity is no number"),
        (changed(Quantity="9" * 5_000), "the quantity is no number"),
        (changed(Quantity="1e99"), "the quantity is no number"),
        (changed(Quantity="1e14", UnitOfMeasure="1M"), "more tokens than can be counted"),
        (changed(CostInBillingCurrency=""), "the cost is no number"),
        (changed(CostInBillingCurrency="Infinity"), "the cost is no number"),
        (changed(CostInBillingCurrency="$1"), "the cost is no number"),
        (changed(UnitOfMeasure="10 Hours"), "tokens in the unit"),
        (changed(BillingCurrencyCode="Dollars"), "the currency is no code"),
        (changed(Tags='a"b\0') + '"open', "not readable as CSV"),
    ],
)
def test_what_is_no_export_is_refused_with_its_name(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(tmp_path, text)
    assert str(tmp_path / "cost-0.csv") in str(refused.value) or "more tokens" in message
    assert message in str(refused.value)
    assert len(str(refused.value)) < 1_000


def test_the_line_of_a_wrong_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cost-0\.csv, line 3: the cost"):
        read(tmp_path, export([ROW, ROW | {"CostInBillingCurrency": "many"}]))
