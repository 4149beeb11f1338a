"""Cost from gold: a day is priced as a whole, with the prices and deployments that held on it.

Belongs here: which reference data a day depends on, and which days provisioned throughput costs without
any use. What a day costs is for `charge`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import polars as pl

from oai_usage_pipeline.charge.day import cost_of_day
from oai_usage_pipeline.charge.provisioned import paid_days, paid_hours
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.dated_rows import DatedRows, as_number, digest_of
from oai_usage_pipeline.refresh.derivation import EVERY_DAY, Derivation, rows_of
from oai_usage_pipeline.tables import DEPLOYMENTS, PRICES, PROVISIONED, TOKEN_USAGE_HOURLY, USAGE_COST_HOURLY

DAY = timedelta(days=1)


def clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class CostReference:
    """Prices and deployments as they are landed, the days of gold, and the time it is."""

    prices: pl.DataFrame
    deployments: pl.DataFrame
    gold_days: frozenset[str]
    now: datetime

    def digest(self, day: str) -> int:
        """See `Reference.digest`: rows valid on the day, its ended provisioned hours, whether gold has it."""
        if day == EVERY_DAY:
            return as_number(digest_of((self._rows.all_of_them(), *sorted(self.gold_days), *self._hour)))
        at = date.fromisoformat(day)
        midnight = datetime.combine(at, time(), UTC)
        rows = self._rows.between(midnight, midnight + DAY)
        return as_number(digest_of((rows, str(self._paid_hours(at)), str(day in self.gold_days))))

    def days(self) -> set[str]:
        """Days that a provisioned deployment costs, used or not, from its `valid_from` to today.

        Never from gold's first day on: a single wrong clock would invent years of idle hours.
        """
        return paid_days(self._provisioned, self.now)

    def _paid_hours(self, day: date) -> int:
        return paid_hours(self._provisioned, day, self.now)

    @property
    def _hour(self) -> tuple[str, ...]:
        """The running hour, where something is paid by the hour: with it days become stale."""
        return (self.now.strftime("%Y-%m-%dT%H"),) if self._has_provisioned else ()

    @property
    def _has_provisioned(self) -> bool:
        return not self._provisioned.is_empty()

    @cached_property
    def _provisioned(self) -> pl.DataFrame:
        return self.deployments.filter(pl.col("deployment_type").str.ends_with(PROVISIONED))

    @cached_property
    def _rows(self) -> DatedRows:
        return DatedRows(self.prices, self.deployments)


class UsageCostHourly(Derivation[CostReference]):
    """See the module. `now` says until when provisioned hours are paid; tests pass their own."""

    source = TOKEN_USAGE_HOURLY
    target = USAGE_COST_HOURLY
    day_column = "usage_date"

    def __init__(self, now: Callable[[], datetime] = clock) -> None:
        self._now = now

    def reference(self, lake: Lake, source: LakeTable) -> CostReference:
        """See `Derivation.reference`."""
        return CostReference(
            prices=lake.rows(PRICES),
            deployments=lake.rows(DEPLOYMENTS),
            gold_days=frozenset(source.days()),
            now=self._now(),
        )

    def rebuild(
        self,
        target: LakeTable,
        day: str,
        source: LakeTable,
        marks: Mapping[str, int],
        reference: CostReference,
    ) -> None:
        """See `Derivation.rebuild`."""
        gold = rows_of(source, self.day_column, day).select(*TOKEN_USAGE_HOURLY.schema).collect()
        rows = cost_of_day(
            gold, reference.prices, reference.deployments, date.fromisoformat(day), reference.now
        )
        target.replace_day(day, rows, marks)


USAGE_COST_HOURLY_DERIVATION = UsageCostHourly()
