"""One round of upkeep over the tables of the lake.

Belongs here: the order, and that a table which can't be done keeps no other from it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date

from oai_usage_pipeline.errors import ConfigurationError, NoTable, PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.maintenance.cleaning import Cleaning, clean
from oai_usage_pipeline.maintenance.compaction import Compaction, compact
from oai_usage_pipeline.tables import TABLES, TableContract


@dataclass(frozen=True)
class Upkeep:
    """What was done, or would be: per table, and why some couldn't be done."""

    compactions: list[Compaction]
    cleanings: list[Cleaning]
    failures: list[str]


def tables_named(names: Collection[str]) -> list[TableContract]:
    """The contracts of tables by name, all where none is named; raises ConfigurationError for another."""
    known = {each.name: each for each in TABLES}
    if unknown := sorted(set(names) - known.keys()):
        raise ConfigurationError(
            f"There is no table {', '.join(unknown)}: expected some of {', '.join(sorted(known))}"
        )
    return [each for each in TABLES if not names or each.name in names]


def maintain(
    lake: Lake,
    tables: Collection[TableContract],
    today: date,
    history_days: int,
    *,
    dry_run: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Upkeep:
    """Compact and clean tables, one after another; those that were never made are left out.

    Small files are merged first, so that the checkpoint that follows is a short one. They themselves are
    deleted once that is `history_days` ago.
    """
    done = Upkeep([], [], [])
    for contract in tables:
        try:
            done.compactions.append(compact(lake, contract, today, dry_run=dry_run, report=report))
            done.cleanings.append(clean(lake, contract, history_days, dry_run=dry_run))
        except NoTable:
            continue
        except PipelineError as error:
            done.failures.append(str(error))
    return done
