"""Our cost against a cost export: which meters are for which model, and what comes of it.

Pure: rows of both sides in, lines out. The choice of a cause is in `causes`, but for what only money
knows: prices and currencies.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from oai_usage_pipeline.reconcile.causes import (
    BYPASS,
    CURRENCY,
    CUT,
    EXCESS,
    GAP,
    PRICE,
    UNPRICED,
    Evidence,
    Verdict,
    agree,
    shown,
)
from oai_usage_pipeline.reconcile.cost_export import CostExport
from oai_usage_pipeline.reconcile.names import PROVISIONED, meter_family, model_family
from oai_usage_pipeline.reconcile.variance import VarianceLine, compared, days_without_data, one_sided

Row = dict[str, Any]
_MILLION = 1_000_000


@dataclass
class _Side:
    """One side of a subject: money by currency, and what there is beside it."""

    costs: dict[str, Decimal] = field(default_factory=dict)
    estimates: dict[str, Decimal] = field(default_factory=dict)
    tokens: int | None = None
    unpriced: int = 0

    def add(self, row: Row) -> None:
        """Take in a row of either side; null adds nothing, and isn't zero."""
        for costs, column in ((self.costs, "cost"), (self.estimates, "estimated_cost")):
            if row["currency"] and row.get(column) is not None:
                costs[row["currency"]] = costs.get(row["currency"], Decimal(0)) + row[column]
        if row["token_count"] is not None:
            self.tokens = (self.tokens or 0) + row["token_count"]
        self.unpriced += row.get("unpriced_rows") or 0

    def merge(self, other: "_Side") -> None:
        """Take in another subject."""
        for costs, more in ((self.costs, other.costs), (self.estimates, other.estimates)):
            for currency, cost in more.items():
                costs[currency] = costs.get(currency, Decimal(0)) + cost
        if other.tokens is not None:
            self.tokens = (self.tokens or 0) + other.tokens
        self.unpriced += other.unpriced


_Sides = dict[str, _Side]


@dataclass(frozen=True)
class CostSides:
    """Both sides of a period."""

    ours: pl.DataFrame
    theirs: CostExport
    incomplete_days: frozenset[date]
    tolerance: Decimal


def cost_lines(sides: CostSides) -> list[VarianceLine]:
    """A line for each day, model and currency in which either side has cost.

    Provisioned units are compared as a whole, and so are meters and models that fit each other by no name.
    """
    ours, theirs = _by_day(sides.ours), _by_day(sides.theirs.rows)
    lines = days_without_data("cost", set(ours), set(theirs), sides.incomplete_days, "the cost exports")
    for day in sorted(set(ours) & set(theirs)):
        our, their = _subjects(ours[day], theirs[day])
        for subject in sorted(set(our) | set(their)):
            lines += _lines(sides, day, subject, our.get(subject), their.get(subject))
    return lines


def _by_day(rows: pl.DataFrame) -> dict[date, list[Row]]:
    found: dict[date, list[Row]] = defaultdict(list)
    for row in rows.to_dicts():
        found[row["usage_date"]].append(row)
    return found


def _subjects(ours: Iterable[Row], theirs: Iterable[Row]) -> tuple[_Sides, _Sides]:
    our: dict[str, _Side] = defaultdict(_Side)
    their: dict[str, _Side] = defaultdict(_Side)
    for row in ours:
        model = f"model {model_family(row['model'])}" if row["model"] else "no model named"
        our[PROVISIONED if row["is_provisioned"] else model].add(row)
    families = {subject.removeprefix("model ") for subject in our if subject.startswith("model ")}
    for row in theirs:
        their[_meter_subject(row["meter"], families)].add(row)
    return _with_unmatched_together(our, their)


