"""The promises about money as checks on the lake as it stands: cost follows gold, chargeback both.

Belongs here: each promise as one function from the lake to a finding, like those in `invariants`.
"""

from datetime import date

import polars as pl

from oai_usage_pipeline.audit.findings import Finding, difference, finding, stale_days_of
from oai_usage_pipeline.charge.chargeback import FIGURES
from oai_usage_pipeline.charge.day import cost_of_day
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.cost import USAGE_COST_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.derivation import day_of
from oai_usage_pipeline.refresh.statement import MonthSources
from oai_usage_pipeline.tables import (
    BUCKETS,
    CHARGEBACK_DIMENSIONS,
    CHARGEBACK_MONTHLY,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
    USAGE_DIMENSIONS,
)

_COUNTED = ("request_count", *BUCKETS.values())


def cost_equals_rebuild(lake: Lake) -> Finding:
    """Pricing a day of gold again gives the cost that is there, to the last digit; not of days behind."""
    gold, cost = lake.existing(TOKEN_USAGE_HOURLY), lake.existing(USAGE_COST_HOURLY)
    reference = USAGE_COST_HOURLY_DERIVATION.reference(lake, gold)
    days = (gold.days() | cost.days() | reference.days()) - stale_days_of(lake, USAGE_COST_HOURLY)
    wrong = []
    for day in sorted(days):
        rows = day_of(gold, day).select(*TOKEN_USAGE_HOURLY.schema).collect()
        found = day_of(cost, day).select(*USAGE_COST_HOURLY.schema).collect()
        expected = cost_of_day(
            rows, reference.prices, reference.deployments, date.fromisoformat(day), reference.now
        )
        keys = [*USAGE_DIMENSIONS, "bucket"]
        wrong += difference(found, expected, keys, f"cost of {day} differs from pricing its gold again")
    return finding(
        "cost_equals_rebuild",
        wrong,
        f"Pricing {len(days)} days of gold again changes nothing",
        {"days": len(days), "different": len(wrong)},
    )


def chargeback_equals_rebuild(lake: Lake) -> Finding:
    """A month's entries, adjustments included, add up to a statement made afresh, and to gold's calls."""
    table, sources = lake.existing(CHARGEBACK_MONTHLY), MonthSources.read(lake)
    months = (table.days() | sources.days()) - stale_days_of(lake, CHARGEBACK_MONTHLY)
    wrong = _not_as_gold(table, months, sources.gold)
    for month in sorted(months):
        entries = day_of(table, month).collect()
        wrong += _not_as_stated(entries, sources.statement(date.fromisoformat(month)), month)
    return finding(
        "chargeback_equals_rebuild",
        wrong,
        f"Stating {len(months)} months again, by team, model and currency, changes no figure",
        {"months": len(months), "different": len(wrong)},
    )


def _not_as_stated(entries: pl.DataFrame, fresh: pl.DataFrame, month: str) -> list[str]:
    """Each figure of each line that differs, null counting as nothing."""
    sums = [
        rows.group_by(CHARGEBACK_DIMENSIONS).agg(pl.col(name).sum().fill_null(0) for name in FIGURES)
        for rows in (entries, fresh)
    ]
    both = sums[0].join(
        sums[1], on=CHARGEBACK_DIMENSIONS, how="full", coalesce=True, nulls_equal=True, suffix="_fresh"
    )
    return [
        f"{month[:7]}: {name} of {', '.join(str(line[each] or '-') for each in CHARGEBACK_DIMENSIONS)} is "
        f"{line[name] or 0} in chargeback and {line[f'{name}_fresh'] or 0} stated afresh"
        for line in both.sort(CHARGEBACK_DIMENSIONS).iter_rows(named=True)
        for name in FIGURES
        if (line[name] or 0) != (line[f"{name}_fresh"] or 0)
    ]


def _not_as_gold(chargeback: LakeTable, months: set[str], gold: LakeTable) -> list[str]:
    """The same of whole months, by adding up gold itself: it shares nothing with how statements are made."""
    charged = _sums(chargeback.scan(), pl.col("usage_month"))
    used = _sums(gold.scan(), pl.col("usage_date").dt.month_start())
    return [
        f"{month[:7]}: {name} is {found} in chargeback and {expected} in gold"
        for month in sorted(months)
        for name, found, expected in zip(
            _COUNTED, charged.get(month, _NONE), used.get(month, _NONE), strict=True
        )
        if found != expected
    ]


_NONE = (0,) * len(_COUNTED)


def _sums(rows: pl.LazyFrame, month: pl.Expr) -> dict[str, tuple[int, ...]]:
    sums = rows.group_by(month.cast(pl.String).alias("month")).agg(
        pl.col(name).cast(pl.Int128).sum() for name in _COUNTED
    )
    return {row[0]: row[1:] for row in sums.collect().iter_rows()}
