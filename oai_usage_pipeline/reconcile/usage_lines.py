"""Gold against Azure Monitor's metrics: which rows are compared with which, and what comes of it.

Pure: rows of both sides in, lines out. The choice of a cause is in `causes`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from oai_usage_pipeline.reconcile.causes import (
    BYPASS,
    CUT,
    EXCESS,
    GAP,
    Amount,
    Evidence,
    Verdict,
    shown,
)
from oai_usage_pipeline.reconcile.metrics import Metrics
from oai_usage_pipeline.reconcile.names import model_family
from oai_usage_pipeline.reconcile.variance import VarianceLine, compared, days_without_data, one_sided

Row = dict[str, Any]
TOKENS = ("input_tokens", "output_tokens", "total_tokens")
_KEYS = ("usage_date", "deployment", "model")

EVERYTHING = "all models"
UNNAMED = "no model named"


@dataclass(frozen=True)
class UsageSides:
    """Both sides of a period. `known_models` is what the reference table says of deployments."""

    ours: pl.DataFrame
    theirs: Metrics
    known_models: Mapping[str, str]
    incomplete_days: frozenset[date]
    tolerance: Decimal


def usage_lines(sides: UsageSides) -> list[VarianceLine]:
    """A line for each day, subject and direction of tokens in which either side has tokens.

    The subject is the deployment where both sides name it throughout, else the model, else all models.
    """
    ours, theirs = _by_day(sides.ours), _by_day(sides.theirs.rows)
    lines = days_without_data("tokens", set(ours), set(theirs), sides.incomplete_days, "the metrics")
    for day in sorted(set(ours) & set(theirs)):
        lines += _day_lines(sides, day, ours[day], theirs[day])
    return lines


def _by_day(rows: pl.DataFrame) -> dict[date, list[Row]]:
    found: dict[date, list[Row]] = defaultdict(list)
    for row in rows.to_dicts():
        found[row["usage_date"]].append(row)
    return found


class _Subjects:
    """How the rows of one day are matched; see `usage_lines`."""

    def __init__(self, ours: list[Row], theirs: list[Row], known_models: Mapping[str, str]) -> None:
        self._models = {**_models_of_deployments([*ours, *theirs]), **known_models}
        self._own_names = {model_family(row["model"]) for row in ours if row["model"]}
        both = [*ours, *theirs]
        self._loose = {self._family(row) for row in both if not row["deployment"]} - {None}
        self._loose_deployments = {
            row["deployment"].lower()
            for row in both
            if row["deployment"] and self._family(row) in self._loose
        }
        self._is_whole = any(
            not row["deployment"] and not row["model"] and any(row[each] is not None for each in TOKENS)
            for row in theirs
        )

    def __call__(self, row: Row) -> str:
        if self._is_whole:
            return EVERYTHING
        family, deployment = self._family(row), (row["deployment"] or "").lower()
        if deployment and deployment not in self._loose_deployments:
            return f"deployment {deployment}"
        return f"model {family}" if family else UNNAMED

    def _family(self, row: Row) -> str | None:
        if row["model"]:
            return model_family(row["model"])
        deployment = (row["deployment"] or "").lower()
        named_like_its_model = (
            model_family(deployment) if model_family(deployment) in self._own_names else None
        )
        return self._models.get(deployment, named_like_its_model) if deployment else None


def _models_of_deployments(rows: Iterable[Row]) -> dict[str, str]:
    families: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["deployment"] and row["model"]:
            families[row["deployment"].lower()].add(model_family(row["model"]))
    return {deployment: next(iter(found)) for deployment, found in families.items() if len(found) == 1}


def _day_lines(sides: UsageSides, day: date, ours: list[Row], theirs: list[Row]) -> list[VarianceLine]:
    subject_of = _Subjects(ours, theirs, sides.known_models)
    our_sums, their_sums = _summed(ours, subject_of), _summed(theirs, subject_of)
    unread = sum((row["pending_count"] or 0) + (row["rejected_count"] or 0) for row in ours)
    lines = []
    for subject in sorted(set(our_sums) | set(their_sums)):
        our, their = our_sums.get(subject, {}), their_sums.get(subject, {})
        for measure in _measures(our, their):
            lines += _line(sides, day, subject, measure, our, their, unread)
    return lines


def _summed(rows: list[Row], subject_of: _Subjects) -> dict[str, Row]:
    sums: dict[str, Row] = defaultdict(dict)
    for row in rows:
        into = sums[subject_of(row)]
        for column, value in row.items():
            if column not in _KEYS and value is not None:
                into[column] = into.get(column, 0) + value
    return sums


def _measures(our: Row, their: Row) -> tuple[str, ...]:
    """Input and output apart, where both sides can tell them apart; else the total."""
    is_split = "input_tokens" in their or "output_tokens" in their or "total_tokens" not in their
    if is_split and not our.get("billed_unsplit_tokens"):
        return ("input_tokens", "output_tokens")
    return ("total_tokens",)


def _line(
    sides: UsageSides, day: date, subject: str, measure: str, our: Row, their: Row, unread: int
) -> list[VarianceLine]:
    ours, theirs = _our_tokens(our, measure), _their_tokens(their, measure)
    name = {"total_tokens": "tokens"}.get(measure, measure.replace("_", " "))
    if not ours and not theirs:
        return []
    is_incomplete, is_cut = day in sides.incomplete_days, day not in sides.theirs.whole_days
    if theirs is None:
        found = Verdict(CUT if is_cut else EXCESS, f"ours {ours:,}, and the metrics name none of it")
        return [one_sided(day, subject, name, ours, None, found)]
    if not our:
        found = Verdict(
            GAP if is_incomplete else BYPASS, f"theirs {shown(theirs)}, and we have no call of it"
        )
        return [one_sided(day, subject, name, None, theirs, found)]
    evidence = Evidence(
        ours=ours,
        theirs=theirs,
        unit="tokens",
        tolerance=sides.tolerance,
        estimate=_estimate(our, measure),
        unmetered_count=our.get("unmetered_count", 0),
        unestimated_count=our.get("unmetered_count", 0) - our.get("estimated_count", 0),
        unread_count=unread,
        our_requests=our.get("request_count"),
        their_requests=their.get("request_count"),
        is_incomplete=is_incomplete,
        is_cut=is_cut,
    )
    return [compared(day, subject, name, evidence)]


def _our_tokens(our: Row, measure: str) -> int | None:
    if measure != "total_tokens":
        return our.get(measure)
    parts = [our[part] for part in ("input_tokens", "output_tokens", "billed_unsplit_tokens") if part in our]
    return sum(parts) if parts else None


def _their_tokens(their: Row, measure: str) -> Amount | None:
    if measure != "total_tokens" or "total_tokens" in their:
        return their.get(measure)
    parts = [their[part] for part in ("input_tokens", "output_tokens") if part in their]
    return sum(parts) if parts else None


def _estimate(our: Row, measure: str) -> int | None:
    parts = ("input", "output") if measure == "total_tokens" else (measure.removesuffix("_tokens"),)
    found = [our[f"estimated_{part}_tokens"] for part in parts if f"estimated_{part}_tokens" in our]
    return sum(found) if found else None
