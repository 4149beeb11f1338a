"""`oai-usage prices`: list and refresh, as people call them."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oai_usage_pipeline.cli import main
from oai_usage_pipeline_tests.reference.management_api import management_api
from oai_usage_pipeline_tests.reference.price_api import line, page
from oai_usage_pipeline_tests.reference.writing import write


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAI_USAGE_REFERENCE_FOLDER", str(tmp_path / "reference"))


def prices(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["prices", *arguments])


def test_list_shows_the_prices_in_force_of_a_model() -> None:
    shown = prices("list", "--model", "gpt-4o-2024-08-06", "--type", "GlobalStandard")
    assert shown.exit_code == 0
    assert "Prices in USD at" in shown.stdout
    assert "0.0025" in shown.stdout
    assert "3 prices, 0 of them your own." in shown.stdout


def test_list_shows_the_prices_of_a_day() -> None:
    before = prices("list", "--model", "o3", "--type", "GlobalStandard", "--at", "2025-05-01").stdout
    after = prices("list", "--model", "o3", "--type", "GlobalStandard", "--at", "2025-06-01").stdout
    assert ("1M tokens" in before, "0.008" in before) == (True, False)
    assert ("1M tokens" in after, "0.008" in after) == (False, True)


def test_list_finds_the_pattern_that_matches_a_name_and_names_ones_own_price(tmp_path: Path) -> None:
    write(
        tmp_path / "reference", "prices.csv", "price_id,model,deployment_type,bucket,unit,price,currency",
        "EA-7,gpt-5-mini*,GlobalStandard,input,1M tokens,0.2,USD",
    )  # fmt: skip
    shown = prices("list", "--model", "gpt-5-mini-2025-08-07", "--type", "GlobalStandard").stdout
    assert "EA-7" in shown
    assert "gpt-5-mini-20??-??-??" in shown
    assert "1 of them your own." in shown


def test_refresh_writes_the_file_and_says_what_changed_and_what_it_left_out(tmp_path: Path) -> None:
    with management_api() as api:
        api.answers.append(
            page(
                line("gpt 4.1 Inp glbl Tokens", 0.001),
                line("GPT 9 Inpt Glbl 1M Tokens", 3.5),
                line("Sora 2 glbl Second", 0.1),
                line("hyper 7 glbl Tokens", 1),
            )
        )
        said = prices("refresh", "--url", api.endpoint)
    assert said.exit_code == 0, said.output
    assert "prices.retail.csv:" in said.stdout
    for text in (
        "gpt-9:GlobalStandard:*:input:2026-06-01 3.5 1M tokens",
        "2 ended, as the price changed",
        "no longer listed, and kept",
        "1 meters left out: video",
        "1 meters NOT UNDERSTOOD, so without a price: it doesn't say whether it is for input or for output",
        "hyper 7 glbl Tokens",
    ):
        assert text in said.stdout
    assert "gpt-9" in (tmp_path / "reference" / "prices.retail.csv").read_text()


def test_what_is_wrong_is_one_message_and_exit_code_one(tmp_path: Path) -> None:
    write(tmp_path / "reference", "prices.csv", "model", "gpt-4.1")
    said = prices("list")
    assert said.exit_code == 1
    assert said.stderr.startswith("Error: ")
    assert "prices.csv" in said.stderr
