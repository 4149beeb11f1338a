"""The record of closed and restated months, and the commits by which a month becomes so.

Two tables can't be committed to at once, so it takes three steps, each of which can be the last one
before a crash:

1. A record with the next number is added to `month_closings`, without a version: it is begun. Who, when
   and why are kept before anything changes.
2. One commit to `chargeback_monthly` moves the month's statement number to that of the record, as an
   application transaction; when restating, the same commit replaces the month's rows. Whoever else
   writes the month names that transaction too, so Delta refuses what was prepared before.
3. The record is completed with the version of `chargeback_monthly` that holds the statement, and totals.

The statement number in `chargeback_monthly` is what is true: 0 is open, more is closed. A record that is
begun is finished, steps 2 and 3, by whoever comes next: the same command again, or the next refresh of
the month, before it adjusts anything.
"""

from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any, Literal

import polars as pl

from oai_usage_pipeline.errors import NoTable, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.derivation import day_of
from oai_usage_pipeline.refresh.statement import MonthSources
from oai_usage_pipeline.tables import CHARGEBACK_MONTHLY, MONTH_CLOSINGS

ATTEMPTS = 20

Action = Literal["closed", "restated"]

_COUNTER = "month_closings"
"""The application transaction that every writer of the record moves: two at once can't both succeed."""


@dataclass(frozen=True)
class Closing:
    """A month's statement of one number; `chargeback_version` is None while it is only begun."""

    usage_month: date
    number: int
    action: str
    closed_at: datetime
    closed_by: str
    reason: str | None
    chargeback_version: int | None

    @property
    def is_begun(self) -> bool:
        """Whether steps 2 and 3 are still to be done."""
        return self.chargeback_version is None

    def __str__(self) -> str:
        """The record as a sentence."""
        why = f": {self.reason}" if self.reason else ""
        kept = "not finished yet" if self.is_begun else f"version {self.chargeback_version} of the table"
        return (
            f"{self.usage_month:%Y-%m} was {self.action} by {self.closed_by} at "
            f"{self.closed_at:%Y-%m-%d %H:%M} UTC, statement {self.number} ({kept}){why}"
        )


def statement_id(month: date) -> str:
    """The application transaction of `chargeback_monthly` that holds a month's statement number."""
    return f"{CHARGEBACK_MONTHLY.name}/statement/{month.isoformat()}"


def statement_number(chargeback: LakeTable, month: date) -> int:
    """The number of a month's statement as this handle sees it; 0 while the month is open."""
    return chargeback.position(statement_id(month)) or 0


def closings_of(lake: Lake, month: date) -> list[Closing]:
    """A month's records, oldest first; the last may be begun."""
    try:
        return _closings(_rows(lake.existing(MONTH_CLOSINGS)), month)
    except NoTable:
        return []


def begin(lake: Lake, month: date, action: Action, by: str, why: str | None, now: datetime) -> Closing:
    """Step 1; raises PositionConflict when another closing of the month is begun or came first."""
    table = lake.table(MONTH_CLOSINGS)
    rows = _rows(table)
    before = _closings(rows, month)
    if any(each.is_begun for each in before) or (before and action == "closed"):
        raise PositionConflict(f"{month:%Y-%m} is being closed or stated anew by another: look again")
    closing = Closing(month, len(before) + 1, action, now, by, why, None)
    _write(table, pl.concat([rows, _record(closing)]))
    return closing


def finish_begun(lake: Lake, month: date) -> Closing | None:
    """Steps 2 and 3 of a record that is begun, whoever began it; None if there is none."""
    for _ in range(ATTEMPTS):
        begun = [each for each in closings_of(lake, month) if each.is_begun]
        if not begun:
            return None
        try:
            move_statement(lake, begun[0])
            return complete(lake, begun[0])
        except PositionConflict:
            continue
    raise PositionConflict(f"{month:%Y-%m}: other writers keep getting ahead: try again")


def move_statement(lake: Lake, closing: Closing) -> None:
    """Step 2; nothing if it is done already."""
    month = closing.usage_month
    chargeback = lake.table(CHARGEBACK_MONTHLY)
    if statement_number(chargeback, month) >= closing.number:
        return
    moved = {statement_id(month): closing.number}
    if closing.action == "restated":
        chargeback.replace_day(month.isoformat(), MonthSources.read(lake).statement(month), moved)
    else:
        chargeback.append(CHARGEBACK_MONTHLY.empty(), moved)


def complete(lake: Lake, closing: Closing) -> Closing:
    """Step 3: the same record with version and totals, a row for each currency of the statement."""
    table = lake.table(MONTH_CLOSINGS)
    rows = _rows(table)
    # Opened after step 2, and nobody adjusts the month before step 3: this version holds the statement.
    chargeback = lake.table(CHARGEBACK_MONTHLY)
    done = replace(closing, chargeback_version=chargeback.version)
    is_it = (pl.col("usage_month") == closing.usage_month) & (pl.col("number") == closing.number)
    still = rows.filter(is_it & pl.col("chargeback_version").is_null())
    if not still.is_empty():
        totals = _totals(day_of(chargeback, closing.usage_month.isoformat()).collect())
        _write(table, pl.concat([rows.filter(~is_it), *(_record(done, **each) for each in totals)]))
    return next(each for each in closings_of(lake, closing.usage_month) if each.number == closing.number)


def _rows(table: LakeTable) -> pl.DataFrame:
    return table.scan().select(*MONTH_CLOSINGS.schema).collect()


def _closings(rows: pl.DataFrame, month: date) -> list[Closing]:
    of_month = rows.filter(pl.col("usage_month") == month).sort("number", "currency").unique("number")
    names = list(Closing.__dataclass_fields__)
    return [Closing(**row) for row in of_month.sort("number").select(names).iter_rows(named=True)]


def _record(closing: Closing, **totals: Any) -> pl.DataFrame:  # noqa: ANN401 - the columns' own types
    return pl.DataFrame([asdict(closing) | totals], schema=MONTH_CLOSINGS.schema)


def _totals(statement: pl.DataFrame) -> list[dict[str, Any]]:
    """Calls and cost by currency; one of no calls for a month without any."""
    cost = pl.when(pl.col("cost").count() > 0).then(pl.col("cost").sum()).alias("cost")
    sums = statement.group_by("currency").agg(pl.col("request_count").sum(), cost)
    return sums.sort("currency").to_dicts() or [{"currency": None, "request_count": 0, "cost": None}]


def _write(table: LakeTable, rows: pl.DataFrame) -> None:
    count = table.position(_COUNTER) or 0
    table.replace(rows.sort("usage_month", "number", "currency"), {_COUNTER: count + 1})
