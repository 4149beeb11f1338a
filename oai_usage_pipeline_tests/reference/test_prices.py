"""Prices from files: the user's own win, and what is wrong with a file is said with its place."""

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.charge.matching import Use, matches
from oai_usage_pipeline.reference.prices import SHIPPED, price_rows, retail_prices, retail_rows
from oai_usage_pipeline.tables import PRICES
from oai_usage_pipeline_tests.reference.writing import refusal, write

HEADER = (
    "model,deployment_type,region,service_tier,bucket,image_size,image_quality,"
    "unit,price,currency,valid_from,valid_to"
)
PLAIN = "gpt-4.1,GlobalStandard,,,input,,,1M tokens,1.90,USD,,"
AT = datetime(2026, 4, 1, tzinfo=UTC)


def own_prices(folder: Path, *lines: str, header: str = HEADER) -> pl.DataFrame:
    write(folder, "prices.retail.csv", HEADER)
    write(folder, "prices.csv", header, *lines)
    return price_rows(folder)


def refused(folder: Path, *lines: str, header: str = HEADER, name: str = "prices.csv") -> str:
    write(folder, name, header, *lines)
    return refusal(price_rows, folder)


def test_without_files_there_are_the_shipped_prices_in_the_columns_of_the_contract(tmp_path: Path) -> None:
    rows = price_rows(tmp_path / "missing")
    assert dict(rows.schema) == PRICES.schema
    assert rows.height > 5_000
    assert not rows["is_override"].any()


def test_a_price_of_ones_own_goes_before_the_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, "prices.csv", HEADER, PLAIN)
    use = Use("gpt-4.1", "GlobalStandard", "westeurope", None, "input", None, None, AT)
    assert matches([use], price_rows(tmp_path)).row(0)[:2] == ("own:2", Decimal("1.90"))


def test_a_line_may_name_several_models_and_regions(tmp_path: Path) -> None:
    line = "gpt-4o | GPT-4o-mini*,Standard,westeurope|eastus,,input,,,1K tokens,0.002,USD,,"
    rows = own_prices(tmp_path, line)
    assert rows["price_id"].to_list() == [
        "own:2:gpt-4o:westeurope",
        "own:2:gpt-4o:eastus",
        "own:2:gpt-4o-mini*:westeurope",
        "own:2:gpt-4o-mini*:eastus",
    ]
    assert rows["source"].unique().to_list() == ["prices.csv, line 2"]


def test_a_price_keeps_the_name_and_source_that_it_was_given(tmp_path: Path) -> None:
    rows = own_prices(tmp_path, f"EA-77,{PLAIN},contract of May", header=f"price_id,{HEADER},source")
    assert rows.select("price_id", "source").row(0) == ("EA-77", "contract of May")


def test_zero_may_only_be_a_price_of_ones_own(tmp_path: Path) -> None:
    free = PLAIN.replace("1.90", "0")
    assert own_prices(tmp_path, free)["price"].to_list() == [0]
    assert "prices.retail.csv, line 2: a retail price of 0 is none" in refused(
        tmp_path, free, name="prices.retail.csv"
    )


def test_a_price_is_exact_to_the_last_of_twelve_digits(tmp_path: Path) -> None:
    rows = own_prices(
        tmp_path,
        PLAIN.replace("1.90", "0.000000000001"),
        PLAIN.replace("1.90", "8.3E-05").replace("gpt-4.1", "gpt-4o"),
        PLAIN.replace("1.90", "123456789012.123456789012").replace("gpt-4.1", "o3"),
        PLAIN.replace("1.90", "0.0250000000000000000").replace("gpt-4.1", "o1"),
    )
    assert [str(price.normalize()) for price in rows["price"]] == [
        "1E-12",
        "0.000083",
        "123456789012.123456789012",
        "0.025",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (PLAIN.replace("1.90", "-1"), "line 2, column price: found '-1': a price can't be negative"),
        (PLAIN.replace("1.90", "1e-13"), "has more than 12 digits after the point, which can't be kept"),
        (PLAIN.replace("1.90", '"1,9"'), "such as 0.0025; write a point instead of the comma"),
        (PLAIN.replace("1.90", "$1.9"), "the currency has a column of its own"),
        (PLAIN.replace("1.90", "NaN"), "expected a number"),
        (PLAIN.replace("1.90", "1e12"), "expected a price below 10^12"),
        (PLAIN.replace("1.90", ""), "line 2, column price: is empty, but required"),
        (PLAIN.replace("input", "inputs"), "column bucket: found 'inputs': expected one of"),
        (PLAIN.replace("input", "inputs"), "did you mean input?"),
        (PLAIN.replace("input", "unsplit"), "column bucket: found 'unsplit'"),
        (PLAIN.replace("1M tokens", "1M token"), "did you mean 1M tokens?"),
        (PLAIN.replace("GlobalStandard", "Global Standard"), "did you mean GlobalStandard?"),
        (PLAIN.replace("1M tokens", "hour"), "unit 'hour' can't be the unit of bucket 'input', which is"),
        (PLAIN.replace("input", "image"), "which is charged by image"),
        (PLAIN.replace("USD", "usd"), "such as USD; did you mean USD?"),
        (PLAIN.replace("USD", "€"), "expected the three letters of ISO 4217"),
        (PLAIN.replace("input,,", "input,1024x1024,"), "are for bucket 'image' only"),
        (PLAIN.replace(",,,input", ",,default,input"), "the default tier has no name: leave it empty"),
        (PLAIN.replace("gpt-4.1", "gpt-4.1||gpt-4o"), "expected a name on both sides of each '|'"),
        (PLAIN.replace("gpt-4.1", "gpt-4o|GPT-4o"), "a name stands twice in the list"),
        (PLAIN.replace("gpt-4.1", "gpt 4.1"), "names without white space"),
        (PLAIN.replace("input,,,1M tokens", "provisioned,,,PTU hour"), "is no price of GlobalStandard"),
        (PLAIN[:-1] + "2026-04-01,2026-04-01", "is not before valid_to"),
    ],
)  # fmt: skip
def test_what_is_no_price_is_refused_with_its_place(tmp_path: Path, line: str, expected: str) -> None:
    message = refused(tmp_path, line)
    assert "prices.csv, line 2" in message
    assert expected in message


