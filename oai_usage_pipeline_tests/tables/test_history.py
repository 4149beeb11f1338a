"""Contracts change only with an entry in their history, and older readers keep reading."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS, TABLES, USAGE_EVENTS, TableContract
from oai_usage_pipeline.tables.history import Change, Removed, fingerprint

ROW_BY_ROW = {USAGE_EVENTS.name, OPENAI_EVENTS.name}
"""Tables whose rows are made one by one; in all others old and new rows are added up, or made together."""

each_table = pytest.mark.parametrize("contract", TABLES, ids=lambda contract: contract.name)
each_older_version = pytest.mark.parametrize(
    ("contract", "version"),
    [(contract, version) for contract in TABLES for version in contract.older_versions],
    ids=lambda value: value.name if isinstance(value, TableContract) else f"v{value}",
)

SHAPES = TableContract(
    name="shapes",
    schema={"day": pl.Date(), "width_mm": pl.Int64(), "height_mm": pl.Int64(), "colour": pl.String()},
    partition_by="day",
    statistics=(),
    unique=(),
    version=3,
    description="",
    history=(
        Change(1, "The first.", ""),
        Change(
            2,
            "Widths are whole millimetres.",
            "",
            added=("width_mm",),
            removed={
                "width_cm": Removed(pl.Float64(), "width_mm / 10.0"),
                "maker": Removed(pl.String(), "NULL"),
            },
        ),
        Change(3, "Heights and colours are told.", "", rebuilds=False, added=("height_mm", "colour")),
    ),
)
"""What none of ours has yet: columns that were removed, and a version that rebuilds nothing."""


@each_table
def test_every_version_has_an_entry_and_the_newest_is_the_contracts(contract: TableContract) -> None:
    assert [change.version for change in contract.history] == list(range(1, contract.version + 1))
    assert all(change.what.endswith(".") for change in contract.history)


@each_table
def test_columns_change_only_with_an_entry_that_says_so(contract: TableContract) -> None:
    found = {each.version: fingerprint(contract.schema_at(each.version)) for each in contract.history}
    assert found == {each.version: each.fingerprint for each in contract.history}, (
        f"The columns of {contract.name} are not those that its history tells of: raise its version and add "
        "an entry (docs/SCHEMA.md)"
    )


@each_table
def test_a_name_is_never_used_again_for_something_else(contract: TableContract) -> None:
    removed: set[str] = set()
    for change in contract.history:
        assert not removed & set(change.added)
        removed |= change.removed.keys()
    assert not removed & contract.schema.keys()


@each_table
def test_only_tables_made_row_by_row_gain_columns_without_a_rebuild(contract: TableContract) -> None:
    light = [each for each in contract.history if not each.rebuilds and (each.added or each.removed)]
    assert not light or contract.name in ROW_BY_ROW
    assert not any(each.removed for each in light)


def test_bronze_only_ever_gains_columns() -> None:
    assert not any(change.removed for change in OPENAI_EVENTS.history)


@each_older_version
def test_a_table_of_an_older_version_gains_null_columns_and_is_read_as_before(
    contract: TableContract, version: int, tmp_path: Path
) -> None:
    lake = Lake(str(tmp_path))
    older = replace(contract, version=version, schema=contract.schema_at(version))
    rows = pl.DataFrame({older.partition_by or "": [date(2026, 3, 10)]}, schema_overrides=older.schema)
    rows = pl.concat([older.empty(), rows], how="diagonal")
    lake.table(older).append(rows, {})
    grown = lake.grown(contract).scan()
    new = set(contract.schema) - set(older.schema)
    assert new
    assert grown.select(*contract.schema).collect().select(pl.col(new).is_null().all()).row(0) == (
        True,
    ) * len(new)
    assert contract.read_as(grown, version).collect().equals(rows)


@pytest.mark.parametrize("version", [1, 2])
def test_what_was_removed_is_read_from_what_took_its_place(version: int) -> None:
    today = pl.DataFrame(
        {"day": [date(2026, 3, 10)], "width_mm": [125], "height_mm": [80], "colour": ["red"]}
    )
    expected = {1: {"width_cm": [12.5], "maker": [None]}, 2: {"width_mm": [125]}}[version]
    found = SHAPES.read_as(today.lazy(), version).collect()
    assert found.drop("day").to_dict(as_series=False) == expected
    assert dict(found.schema) == SHAPES.schema_at(version)
    assert pl.SQLContext(shapes=today).execute(SHAPES.view(version), eager=True).select(
        found.columns
    ).to_dict(as_series=False) == found.to_dict(as_series=False)


def test_rows_that_were_not_rebuilt_yet_still_tell_what_was_removed() -> None:
    both = pl.LazyFrame(
        {
            "day": [date(2026, 3, 10)] * 2,
            "width_mm": [None, 125],
            "width_cm": [7.5, None],
            "maker": ["we", None],
        },
    )
    found = SHAPES.read_as(both.with_columns(height_mm=None, colour=None), 1).collect()
    assert found.drop("day").to_dict(as_series=False) == {"width_cm": [7.5, 12.5], "maker": ["we", None]}


@pytest.mark.parametrize(("version", "since"), [(1, 1), (2, 2), (3, 2), (4, 4)])
def test_days_are_rebuilt_from_the_newest_version_that_needs_it_on(version: int, since: int) -> None:
    # The fourth has no entry: a rebuild too many is safe.
    assert replace(SHAPES, version=version).rebuilt_since == since
