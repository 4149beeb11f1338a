"""Files that are gone although their table still holds rows landed from one: a fault, never "no rows".

Belongs here: telling a file that was never there from one that went missing, such as with a volume that
isn't mounted. Taking it for empty would move every team's charge. Rows are removed by a file that has none.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reference import deployments, prices, subscriptions
from oai_usage_pipeline.reference.retail_offers import SOURCE
from oai_usage_pipeline.tables import DEPLOYMENTS, PRICES, SUBSCRIPTIONS, TableContract

FilesRows = Callable[[pl.DataFrame], pl.DataFrame]


def _not_default(rows: pl.DataFrame) -> pl.DataFrame:
    default = deployments.default_deployments()
    return rows.join(default, on=default.columns, how="anti", nulls_equal=True)


def _own(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("is_override"))


def _fetched(rows: pl.DataFrame) -> pl.DataFrame:
    """Those that no shipped list can have brought."""
    return rows.filter(~pl.col("is_override") & pl.col("source").str.starts_with(SOURCE))


FILES: tuple[tuple[str, TableContract, FilesRows], ...] = (
    (subscriptions.FILE, SUBSCRIPTIONS, lambda rows: rows),
    (deployments.FILE, DEPLOYMENTS, _not_default),
    (prices.FILE, PRICES, _own),
    (prices.RETAIL_FILE, PRICES, _fetched),
)
"""Each file, its table, and which of the table's rows only that file can have brought."""


def absent_files(lake: Lake, folder: Path) -> Iterator[str]:
    """For each file that is gone while its rows stand: folder, file, number of rows, and what to do."""
    absent = [each for each in FILES if not (folder / each[0]).exists()]
    tables = {name: lake.rows(each) for name, each in {each.name: each for _, each, _ in absent}.items()}
    for name, contract, rows_of_file in absent:
        if count := rows_of_file(tables[contract.name]).height:
            yield _sentence(folder, name, contract, count)


def _sentence(folder: Path, name: str, contract: TableContract, count: int) -> str:
    rows = "1 row that was" if count == 1 else f"{count:,} rows that were"
    return (
        f"{folder} has no {name}, but {contract.name} still holds {rows} landed from one. Nothing was "
        "changed. Is OAI_USAGE_REFERENCE_FOLDER right, and its volume there? Put the file back; or, to "
        "remove all its rows on purpose, leave a file with only its header line"
    )
