"""Whatever is done to usage, prices and owners in whatever order, the books end as if made from nothing.

A machine over a real lake: usage comes late, prices and owners change and change back, days and months
are brought up to date one by one or not at all, months are closed and stated anew.
"""

import tempfile
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from polars.testing import assert_frame_equal

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chargeback import ChargebackMonthly
from oai_usage_pipeline.refresh.closing import close_month, restate_month
from oai_usage_pipeline.refresh.cost import UsageCostHourly
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.tables import (
    CHARGEBACK_DIMENSIONS,
    PRICES,
    SUBSCRIPTIONS,
)
from oai_usage_pipeline_tests.charge.frames import prices, subscriptions
from oai_usage_pipeline_tests.refresh.books import APRIL_9, MARCH, Books

DAYS = (10, 11, 12)
FIGURES = ("request_count", "billed_input_tokens", "cost")
COPIED = (PRICES, SUBSCRIPTIONS)


class BooksMachine(RuleBasedStateMachine):
    """See the module."""

    @initialize()
    def open_the_books(self) -> None:
        self.books = Books(Lake(str(Path(tempfile.mkdtemp()) / "lake")))
        for day in DAYS:
            self.use(day, 1)
        self.bring_up_to_date()

    @rule()
    def bring_up_to_date(self) -> None:
        self.books.refresh()
        priced = self.books.cost()["price"].drop_nulls().unique()
        assert set(priced) <= set(self.books.rows(PRICES)["price"])

    @rule(day=st.sampled_from(DAYS), tokens=st.integers(0, 3))
    def use(self, day: int, tokens: int) -> None:
        rows = len(self.books.days.get(day, ()))
        self.books.use(day, {"billed_input_tokens": tokens * 1_000_000, "user_id": str(rows)})

    @rule(price=st.integers(1, 2))
    def change_the_price(self, price: int) -> None:
        self.books.know(PRICES, prices({"price": Decimal(price)}))

    @rule(team=st.sampled_from(["search", "legal"]))
    def change_the_owner(self, team: str) -> None:
        self.books.know(SUBSCRIPTIONS, subscriptions({"team": team}))

    @rule(day=st.sampled_from(DAYS))
    def price_a_day(self, day: int) -> None:
        refresh_days(self.books.lake, UsageCostHourly(lambda: APRIL_9), [f"2026-03-{day}"])

    @rule(day=st.sampled_from(DAYS))
    def take_a_price_back_half_way(self, day: int) -> None:
        before = self.books.rows(PRICES)
        self.change_the_price(3)
        self.price_a_day(day)
        self.books.know(PRICES, before)

    @rule()
    def state_the_month(self) -> None:
        derivation = ChargebackMonthly(lambda: APRIL_9)
        refresh_days(
            self.books.lake, derivation, [each.day for each in stale_days(self.books.lake, derivation)]
        )

    @rule()
    def close_it(self) -> None:
        with suppress(ConfigurationError):
            close_month(self.books.lake, MARCH, "Ada", APRIL_9)

    @rule()
    def state_it_anew(self) -> None:
        with suppress(ConfigurationError):
            restate_month(self.books.lake, MARCH, "Ada", "the machine says so", APRIL_9)

    def teardown(self) -> None:
        if not hasattr(self, "books"):
            return
        self.books.refresh()
        assert self.books.refresh() == []
        afresh = Books(Lake(str(Path(tempfile.mkdtemp()) / "lake")))
        for contract in COPIED:
            afresh.know(contract, self.books.rows(contract))
        for day, rows in self.books.days.items():
            afresh.use(day, *rows)
        afresh.refresh()
        assert_frame_equal(self.books.cost(), afresh.cost())
        assert_frame_equal(charged(self.books), charged(afresh))


def charged(books: Books) -> pl.DataFrame:
    """What each team is charged in the end, adjustments taken in; teams that ended with nothing left out."""
    sums = books.chargeback().group_by(CHARGEBACK_DIMENSIONS).agg(pl.col(FIGURES).sum())
    return sums.filter(pl.any_horizontal(pl.col(name) != 0 for name in FIGURES)).sort(CHARGEBACK_DIMENSIONS)


TestBooks = BooksMachine.TestCase
TestBooks.settings = settings(
    max_examples=12,
    stateful_step_count=16,
    deadline=None,
    # Without shrinking: each example is two lakes, and twelve steps are short enough.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
