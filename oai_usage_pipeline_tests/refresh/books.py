"""A lake with gold and reference data of the tests' own making, and what follows from them."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import polars as pl

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chargeback import ChargebackMonthly
from oai_usage_pipeline.refresh.cost import UsageCostHourly
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.tables import (
    CHARGEBACK_MONTHLY,
    DEPLOYMENTS,
    PRICES,
    SUBSCRIPTIONS,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
    TableContract,
)
from oai_usage_pipeline_tests.charge.frames import Row, deployments, gold, prices, subscriptions

MARCH = date(2026, 3, 1)
APRIL_9 = datetime(2026, 4, 9, 8, 30, tzinfo=UTC)


@dataclass
class Books:
    """Gold is written as the pipeline does, a day at once; `now` is the clock of what follows."""

    lake: Lake
    now: datetime = APRIL_9
    days: dict[int, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.know(PRICES, prices({}, {"bucket": "output", "price": 10}))
        self.know(DEPLOYMENTS, deployments())
        self.know(SUBSCRIPTIONS, subscriptions({}))

    def know(self, contract: TableContract, rows: pl.DataFrame) -> None:
        """Land reference data."""
        self.lake.table(contract).replace(rows, {})

    def use(self, day: int, *rows: Row) -> None:
        """Add gold rows to a day of March 2026, at 9 o'clock unless they say otherwise."""
        self.days.setdefault(day, []).extend(rows)
        hour = datetime(2026, 3, day, 9, tzinfo=UTC)
        made = gold(*({"hour_at": hour} | row for row in self.days[day]))
        self.lake.table(TOKEN_USAGE_HOURLY).replace_day(f"2026-03-{day:02}", made, {})

    def refresh_cost(self) -> list[str]:
        """Bring cost up to date; returns the days that were behind."""
        derivation = UsageCostHourly(lambda: self.now)
        behind = [each.day for each in stale_days(self.lake, derivation)]
        assert {each.mode for each in refresh_days(self.lake, derivation, behind)} <= {"rebuilt"}
        return behind

    def refresh_chargeback(self) -> list[str]:
        """Bring chargeback up to date; returns the months that were behind."""
        derivation = ChargebackMonthly(lambda: self.now)
        behind = [each.day for each in stale_days(self.lake, derivation)]
        refresh_days(self.lake, derivation, behind)
        return behind

    def refresh(self) -> list[str]:
        """Both."""
        return self.refresh_cost() + self.refresh_chargeback()

    def rows(self, contract: TableContract) -> pl.DataFrame:
        """A table as it stands, in a fixed order."""
        return self.lake.table(contract).scan().collect().select(*contract.schema).sort(pl.all())

    def cost(self) -> pl.DataFrame:
        return self.rows(USAGE_COST_HOURLY)

    def chargeback(self) -> pl.DataFrame:
        return self.rows(CHARGEBACK_MONTHLY)