def test_every_fault_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    message = refused(tmp_path, PLAIN.replace("1.90", "-1"), PLAIN, PLAIN.replace("input", "inptu"))
    assert "prices.csv has 2 faults" in message
    assert "line 2, column price" in message
    assert "line 4, column bucket" in message


def test_an_unknown_column_is_named_and_corrected(tmp_path: Path) -> None:
    assert "unknown column 'modle': did you mean model?" in refused(
        tmp_path, PLAIN, header=HEADER.replace("model", "modle", 1)
    )


def test_nobody_can_call_a_price_an_override_or_not(tmp_path: Path) -> None:
    assert "unknown column 'is_override'" in refused(
        tmp_path, f"{PLAIN},false", header=f"{HEADER},is_override"
    )


def test_two_prices_for_the_same_at_the_same_time_are_refused_with_both_lines(tmp_path: Path) -> None:
    message = refused(tmp_path, f"{PLAIN[:-1]},2026-07-01", PLAIN.replace(",,,input", ",*,,input"))
    assert "line 3: gpt-4.1: two prices for GlobalStandard, input in region *" in message
    assert "here and in line 2, both hold from ever until 2026-07-01T00:00Z" in message


def test_two_patterns_that_match_one_model_and_are_as_long_are_refused(tmp_path: Path) -> None:
    lines = [PLAIN.replace("gpt-4.1", pattern) for pattern in ("gpt-4*", "gpt-?*", "gpt-5*")]
    message = refused(tmp_path, *lines)
    assert "prices.csv has 2 faults" in message
    assert "line 3: gpt-4* and gpt-?* can both match a model" in message
    assert "line 4: gpt-5* and gpt-?* can both match a model" in message


def test_a_price_may_follow_another(tmp_path: Path) -> None:
    rows = own_prices(
        tmp_path,
        f"{PLAIN[:-1]},2026-07-01",
        PLAIN.replace("1.90", "2.10")[:-1] + "2026-07-01,",
    )
    assert rows["price"].to_list() == [Decimal("1.90"), Decimal("2.10")]


@pytest.mark.parametrize(
    "other",
    [
        PLAIN.replace("gpt-4.1", "gpt-4.*"),
        PLAIN.replace(",,,input", ",westeurope,,input"),
        PLAIN.replace(",,,input", ",,priority,input"),
        PLAIN.replace("input", "cached_input"),
    ],
)
def test_prices_of_which_one_is_the_more_specific_may_stand_together(tmp_path: Path, other: str) -> None:
    assert own_prices(tmp_path, PLAIN, other).height == 2


def test_the_same_name_for_two_prices_is_refused(tmp_path: Path) -> None:
    message = refused(
        tmp_path, f"EA-7,{PLAIN}", f"EA-7,{PLAIN.replace('4.1', '4o')}", header=f"price_id,{HEADER}"
    )
    assert "line 3, column price_id: stands in line 2 too" in message


def test_two_currencies_in_one_file_are_refused(tmp_path: Path) -> None:
    other = PLAIN.replace("USD", "EUR").replace("gpt-4.1", "gpt-4o")
    message = refused(tmp_path, PLAIN, other)
    assert "line 3, column currency: found EUR, but line 2 has USD: one lake keeps one currency" in message


def test_own_prices_in_another_currency_than_the_retail_ones_are_refused_with_a_way_out(
    tmp_path: Path,
) -> None:
    euros = PLAIN.replace("USD", "EUR")
    message = refused(tmp_path, euros)
    assert "`oai-usage prices refresh --currency EUR`" in message
    write(tmp_path, "prices.retail.csv", HEADER)
    assert price_rows(tmp_path)["currency"].to_list() == ["EUR"]


def test_a_refreshed_file_stands_in_for_the_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, "prices.retail.csv", "# made by a command", HEADER, PLAIN)
    rows = price_rows(tmp_path)
    assert rows["price_id"].to_list() == ["retail:gpt-4.1:GlobalStandard:*:input:always"]


def test_a_file_of_retail_prices_is_checked_once_and_gives_the_same_rows(tmp_path: Path) -> None:
    copy = tmp_path / "prices.retail.csv"
    copy.write_bytes(SHIPPED.read_bytes())
    first = retail_rows(copy)
    assert retail_rows(copy) is first
    assert first.equals(price_rows(tmp_path / "nowhere"))
    assert first.height == len(retail_prices(SHIPPED))


def test_a_file_of_the_same_size_and_time_with_other_bytes_is_read_anew(tmp_path: Path) -> None:
    header = "model,deployment_type,bucket,unit,price,currency"
    path = write(tmp_path, "prices.retail.csv", header, "gpt-4o,GlobalStandard,input,1M tokens,2,USD")
    before = path.stat()
    assert price_rows(tmp_path)["price"].to_list() == [Decimal(2)]
    write(tmp_path, "prices.retail.csv", header, "gpt-4o,GlobalStandard,input,1M tokens,3,USD")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert price_rows(tmp_path)["price"].to_list() == [Decimal(3)]
    write(tmp_path, "prices.retail.csv", header, "gpt-4o,GlobalStandard,input,1M tokens,x,USD")
    for _ in range(2):
        assert "expected a number" in refusal(price_rows, tmp_path)
