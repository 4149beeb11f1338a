"""Reference files land as Delta tables: what changed, all or nothing, and once when many land at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import polars as pl
import pytest
from deltalake import DeltaTable

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reference.landing import Landed, is_reference_behind, land_reference, land_table
from oai_usage_pipeline.tables import DEPLOYMENTS, PRICES, SUBSCRIPTIONS, TableContract
from oai_usage_pipeline_tests.reference.writing import write

HEADER = "subscription,team,valid_from"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "reference"


def changed(landed: list[Landed]) -> dict[str, bool]:
    return {each.name: each.is_changed for each in landed}


def rows(lake: Lake, contract: TableContract) -> pl.DataFrame:
    return lake.existing(contract).scan().collect()


def versions(lake: Lake) -> list[int]:
    return [lake.existing(contract).version for contract in (SUBSCRIPTIONS, DEPLOYMENTS, PRICES)]


def test_without_files_there_are_no_subscriptions_one_deployment_and_the_shipped_prices(
    lake: Lake, folder: Path
) -> None:
    landed = land_reference(lake, folder)
    assert [(each.name, each.row_count > 0) for each in landed] == [
        ("subscriptions", False),
        ("deployments", True),
        ("prices", True),
    ]
    assert rows(lake, SUBSCRIPTIONS).schema == SUBSCRIPTIONS.empty().schema
    assert set(rows(lake, DEPLOYMENTS)["deployment"]) == {"*"}
    assert rows(lake, PRICES).height == landed[2].row_count


def test_landing_again_commits_nothing(lake: Lake, folder: Path) -> None:
    write(folder, "subscriptions.csv", HEADER, "sub-2,Search,2026-04-01", "sub-1,Checkout,")
    land_reference(lake, folder)
    before = versions(lake)
    assert not any(changed(land_reference(lake, folder)).values())
    write(
        folder, "subscriptions.csv", "# sorted", HEADER, "sub-1,Checkout,", "sub-2,Search,2026-04-01T00:00Z"
    )
    assert not any(changed(land_reference(lake, folder)).values())
    assert versions(lake) == before


def test_a_changed_file_replaces_its_table_only_and_the_old_version_stays(lake: Lake, folder: Path) -> None:
    write(folder, "subscriptions.csv", HEADER, "sub-1,Checkout,", "sub-2,Search,")
    before = land_reference(lake, folder)[0]
    write(folder, "subscriptions.csv", HEADER, "sub-1,Search,2026-04-01")
    after = land_reference(lake, folder)
    assert changed(after) == {"subscriptions": True, "deployments": False, "prices": False}
    assert after[0] == Landed("subscriptions", 1, is_changed=True, version=before.version + 1)
    row = rows(lake, SUBSCRIPTIONS).row(0, named=True)
    assert (row["team"], row["valid_from"]) == ("Search", datetime(2026, 4, 1, tzinfo=UTC))
    old = DeltaTable(lake.uri(SUBSCRIPTIONS), version=before.version)
    assert set(pl.scan_delta(old).collect()["team"]) == {"Checkout", "Search"}


FILES = {
    "subscriptions.csv": (HEADER, "sub-1,Checkout,", "sub-2,Search,"),
    "deployments.csv": ("deployment,deployment_type", "chat,DataZoneStandard", "*,GlobalStandard"),
    "prices.csv": (
        "model,deployment_type,bucket,unit,price,currency",
        "gpt-4o,GlobalStandard,input,1M tokens,2,USD",
    ),
    "prices.retail.csv": (
        "model,deployment_type,bucket,unit,price,currency,source",
        "gpt-4o,GlobalStandard,input,1M tokens,2.5,USD,Azure Retail Prices API: gpt-4o-inp-glbl",
    ),
}
each_file = pytest.mark.parametrize(
    ("name", "table", "count"),
    [
        ("subscriptions.csv", "subscriptions", "2 rows"),
        ("deployments.csv", "deployments", "1 row "),
        ("prices.csv", "prices", "1 row "),
        ("prices.retail.csv", "prices", "1 row "),
    ],
)


@each_file
def test_a_file_that_is_gone_is_a_fault_and_every_table_stays_as_it_was(
    lake: Lake, folder: Path, name: str, table: str, count: str
) -> None:
    path = write(folder, name, *FILES[name])
    land_reference(lake, folder)
    before = versions(lake)
    write(folder, "subscriptions.csv", HEADER, "sub-9,Other,")
    path.unlink()
    for look in (land_reference, is_reference_behind):
        with pytest.raises(ConfigurationError) as raised:
            look(lake, folder)
        assert f"{folder} has no {name}, but {table} still holds {count}" in str(raised.value)
    assert versions(lake) == before


def test_a_folder_that_is_gone_is_a_fault_that_names_every_file(lake: Lake, folder: Path) -> None:
    for name in FILES:
        write(folder, name, *FILES[name])
    land_reference(lake, folder)
    with pytest.raises(ConfigurationError) as raised:
        land_reference(lake, folder.parent / "elsewhere")
    assert [name in str(raised.value) for name in FILES] == [True] * len(FILES)


@each_file
def test_a_file_with_only_its_first_line_removes_all_rows_and_may_then_go(
    lake: Lake, folder: Path, name: str, table: str, count: str
) -> None:
    del count
    path = write(folder, name, *FILES[name])
    land_reference(lake, folder)
    write(folder, name, FILES[name][0])
    assert changed(land_reference(lake, folder))[table]
    assert not is_reference_behind(lake, folder)
    path.unlink()
    land_reference(lake, folder)


def test_deployments_with_only_a_first_line_are_none_at_all_and_not_the_default(
    lake: Lake, folder: Path
) -> None:
    write(folder, "deployments.csv", "deployment,deployment_type")
    land_reference(lake, folder)
    assert rows(lake, DEPLOYMENTS).is_empty()


def test_faults_of_files_and_files_that_are_gone_are_told_together(lake: Lake, folder: Path) -> None:
    path = write(folder, "subscriptions.csv", *FILES["subscriptions.csv"])
    land_reference(lake, folder)
    path.unlink()
    write(folder, "prices.csv", "modle")
    with pytest.raises(ConfigurationError, match=r"(?s)has no subscriptions.csv.*did you mean model"):
        land_reference(lake, folder)


def test_one_broken_file_leaves_every_table_as_it_was(lake: Lake, folder: Path) -> None:
    write(folder, "subscriptions.csv", HEADER, "sub-1,Checkout,")
    land_reference(lake, folder)
    before = versions(lake)
    write(folder, "subscriptions.csv", HEADER, "sub-1,Search,")
    write(folder, "deployments.csv", "deployment,deployment_type", "*,Globalstandard")
    write(folder, "prices.csv", "modle")
    with pytest.raises(ConfigurationError) as raised:
        land_reference(lake, folder)
    assert "deployments.csv has 1 fault" in str(raised.value)
    assert "did you mean model?" in str(raised.value)
    assert versions(lake) == before
    assert rows(lake, SUBSCRIPTIONS)["team"].to_list() == ["Checkout"]


def test_a_broken_file_makes_no_table_either(lake: Lake, folder: Path) -> None:
    write(folder, "subscriptions.csv", HEADER, "sub-1,,")
    with pytest.raises(ConfigurationError):
        land_reference(lake, folder)
    assert not Path(lake.location).exists()


@pytest.mark.parametrize("is_there", [False, True], ids=["new table", "table with rows"])
def test_many_that_land_the_same_at_once_land_it_once(lake: Lake, is_there: bool) -> None:
    wanted = subscriptions("Checkout")
    if is_there:
        land_table(lake, SUBSCRIPTIONS, subscriptions("Search"))
    landed = at_once(lake, [wanted] * 6)
    assert sum(each.is_changed for each in landed) == 1
    assert rows(lake, SUBSCRIPTIONS).equals(wanted)


def test_many_that_land_different_rows_at_once_never_mix_them(lake: Lake) -> None:
    teams = [f"team-{number}" for number in range(6)]
    landed = at_once(lake, [subscriptions(team) for team in teams])
    assert all(each.is_changed for each in landed)
    assert any(rows(lake, SUBSCRIPTIONS).equals(subscriptions(team)) for team in teams)
    assert len({each.version for each in landed}) == len(teams)


def subscriptions(team: str) -> pl.DataFrame:
    named = [{"subscription": f"sub-{number}", "team": team} for number in range(3)]
    return pl.DataFrame(named, schema=SUBSCRIPTIONS.schema)


def at_once(lake: Lake, wanted: list[pl.DataFrame]) -> list[Landed]:
    """Land each from a thread of its own, all let go at the same moment."""
    start = Barrier(len(wanted))

    def land(frame: pl.DataFrame) -> Landed:
        start.wait()
        return land_table(Lake(lake.location), SUBSCRIPTIONS, frame)

    with ThreadPoolExecutor(len(wanted)) as pool:
        return list(pool.map(land, wanted))
