"""Reference files become Delta tables: each replaced in one commit, and only if its content differs.

The dangerous part is that two may land at once: whoever commits second must look again, or rows would
stand twice. What the files may hold belongs in the modules of the tables.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from oai_usage_pipeline.errors import ConfigurationError, NoTable, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reference.absent import absent_files
from oai_usage_pipeline.reference.deployments import read_deployments
from oai_usage_pipeline.reference.prices import price_rows
from oai_usage_pipeline.reference.subscriptions import read_subscriptions
from oai_usage_pipeline.tables import DEPLOYMENTS, PRICES, SUBSCRIPTIONS, TableContract

READERS: tuple[tuple[TableContract, Callable[[Path], pl.DataFrame]], ...] = (
    (SUBSCRIPTIONS, read_subscriptions),
    (DEPLOYMENTS, read_deployments),
    (PRICES, price_rows),
)
"""Each table of reference data and what reads its rows from a folder."""

ATTEMPTS = 8
"""How often a landing looks again after another's commit before it gives up."""


@dataclass(frozen=True)
class Landed:
    """What became of one table: its rows, whether this landing changed it, the version it is at now."""

    name: str
    row_count: int
    is_changed: bool
    version: int


def land_reference(lake: Lake, folder: Path) -> list[Landed]:
    """Bring the tables of the reference data up to date with the files in `folder`, which need not exist.

    All files are read before anything is written: if one is wrong, or gone although its table holds rows
    landed from it, every table stays as it was and ConfigurationError names all that is wrong. Raises
    PositionConflict only if others keep committing.
    """
    return [land_table(lake, contract, rows) for contract, rows in _wanted(lake, folder)]


def land_missing(lake: Lake, folder: Path) -> None:
    """Land the reference data where a table was never made, so that nothing is priced without prices."""
    try:
        for contract, _ in READERS:
            lake.existing(contract)
    except NoTable:
        land_reference(lake, folder)


def is_reference_behind(lake: Lake, folder: Path) -> bool:
    """Whether a table differs from its file; raises ConfigurationError as `land_reference` does."""
    return any(not _holds(lake, contract, rows) for contract, rows in _wanted(lake, folder))


def _wanted(lake: Lake, folder: Path) -> list[tuple[TableContract, pl.DataFrame]]:
    """The rows that each table should have; a file that went missing is a fault like a wrong one."""
    faults = list(absent_files(lake, folder))
    try:
        rows = read_reference(folder)
    except ConfigurationError as error:
        raise ConfigurationError("\n\n".join([*faults, str(error)])) from None
    if faults:
        raise ConfigurationError("\n\n".join(faults))
    return rows


def _holds(lake: Lake, contract: TableContract, rows: pl.DataFrame) -> bool:
    try:
        there = lake.existing(contract).scan().select(list(contract.schema)).collect()
    except NoTable:
        return False
    return _sorted(there).equals(_sorted(rows))


def read_reference(folder: Path) -> list[tuple[TableContract, pl.DataFrame]]:
    """The rows that each table should have; raises ConfigurationError with the faults of all files."""
    rows: list[tuple[TableContract, pl.DataFrame]] = []
    faults: list[str] = []
    for contract, read in READERS:
        try:
            rows.append((contract, read(folder)))
        except ConfigurationError as error:
            faults.append(str(error))
    if faults:
        raise ConfigurationError("\n\n".join(faults))
    return rows


def land_table(lake: Lake, contract: TableContract, rows: pl.DataFrame) -> Landed:
    """Make the table hold exactly `rows`, in whatever order; no commit if it does already."""
    for _ in range(ATTEMPTS - 1):
        try:
            return _land_once(lake, contract, rows)
        except PositionConflict:
            continue
    return _land_once(lake, contract, rows)


def _land_once(lake: Lake, contract: TableContract, rows: pl.DataFrame) -> Landed:
    """Step 1: open and read. Step 2: decide. Step 3: replace with the same handle, fenced by a transaction.

    Delta lets two overwrites of an empty table pass, one after the other: only the transaction makes
    the second fail.
    """
    # Step 1.
    table = lake.table(contract)
    app_id = f"reference/{contract.name}"
    count = table.position(app_id) or 0
    there = table.scan().select(list(contract.schema)).collect()
    # Step 2.
    if _sorted(there).equals(_sorted(rows)):
        return Landed(contract.name, rows.height, is_changed=False, version=table.version)
    # Step 3.
    table.replace(_sorted(rows), {app_id: count + 1})
    return Landed(contract.name, rows.height, is_changed=True, version=table.version)


def _sorted(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort(rows.columns, nulls_last=False, maintain_order=True)
