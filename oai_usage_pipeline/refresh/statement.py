"""A month's statement made afresh from the lake: gold, its cost, and who owned what.

Belongs here: reading a month day by day, so that it needs a day's memory. What a statement says is for
`charge`; whether it replaces the one that stands, or only adjusts it, for `chargeback`.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import polars as pl

from oai_usage_pipeline.charge.chargeback import contributions, statement_of
from oai_usage_pipeline.charge.deployments import filled
from oai_usage_pipeline.charge.rates import Rates, rates_of, rates_of_day
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.dated_rows import DatedRows, as_number, digest_of
from oai_usage_pipeline.refresh.derivation import EVERY_DAY, day_of
from oai_usage_pipeline.refresh.subscribers import known_subscriptions
from oai_usage_pipeline.tables import (
    CHARGEBACK_MONTHLY,
    DEPLOYMENTS,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
)


def days_of(month: date) -> list[str]:
    """ISO dates of a month's days; `month` is its first."""
    count = monthrange(month.year, month.month)[1]
    return [(month + timedelta(days=number)).isoformat() for number in range(count)]


def end_of(month: date) -> datetime:
    """The first instant after a month (UTC)."""
    return datetime.combine(month + timedelta(days=len(days_of(month))), time(), UTC)


@dataclass(frozen=True)
class MonthSources:
    """All that statements are made of, as it was when it was read; also what makes a month stale.

    `subscriptions` are those that `known_subscriptions` tells, so that a renewed key is in the digest.
    """

    lake: Lake
    gold: LakeTable
    cost: LakeTable
    subscriptions: pl.DataFrame
    deployments: pl.DataFrame

    @classmethod
    def read(cls, lake: Lake, cost: LakeTable | None = None) -> "MonthSources":
        """Open and read them; `cost` is the handle that a caller follows it by."""
        return cls(
            lake,
            lake.table(TOKEN_USAGE_HOURLY),
            cost or lake.table(USAGE_COST_HOURLY),
            known_subscriptions(lake),
            lake.rows(DEPLOYMENTS),
        )

    def statement(self, month: date) -> pl.DataFrame:
        """Rows of CHARGEBACK_MONTHLY, entry 'usage', of a month."""
        days = [day for day in days_of(month) if day in self._gold_files or day in self._cost_files]
        return statement_of([self._contributions(day) for day in days], month).select(
            *CHARGEBACK_MONTHLY.schema
        )

    def rates(self, month: date) -> Rates:
        """The rates that a statement of the month is made with, where a line has such."""
        days = [day for day in days_of(month) if day in self._cost_files]
        return rates_of([rates_of_day(self._cost(day), self.subscriptions) for day in days])

    def digest(self, day: str) -> int:
        """See `Reference.digest`; a day is the first of a month, whose files and owners it covers."""
        if day == EVERY_DAY:
            rows, days = self._rows.all_of_them(), sorted(self._gold_files.keys() | self._cost_files.keys())
        else:
            month = date.fromisoformat(day)
            rows = self._rows.between(datetime.combine(month, time(), UTC), end_of(month))
            days = days_of(month)
        files = (name for day in days for each in self._files for name in each.get(day, ()))
        return as_number(digest_of((rows, *files)))

    def days(self) -> set[str]:
        """The first day of each month that has gold or cost: some calls cost nothing."""
        return {f"{day[:7]}-01" for day in self._gold_files.keys() | self._cost_files.keys()}

    def _contributions(self, day: str) -> pl.DataFrame:
        gold = day_of(self.gold, day).select(*TOKEN_USAGE_HOURLY.schema).collect()
        return contributions(filled(gold, self.deployments), self._cost(day), self.subscriptions)

    def _cost(self, day: str) -> pl.DataFrame:
        return day_of(self.cost, day).select(*USAGE_COST_HOURLY.schema).collect()

    @cached_property
    def _rows(self) -> DatedRows:
        return DatedRows(self.subscriptions, self.deployments)

    @cached_property
    def _gold_files(self) -> dict[str, list[str]]:
        return self.gold.files_by_day()

    @cached_property
    def _cost_files(self) -> dict[str, list[str]]:
        return self.cost.files_by_day()

    @property
    def _files(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        return self._gold_files, self._cost_files
