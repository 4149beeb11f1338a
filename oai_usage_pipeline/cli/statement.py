"""A month's chargeback as people read it: money with separators, what it lacks, adjustments in sight.

Belongs here: lines, formats and order. The figures are those of `chargeback_monthly`, not made here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from oai_usage_pipeline.cli.terminal import plain
from oai_usage_pipeline.tables import (
    ESTIMATE_COLUMNS,
    IDLE_CAPACITY,
    TOKEN_BUCKETS,
    UNATTRIBUTED,
    UNPRICED_UNITS,
)

LAST_TEAMS = (UNATTRIBUTED, IDLE_CAPACITY)
"""Below the teams that are charged."""

_TEXT_COLUMNS = ("team", "cost centre", "model", "note")


@dataclass(frozen=True)
class StatementLine:
    """One row of a statement in words; an adjustment's note says when it was made and why."""

    team: str
    cost_centre: str
    model: str
    requests: str
    tokens: str
    estimated: str
    unpriced: str
    currency: str
    cost: str
    estimated_cost: str
    note: str


def statement_lines(statement: pl.DataFrame) -> list[StatementLine]:
    """Lines by team, those that nobody answers for last; the dearest model first, adjustments after usage."""
    return [_line(row) for row in sorted(statement.iter_rows(named=True), key=_order)]


def statement_totals(statement: pl.DataFrame) -> list[str]:
    """A sentence for each currency, and for what no team or no price stands behind."""
    return list(_totals(statement))


def show_statement(statement: pl.DataFrame, title: str | None = None) -> None:
    """Print rows of `CHARGEBACK_MONTHLY` as a table, with totals below."""
    lines = statement_lines(statement)
    table = Table(
        title=title or _title(statement), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for name in StatementLine.__dataclass_fields__:
        header = name.replace("_", " ")
        table.add_column(header, justify="left" if header in _TEXT_COLUMNS else "right", overflow="fold")
    last = None
    for line in lines:
        if last not in (None, line.team):
            table.add_section()
        values = list(vars(line).values())
        table.add_row("" if line.team == last else line.team, *values[1:])
        last = line.team
    console = Console(highlight=False, markup=False)
    # A pipe or a log file has no width of its own: names are kept whole there.
    console.width = console.width if console.is_terminal else max(console.width, 180)
    console.print(table)
    for sentence in statement_totals(statement):
        console.print(f"  {sentence}")


def money(amount: Decimal | None) -> str:
    """An amount with separators and two decimals; below 0.1 with its first two digits, null as a dash."""
    if amount is None:
        return "-"
    if amount == 0 or abs(amount) >= Decimal("0.1"):
        return f"{amount:,.2f}"
    return f"{amount:.{1 - amount.adjusted()}f}"


def _line(row: dict[str, Any]) -> StatementLine:
    return StatementLine(
        team=plain(row["team"]),
        cost_centre=plain(row["cost_centre"]),
        model=plain(row["model"]),
        requests=_count(row["request_count"]),
        tokens=_count(_tokens(row, TOKEN_BUCKETS.values())),
        estimated=_share(row["estimated_share"]),
        unpriced=_unpriced(row) or "-",
        currency=plain(row["currency"]),
        cost=money(row["cost"]),
        estimated_cost=money(row["estimated_cost"]),
        note=_note(row),
    )


def _note(row: dict[str, Any]) -> str:
    reason = plain(row["reason"]) if row["reason"] else ""
    return reason if row["entry"] == "usage" else f"adjustment of {row['entry_date']}: {reason}"


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    team = row["team"] or ""
    is_adjustment = row["entry"] != "usage"
    return (
        team in LAST_TEAMS,
        team,
        row["cost_centre"] or "",
        is_adjustment,
        row["entry_date"] or date.min,
        -(row["cost"] or 0),
        row["model"] or "",
        row["currency"] or "",
    )


def _totals(statement: pl.DataFrame) -> Iterator[str]:
    of = _sums(statement, "cost")
    for currency, cost in of.items():
        parts = [f"Total: {money(cost)} {currency or '(no currency)'}"]
        for team in LAST_TEAMS:
            part = _sums(statement.filter(pl.col("team") == team), "cost").get(currency)
            parts += [f"{team} {money(part)}"] if part else []
        yield ", of which ".join(parts[:2]) + "".join(f", {part}" for part in parts[2:])
    if unpriced := _unpriced({column: statement[column].sum() for column in UNPRICED_UNITS}):
        yield f"Not in it: {unpriced} without a price"
    estimated = _total(statement, ESTIMATE_COLUMNS)
    if estimated:
        share = estimated / (estimated + _total(statement, TOKEN_BUCKETS.values()))
        yield f"Not in it: {estimated:,} estimated tokens, {share:.2%} of all, of calls that report none"


def _total(statement: pl.DataFrame, names: Iterable[str]) -> int:
    return sum(int(statement[name].sum()) for name in names)


def _sums(statement: pl.DataFrame, name: str) -> dict[str | None, Decimal]:
    known = statement.filter(pl.col(name).is_not_null())
    return dict(known.group_by("currency").agg(pl.col(name).sum()).sort("currency").iter_rows())


def _title(statement: pl.DataFrame) -> str:
    months = statement["usage_month"].unique().sort()
    return "Chargeback of " + (", ".join(f"{month:%Y-%m}" for month in months) or "a month without usage")


def _tokens(row: dict[str, Any], names: Iterable[str]) -> int | None:
    known = [row[name] for name in names if row[name] is not None]
    return sum(known) if known else None


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _unpriced(row: dict[str, Any]) -> str:
    """Each unit by itself: a token and a second of audio make no sum."""
    return ", ".join(f"{row[column]:,} {unit}" for column, unit in UNPRICED_UNITS.items() if row[column])


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
