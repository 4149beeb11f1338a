"""One round of upkeep over the tables of the lake.

Belongs here: the order, and that a table which can't be done keeps no other from it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TypeVar

from oai_usage_pipeline.errors import ConfigurationError, NoTable, PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.maintenance.cleaning import Cleaning, clean
from oai_usage_pipeline.maintenance.compaction import Compaction, compact
from oai_usage_pipeline.maintenance.following import follow
from oai_usage_pipeline.tables import TABLES, TableContract

T = TypeVar("T")


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
    """Compact tables, let those that follow say that they still do, and clean; never made ones are left out.

    Small files are merged first, so that the checkpoint that follows is a short one. They themselves are
    deleted once that is `history_days` ago.
    """
    done = Upkeep([], [], [])
    with_failures = partial(_attempt, done.failures)
    for each in tables:
        made = with_failures(partial(compact, lake, each, today, dry_run=dry_run, report=report))
        done.compactions.extend(made)
    if not dry_run:
        with_failures(partial(follow, lake))
    for each in tables:
        done.cleanings.extend(with_failures(partial(clean, lake, each, history_days, dry_run=dry_run)))
    if not dry_run:
        # Cleaning commits, too.
        with_failures(partial(follow, lake))
    return done


def _attempt(failures: list[str], step: Callable[[], T]) -> list[T]:
    """What a step returns, or nothing and why."""
    try:
        return [step()]
    except NoTable:
        return []
    except PipelineError as error:
        # What keeps a table from being opened keeps it from each step.
        failures.extend({str(error)} - {*failures})
        return []
