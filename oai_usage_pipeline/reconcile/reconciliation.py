"""The reconciliation of a period: reads the files and the lake, compares, and adds up.

The one entry for commands and assets: `reconcile_files`, `reconcile_folder`. Formats, matching and causes
are each a matter of their own module.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reconcile.causes import Amount
from oai_usage_pipeline.reconcile.cost_export import read_cost_exports
from oai_usage_pipeline.reconcile.cost_lines import CostSides, cost_lines
from oai_usage_pipeline.reconcile.metrics import Metrics, read_metrics
from oai_usage_pipeline.reconcile.ours import incomplete_days, models_of_deployments, our_costs, our_usage
from oai_usage_pipeline.reconcile.usage_lines import UsageSides, usage_lines
from oai_usage_pipeline.reconcile.variance import VarianceLine

TOLERANCE = Decimal("0.5")
"""Percent."""

FOLDER = "reconciliation"
"""Below the reference folder: `metrics*.json` and `cost*.csv`."""


@dataclass(frozen=True)
class Total:
    """What a measure adds up to over the days that both sides hold, whichever of them names the subject."""

    measure: str
    ours: Amount
    theirs: Amount
    difference: Amount


@dataclass(frozen=True)
class Period:
    """The days compared: as asked for, else those that the files reach over. `given_days` are known to be
    incomplete, beside those that the lake itself shows to be."""

    first: date | None = None
    last: date | None = None
    given_days: frozenset[date] = frozenset()


@dataclass(frozen=True)
class Reconciliation:
    """What came of it. `holds` is whether something was compared and nothing is beyond the tolerance."""

    files: tuple[str, ...]
    tolerance: Decimal
    lines: tuple[VarianceLine, ...]

    @property
    def holds(self) -> bool:
        """Nothing beyond the tolerance, and not for want of anything to compare."""
        return any(line.is_compared for line in self.lines) and not self.beyond

    @property
    def beyond(self) -> list[VarianceLine]:
        """The lines beyond the tolerance."""
        return [line for line in self.lines if line.is_beyond]

    @property
    def totals(self) -> list[Total]:
        """By measure; what could not be compared is not in them."""
        sums: dict[str, Total] = {}
        for line in self.lines:
            if not line.is_compared or line.ours is line.theirs is None:
                continue
            old = sums.get(line.measure, Total(line.measure, 0, 0, 0))
            ours, theirs = old.ours + (line.ours or 0), old.theirs + (line.theirs or 0)
            sums[line.measure] = Total(line.measure, ours, theirs, theirs - ours)
        return [sums[measure] for measure in sorted(sums)]

    @property
    def findings(self) -> list[str]:
        """A sentence, with both numbers and the cause, for each line that doesn't agree."""
        return [f"{line.cause}: {line.sentence}" for line in self.lines if line.cause != "agrees"]

    @property
    def sentence(self) -> str:
        """What came of it, in a sentence or two."""
        if not self.files:
            return (
                f"Nothing to reconcile: there are no metrics*.json and no cost*.csv in the folder {FOLDER}."
            )
        compared = [line for line in self.lines if line.is_compared]
        aside = len(self.lines) - len(compared)
        rest = f" {aside} could not be compared." if aside else ""
        if not compared:
            return f"Nothing was compared: the files and the lake have no day in common.{rest}"
        if not self.beyond:
            return f"All {len(compared)} comparisons agree within {self.tolerance} %.{rest}"
        causes = ", ".join(f"{count} x {cause}" for cause, count in _counted(self.beyond).items())
        share = f"{len(self.beyond)} of {len(compared)} comparisons are beyond {self.tolerance} %"
        return f"{share}: {causes}.{rest}"

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON: money and shares as text, since JSON's numbers are floats to many readers."""
        return {
            "holds": self.holds,
            "sentence": self.sentence,
            "tolerance_percent": str(self.tolerance),
            "files": list(self.files),
            "totals": [_plain(asdict(each)) for each in self.totals],
            "lines": [{**_plain(asdict(line)), "is_beyond": line.is_beyond} for line in self.lines],
        }


def reconcile_folder(
    lake: Lake, folder: Path, *, period: Period | None = None, tolerance: Decimal = TOLERANCE
) -> Reconciliation:
    """Reconcile with the files in the reference folder's `reconciliation`, which need not exist.

    Raises ConfigurationError when a file is not what its name says.
    """
    files = folder / FOLDER
    metrics, costs = sorted(files.glob("metrics*.json")), sorted(files.glob("cost*.csv"))
    return reconcile_files(lake, metrics, costs, period=period, tolerance=tolerance)


def reconcile_files(
    lake: Lake,
    metrics: Sequence[Path],
    costs: Sequence[Path],
    *,
    period: Period | None = None,
    tolerance: Decimal = TOLERANCE,
) -> Reconciliation:
    """Compare the lake with answers of Azure Monitor and with cost exports, either of which may be none.

    `tolerance` is in percent. Raises ConfigurationError for files that are not what they should be, and
    LakeUnavailable.
    """
    period = period or Period()
    if period.first and period.last and period.first > period.last:
        raise ConfigurationError(f"The period ends on {period.last}, before it begins on {period.first}")
    lines: list[VarianceLine] = []
    if metrics:
        lines += _usage(lake, metrics, period, tolerance)
    if costs:
        lines += _costs(lake, costs, period, tolerance)
    return Reconciliation(tuple(str(each) for each in (*metrics, *costs)), tolerance, tuple(lines))


def _usage(lake: Lake, files: Sequence[Path], period: Period, tolerance: Decimal) -> list[VarianceLine]:
    read = read_metrics(files)
    first, last = _reach(read.rows, period)
    if first is None or last is None:
        return []
    sides = UsageSides(
        ours=our_usage(lake, first, last),
        theirs=Metrics(_within(read.rows, first, last), read.whole_days),
        known_models=models_of_deployments(lake),
        incomplete_days=period.given_days | incomplete_days(lake, first, last),
        tolerance=tolerance,
    )
    return usage_lines(sides)


def _costs(lake: Lake, files: Sequence[Path], period: Period, tolerance: Decimal) -> list[VarianceLine]:
    read = read_cost_exports(files)
    first, last = _reach(read.rows, period)
    if first is None or last is None:
        return []
    sides = CostSides(
        ours=our_costs(lake, first, last),
        theirs=type(read)(_within(read.rows, first, last), read.last_date),
        incomplete_days=period.given_days | incomplete_days(lake, first, last),
        tolerance=tolerance,
    )
    return cost_lines(sides)


def _reach(rows: pl.DataFrame, period: Period) -> tuple[date | None, date | None]:
    days = rows["usage_date"].to_list()
    return period.first or min(days, default=None), period.last or max(days, default=None)


def _within(rows: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    return rows.filter(pl.col("usage_date").is_between(first, last))


def _counted(lines: Sequence[VarianceLine]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.cause] = counts.get(line.cause, 0) + 1
    return counts


def _plain(record: dict[str, object]) -> dict[str, object]:
    return {name: _text(value) for name, value in record.items()}


def _text(value: object) -> object:
    return str(value) if isinstance(value, date) else f"{value:f}" if isinstance(value, Decimal) else value
