"""The example files of the documentation are valid, and the page describes every column they may have."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reference.deployments import DeploymentRow
from oai_usage_pipeline.reference.landing import land_reference, read_reference
from oai_usage_pipeline.reference.price_list import PriceRow
from oai_usage_pipeline.reference.subscriptions import SubscriptionRow
from oai_usage_pipeline.tables import (
    DEPLOYMENT_TYPES,
    IDLE_CAPACITY,
    PRICE_BUCKETS,
    PRICE_UNITS,
    UNATTRIBUTED,
)

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples" / "reference"
PAGE = (DOCS / "REFERENCE.md").read_text()


def test_the_examples_land(tmp_path: Path) -> None:
    landed = {each.name: each for each in land_reference(Lake(str(tmp_path)), EXAMPLES)}
    assert landed["subscriptions"].row_count == 5
    assert landed["deployments"].row_count == 5
    rows = {contract.name: found for contract, found in read_reference(EXAMPLES)}
    assert rows["prices"].filter("is_override").height == 7


@pytest.mark.parametrize(
    ("file", "model"),
    [("subscriptions", SubscriptionRow), ("deployments", DeploymentRow), ("prices", PriceRow)],
)
def test_the_page_describes_every_column_and_says_which_are_required(
    file: str, model: type[BaseModel]
) -> None:
    section = PAGE.split(f"## `{file}.csv`")[1].split("\n## ")[0]
    described = dict(re.findall(r"^\| `([a-z_]+)` \| (yes|no) \|", section, re.MULTILINE))
    assert described == {
        name: "yes" if field.is_required() else "no" for name, field in model.model_fields.items()
    }
    header = next(line for line in (EXAMPLES / f"{file}.csv").read_text().splitlines() if line[0] != "#")
    assert set(header.split(",")) == set(described)


@pytest.mark.parametrize(
    "word", [*DEPLOYMENT_TYPES, *PRICE_BUCKETS, *PRICE_UNITS, UNATTRIBUTED, IDLE_CAPACITY]
)
def test_the_page_names_every_choice_and_every_bucket_of_ours(word: str) -> None:
    assert f"`{word}`" in PAGE
