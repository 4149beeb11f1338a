"""What changed since a month was closed, as rows to append; the rows that stand are never touched.

Belongs here: the difference between two statements. When a month is closed is for `refresh`.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from oai_usage_pipeline.charge.chargeback import COUNTS, FIGURES, QUANTITIES, UNPRICED
from oai_usage_pipeline.charge.periods import Row
from oai_usage_pipeline.charge.rates import Rates, cost_at
from oai_usage_pipeline.tables import CHARGEBACK_DIMENSIONS, CHARGEBACK_MONTHLY

LATE_EVENTS = "late events"
PRICE_OR_OWNER = "price or attribution changed"
OTHER_CURRENCY = f"{PRICE_OR_OWNER}: the same calls are in the line of another currency, or of none"
BOTH = "late events; prices or attribution changed too"
PERHAPS_BOTH = "late events; whether prices changed too can't be told"

ROUNDING = Decimal("0.000001")
"""What rounding each row of cost at 12 places can add up to in a line; less is no change of a price."""

_GROUP = ("usage_month", *CHARGEBACK_DIMENSIONS)
_USE = (*COUNTS, *QUANTITIES)


def adjustments(
    existing: pl.DataFrame, fresh: pl.DataFrame, entry_date: date, rates: Rates | None = None
) -> pl.DataFrame:
    """Rows, entry 'adjustment', that make the sums of a month's existing rows those of a fresh statement.

    For each team, cost centre, model and currency of which any figure moved, with the differences; with
    them appended the sums are those of `fresh` exactly (null counts as nothing), so a second call gives no
    rows. The reason says what moved them:

    - `LATE_EVENTS` where the model's calls or tokens moved in all, `PRICE_OR_OWNER` where they only moved
      between lines or only the money did, `OTHER_CURRENCY` where they only moved between currencies;
    - with `rates` (those of `fresh`), a line of which both happened gets a row for each: what was there
      before is priced at today's rates, and what that differs by is no late event's;
    - `BOTH` where lines of a model moved in both directions, so that no part can be told apart, and
      `PERHAPS_BOTH` where a line has no single rates.
    """
    sums = existing.group_by(_GROUP).agg(_sum(name) for name in FIGURES)
    moved = fresh.select(*_GROUP, *FIGURES).join(
        sums, on=_GROUP, how="full", coalesce=True, nulls_equal=True, suffix="_before"
    )
    lines = moved.with_columns(_difference(name).alias(f"{name}_moved") for name in FIGURES).with_columns(
        is_late=_any_moved("usage_month", "model") & _any_moved(),
        is_mixed=_any_of(
            (pl.col(f"{name}_moved") > 0).any().over("usage_month", "model")
            & (pl.col(f"{name}_moved") < 0).any().over("usage_month", "model")
            for name in _USE
        ),
        is_other_currency=_any_moved() & ~_any_moved("usage_month", "team", "cost_centre", "model"),
    )
    lines = lines.filter(_any_of(pl.col(f"{name}_moved") != 0 for name in FIGURES))
    rows = [row for line in lines.iter_rows(named=True) for row in _rows(line, entry_date, rates)]
    return pl.DataFrame(rows, schema=CHARGEBACK_MONTHLY.schema).sort(*CHARGEBACK_DIMENSIONS, "reason")


def _rows(line: Row, entry_date: date, rates: Rates | None) -> list[dict[str, Any]]:
    """One row, or two where late events and another price can be told apart."""
    row = {
        "entry": "adjustment",
        "entry_date": entry_date,
        **{name: line[name] for name in _GROUP},
        **{name: line[f"{name}_moved"] for name in FIGURES},
    }
    reason, other = _reason(line, rates)
    if other is None:
        return [row | {"reason": reason}]
    # Late events can't make less of what has no price.
    found = {name: row[name] for name in UNPRICED if (row[name] or 0) < 0}
    late = row | dict.fromkeys(found) | {"cost": line["cost_moved"] - other, "reason": reason}
    price = row | dict.fromkeys(FIGURES) | found | {"cost": other, "reason": PRICE_OR_OWNER}
    return [late, price]


def _reason(line: Row, rates: Rates | None) -> tuple[str, Decimal | None]:
    """Why a line moved, and what of the money another price did, where that can be told and isn't nothing."""
    if not line["is_late"]:
        return OTHER_CURRENCY if line["is_other_currency"] else PRICE_OR_OWNER, None
    if line["is_mixed"]:
        return BOTH, None
    if rates is None or line["cost_before"] is None:
        return LATE_EVENTS, None
    known = rates.get(tuple(line[name] for name in CHARGEBACK_DIMENSIONS))
    if known is None:
        return PERHAPS_BOTH, None
    before = {name: line[f"{name}_before"] for name in QUANTITIES}
    other = cost_at(known, before) - line["cost_before"]
    return LATE_EVENTS, other if abs(other) > ROUNDING else None


def _sum(name: str) -> pl.Expr:
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name)


def _difference(name: str) -> pl.Expr:
    """Fresh less existing; null only where neither is known."""
    now, before = pl.col(name), pl.col(f"{name}_before")
    zero = pl.lit(0).cast(CHARGEBACK_MONTHLY.schema[name])
    difference = now.fill_null(zero) - before.fill_null(zero)
    return pl.when(now.is_not_null() | before.is_not_null()).then(difference).alias(name)


def _any_moved(*over: str) -> pl.Expr:
    """Whether calls or quantities moved: in a line, or in all lines that have these columns in common."""
    moved = (pl.col(f"{name}_moved").fill_null(0) for name in _USE)
    return _any_of((each.sum().over(over) if over else each) != 0 for each in moved)


def _any_of(conditions: Iterable[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(each.fill_null(value=False) for each in conditions)
