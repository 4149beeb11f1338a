"""What is behind in the derived tables: days, and how many rows bringing them up to date will read.

Belongs here: adding up what `day.stale_days` finds, for people who must decide. Why a day is stale is for
`watermark`; how long it will take, for whoever measures runs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chain import DAILY, DERIVATIONS
from oai_usage_pipeline.refresh.day import stale_days
from oai_usage_pipeline.refresh.derivation import Derivation
from oai_usage_pipeline.refresh.watermark import DayChanges


@dataclass(frozen=True)
class StaleTable:
    """A derived table that is behind, and what its stale days went through, oldest first.

    `rebuilt` of them have to be made anew, the others only miss new rows. `source_rows` of the table that it
    follows will be read for that; what tables that follow from it read in turn is told by `work`.
    """

    table: str
    changes: tuple[DayChanges, ...]
    rebuilt: int
    source_rows: int

    @property
    def days(self) -> tuple[str, ...]:
        """The stale days (ISO dates, of months the first)."""
        return tuple(each.day for each in self.changes)


@dataclass(frozen=True)
class Work:
    """How many days of a daily table are to be done, and how many rows of its source are read for that."""

    table: str
    days: int
    source_rows: int


def stale_tables(
    lake: Lake,
    first: str | None = None,
    last: str | None = None,
    derivations: Iterable[Derivation[Any]] = DERIVATIONS,
) -> list[StaleTable]:
    """The derived tables that are behind on a day from `first` to `last` (ISO dates, inclusive), in order.

    Raises LakeUnavailable.
    """
    found = (_stale(lake, derivation, first or "", last or "9999") for derivation in derivations)
    return [each for each in found if each.days]


def work(lake: Lake, stale: Iterable[StaleTable]) -> Iterator[Work]:
    """What the daily tables read until none is stale, in order: who follows a stale one is stale in turn.

    Gold reads as many rows as silver did, cost as many as gold has today. Months are left out: no backfill
    states them.
    """
    by_name = {each.table: each for each in stale}
    days: set[str] = set()
    rows = 0
    for derivation in DAILY:
        if days and (held := _rows_held(lake, derivation)):
            rows = sum(held.get(day, 0) for day in days)
        if own := by_name.get(derivation.target.name):
            days.update(own.days)
            rows = max(rows, own.source_rows)
        yield Work(derivation.target.name, len(days), rows)


def _stale(lake: Lake, derivation: Derivation[Any], first: str, last: str) -> StaleTable:
    behind = [each for each in stale_days(lake, derivation) if first <= each.day <= last]
    held = _rows_held(lake, derivation) if any(each.must_rebuild for each in behind) else {}
    rows = (
        max(each.new_rows, held.get(each.day, 0)) if each.must_rebuild else each.new_rows for each in behind
    )
    return StaleTable(
        table=derivation.target.name,
        changes=tuple(behind),
        rebuilt=sum(each.must_rebuild for each in behind),
        source_rows=sum(rows),
    )


def _rows_held(lake: Lake, derivation: Derivation[Any]) -> dict[str, int]:
    """Rows of the source by day, where its log tells them: other reference data bring no new ones."""
    if derivation.day_column != derivation.source.partition_by:
        return {}
    try:
        return lake.existing(derivation.source).rows_by_day()
    except NoTable:
        return {}