def _with_unmatched_together(our: dict[str, _Side], their: dict[str, _Side]) -> tuple[_Sides, _Sides]:
    """What has no partner by name on either side becomes one subject: their sums may still agree."""
    ours_alone, theirs_alone = sorted(set(our) - set(their)), sorted(set(their) - set(our))
    if not ours_alone or not theirs_alone:
        return our, their
    subject = f"{_listed(ours_alone)} and {_listed(theirs_alone)}"
    for side, alone in ((our, ours_alone), (their, theirs_alone)):
        together = _Side()
        for each in alone:
            together.merge(side.pop(each))
        side[subject] = together
    return our, their


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + rest


def _meter_subject(meter: str, families: set[str]) -> str:
    if "provisioned" in meter.lower():
        return PROVISIONED
    family = meter_family(meter, families)
    return f"model {family}" if family else f"meter {meter}"


def _lines(
    sides: CostSides, day: date, subject: str, our: _Side | None, their: _Side | None
) -> list[VarianceLine]:
    our, their = our or _Side(), their or _Side()
    if their.costs and our.costs and not set(our.costs) & set(their.costs):
        return [_other_currency(day, subject, our, their)]
    lines = []
    for currency in sorted(set(our.costs) | set(their.costs)):
        lines += _currency_lines(sides, day, subject, currency, our, their)
    return lines


def _other_currency(day: date, subject: str, our: _Side, their: _Side) -> VarianceLine:
    sentence = f"ours {_money(our.costs)}, theirs {_money(their.costs)}: not compared, no rate is assumed"
    return one_sided(day, subject, "cost", None, None, Verdict(CURRENCY, sentence))


def _money(costs: dict[str, Decimal]) -> str:
    return " and ".join(f"{shown(cost)} {currency}" for currency, cost in sorted(costs.items()))


def _currency_lines(
    sides: CostSides, day: date, subject: str, currency: str, our: _Side, their: _Side
) -> list[VarianceLine]:
    ours, theirs = our.costs.get(currency), their.costs.get(currency)
    measure, is_cut = f"cost {currency}", day == sides.theirs.last_date
    if not ours and not theirs:
        return []
    if theirs is None:
        assert ours is not None
        found = Verdict(
            CUT if is_cut else EXCESS, f"ours {shown(ours)} {currency}, and no charge of it in theirs"
        )
        return [one_sided(day, subject, measure, ours, None, found)]
    if ours is None and not our.unpriced and not our.estimates:
        is_gap = day in sides.incomplete_days
        found = Verdict(
            GAP if is_gap else BYPASS, f"theirs {shown(theirs)} {currency}, and we have no usage of it"
        )
        return [one_sided(day, subject, measure, None, theirs, found)]
    evidence = Evidence(
        ours=ours,
        theirs=theirs,
        unit=currency,
        tolerance=sides.tolerance,
        estimate=our.estimates.get(currency),
        unmetered_count=None,
        is_incomplete=day in sides.incomplete_days,
        is_cut=is_cut,
    )
    return [compared(day, subject, measure, evidence, _money_tells(evidence, our, their))]


def _money_tells(evidence: Evidence, our: _Side, their: _Side) -> Verdict | None:
    """What a difference in money may come from beside a difference in use."""
    if agree(evidence.ours or 0, evidence.theirs, evidence.tolerance):
        return None
    if evidence.missing > 0 and our.unpriced:
        return Verdict(UNPRICED, f"{evidence.pair}, and {our.unpriced:,} of our rows of cost have no price")
    if our.tokens and their.tokens and agree(our.tokens, their.tokens, evidence.tolerance):
        prices = (
            f"{_per_million(evidence.ours, our.tokens)} and {_per_million(evidence.theirs, their.tokens)}"
        )
        return Verdict(
            PRICE,
            f"{evidence.pair}, while the tokens agree (ours {our.tokens:,}, theirs {their.tokens:,}): on "
            f"average {prices} {evidence.unit} per million",
        )
    return None


def _per_million(cost: Decimal | int | None, tokens: int) -> str:
    return shown(round(Decimal(cost or 0) * _MILLION / tokens, 6))
