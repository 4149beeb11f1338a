"""Chargeback from cost: an open month is stated anew as a whole, a closed one only gains adjustments.

Belongs here: that decision. What a statement is made of is for `statement`, closing a month for
`closing`, and what a difference is for `charge`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime

import polars as pl

from oai_usage_pipeline.charge.adjustments import adjustments
from oai_usage_pipeline.errors import LakeDamaged, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.closings import closings_of, finish_begun, statement_id, statement_number
from oai_usage_pipeline.refresh.cost import clock
from oai_usage_pipeline.refresh.derivation import Derivation, day_of
from oai_usage_pipeline.refresh.statement import MonthSources
from oai_usage_pipeline.tables import CHARGEBACK_MONTHLY, USAGE_COST_HOURLY


class ChargebackMonthly(Derivation[MonthSources]):
    """See the module. Its days are months, by their first. `now` dates adjustments."""

    source = USAGE_COST_HOURLY
    target = CHARGEBACK_MONTHLY
    day_column = "usage_month"

    def __init__(self, now: Callable[[], datetime] = clock) -> None:
        self._now = now

    def reference(self, lake: Lake, source: LakeTable) -> MonthSources:
        """See `Derivation.reference`."""
        return MonthSources.read(lake, source)

    def rebuild(
        self,
        target: LakeTable,
        day: str,
        source: LakeTable,
        marks: Mapping[str, int],
        reference: MonthSources,
    ) -> None:
        """See `Derivation.rebuild`.

        Each commit carries the number of the month's statement, so that it fails if the month is
        closed or stated anew meanwhile: then the next attempt adjusts it instead.
        """
        del source
        month = date.fromisoformat(day)
        if finish_begun(reference.lake, month) is not None:
            raise PositionConflict(f"a closing of {day[:7]} that had been begun was finished first")
        number = statement_number(target, month)
        if number == 0:
            _refuse_to_reopen(reference.lake, month)
        fenced = {**marks, statement_id(month): number}
        fresh = reference.statement(month)
        if number == 0:
            target.replace_day(day, fresh, fenced)
            return
        existing = day_of(target, day).select(*CHARGEBACK_MONTHLY.schema).collect()
        changes = adjustments(existing, fresh, self._now().date(), reference.rates(month))
        target.append(changes, fenced)


def _refuse_to_reopen(lake: Lake, month: date) -> None:
    """A month that the handle sees open must not be closed by the record."""
    closed = closings_of(lake, month)
    if not closed:
        return
    if statement_number(lake.table(CHARGEBACK_MONTHLY), month):
        raise PositionConflict(f"{month:%Y-%m} was closed meanwhile")
    raise LakeDamaged(
        f"{closed[-1]}, but {CHARGEBACK_MONTHLY.name} doesn't know of it: was the table made anew? Restore "
        f"it, or state the month anew with `oai-usage month restate {month:%Y-%m}`"
    )


CHARGEBACK_MONTHLY_DERIVATION = ChargebackMonthly()


def charged(lake: Lake, months: Iterable[str]) -> pl.DataFrame:
    """The rows of CHARGEBACK_MONTHLY of some months, by their first days (ISO dates); raises NoTable."""
    table = lake.existing(CHARGEBACK_MONTHLY)
    rows = (day_of(table, month).select(*CHARGEBACK_MONTHLY.schema).collect() for month in months)
    return pl.concat([CHARGEBACK_MONTHLY.empty(), *rows])
