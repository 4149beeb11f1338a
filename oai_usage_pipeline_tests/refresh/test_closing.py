"""Closing and restating: what is refused, what is recorded, and what a crash between the steps leaves."""

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from oai_usage_pipeline.cli import main
from oai_usage_pipeline.cli.statement import money, statement_lines, statement_totals
from oai_usage_pipeline.errors import ConfigurationError, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.closing import close_month, month_of, restate_month
from oai_usage_pipeline.refresh.closings import Closing, begin, closings_of, finish_begun, move_statement
from oai_usage_pipeline.tables import CHARGEBACK_MONTHLY, MONTH_CLOSINGS, PRICES, TOKEN_USAGE_HOURLY
from oai_usage_pipeline_tests.charge.frames import gold, prices
from oai_usage_pipeline_tests.refresh.books import APRIL_9, MARCH, Books

USE = {"billed_input_tokens": 1_000_000}
LATER = APRIL_9.replace(day=20)


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """March with one call of 2.50 USD, up to date and open."""
    found = Books(Lake(str(tmp_path / "lake")))
    found.use(10, USE)
    found.refresh()
    return found


@pytest.fixture
def adjusted(books: Books) -> Books:
    """The same, closed, with an adjustment for a call that came late."""
    close_month(books.lake, MARCH, "Ada", APRIL_9)
    books.use(11, USE)
    books.refresh()
    return books


def at_version(lake: Lake, version: int | None) -> pl.DataFrame:
    assert version is not None
    table = DeltaTable(lake.uri(CHARGEBACK_MONTHLY), version=version)
    return pl.scan_delta(table).collect().select(*CHARGEBACK_MONTHLY.schema).sort(pl.all())


def test_a_table_made_when_all_units_were_added_up_still_opens_and_is_stated(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "older"))
    now = CHARGEBACK_MONTHLY.schema
    older = {name: kind for name, kind in now.items() if not name.startswith("unpriced_")}
    rows = pl.DataFrame(
        [{"usage_month": MARCH, "unpriced_quantity": 7}], schema={**older, "unpriced_quantity": pl.Int64()}
    )
    lake.table(replace(CHARGEBACK_MONTHLY, schema=dict(rows.schema))).append(rows, {})
    books = Books(lake)
    books.use(10, {"model": "unheard of", "billed_input_tokens": 5})
    books.refresh()
    [row] = lake.table(CHARGEBACK_MONTHLY).scan().collect().to_dicts()
    assert (row["unpriced_tokens"], row["unpriced_quantity"]) == (5, None)
    close_month(lake, MARCH, "Ada", APRIL_9)
    books.use(11, {"model": "unheard of", "billed_input_tokens": 6})
    books.refresh()
    assert books.chargeback().select("entry", "unpriced_tokens").rows() == [("adjustment", 6), ("usage", 5)]


def test_closing_records_who_when_and_what(books: Books) -> None:
    closing = close_month(books.lake, MARCH, "Ada", APRIL_9)
    [row] = books.rows(MONTH_CLOSINGS).to_dicts()
    assert (row["usage_month"], row["number"], row["action"]) == (MARCH, 1, "closed")
    assert (row["closed_by"], row["closed_at"], row["reason"]) == ("Ada", APRIL_9, None)
    assert (row["request_count"], row["cost"], row["currency"]) == (1, Decimal("2.5"), "USD")
    assert at_version(books.lake, closing.chargeback_version).equals(books.chargeback())
    assert str(closing).startswith("2026-03 was closed by Ada at 2026-04-09 08:30 UTC, statement 1")


def test_a_month_is_closed_only_after_its_end_in_utc(books: Books) -> None:
    with pytest.raises(ConfigurationError, match="isn't over: it ends at 2026-04-01 00:00 UTC"):
        close_month(books.lake, MARCH, "Ada", datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC))
    close_month(books.lake, MARCH, "Ada", datetime(2026, 4, 1, tzinfo=UTC))


def test_a_month_is_closed_once(books: Books) -> None:
    close_month(books.lake, MARCH, "Ada", APRIL_9)
    with pytest.raises(ConfigurationError, match=r"closed by Ada .* month restate 2026-03"):
        close_month(books.lake, MARCH, "Bob", LATER)
    assert len(closings_of(books.lake, MARCH)) == 1


def test_a_month_that_is_behind_is_not_closed_and_the_days_are_named(books: Books) -> None:
    books.use(12, USE)
    with pytest.raises(ConfigurationError, match="usage_cost_hourly of 2026-03-12; chargeback_monthly"):
        close_month(books.lake, MARCH, "Ada", APRIL_9)
    books.refresh_cost()
    with pytest.raises(ConfigurationError, match=r"are chargeback_monthly of 2026-03-01. Run `oai-usage run"):
        close_month(books.lake, MARCH, "Ada", APRIL_9)
    books.refresh()
    close_month(books.lake, MARCH, "Ada", APRIL_9)


def test_who_and_why_must_be_said(books: Books) -> None:
    with pytest.raises(ConfigurationError, match="--by is empty"):
        close_month(books.lake, MARCH, " ", APRIL_9)
    with pytest.raises(ConfigurationError, match="--why is empty"):
        restate_month(books.lake, MARCH, "Ada", "", APRIL_9)


def test_an_open_month_cant_be_restated(books: Books) -> None:
    with pytest.raises(ConfigurationError, match="2026-03 is open"):
        restate_month(books.lake, MARCH, "Ada", "why not", APRIL_9)


@pytest.mark.parametrize("month", [date(2019, 3, 1), date(2026, 2, 1)])
def test_a_month_without_any_usage_is_not_closed(books: Books, month: date) -> None:
    with pytest.raises(
        ConfigurationError, match=f"Nothing was used in {month:%Y-%m}: is it the month you mean"
    ):
        close_month(books.lake, month, "Ada", APRIL_9)
    assert closings_of(books.lake, month) == []
    assert books.rows(MONTH_CLOSINGS).is_empty()


def test_restating_replaces_usage_and_adjustments_and_keeps_the_old_statement(adjusted: Books) -> None:
    [first] = closings_of(adjusted.lake, MARCH)
    before = adjusted.chargeback()
    assert before["entry"].to_list() == ["adjustment", "usage"]
    second = restate_month(adjusted.lake, MARCH, "Bob", "agreed with finance", LATER)
    assert (second.number, second.action, second.reason) == (2, "restated", "agreed with finance")
    [row] = adjusted.chargeback().to_dicts()
    assert (row["entry"], row["cost"], row["request_count"]) == ("usage", 5, 2)
    assert at_version(adjusted.lake, second.chargeback_version).equals(adjusted.chargeback())
    assert at_version(adjusted.lake, first.chargeback_version)["cost"].to_list() == [Decimal("2.5")]
    assert adjusted.rows(MONTH_CLOSINGS).select("number", "cost").rows() == [(1, Decimal("2.5")), (2, 5)]
    assert adjusted.refresh() == []
    adjusted.use(12, USE)
    adjusted.refresh()
    assert adjusted.chargeback()["entry"].to_list() == ["adjustment", "usage"]


def crash_after_step_1(lake: Lake) -> Closing:
    return begin(lake, MARCH, "closed" if not closings_of(lake, MARCH) else "restated", "Ada", "why", APRIL_9)


def crash_after_step_2(lake: Lake) -> Closing:
    begun = crash_after_step_1(lake)
    move_statement(lake, begun)
    return begun


Crash = Callable[[Lake], Closing]
each_crash = pytest.mark.parametrize("crash", [crash_after_step_1, crash_after_step_2])


@each_crash
def test_a_crash_while_closing_is_finished_by_the_same_command(books: Books, crash: Crash) -> None:
    assert crash(books.lake).is_begun
    closing = close_month(books.lake, MARCH, "Ada", LATER)
    assert (closing.number, closing.closed_at, closing.is_begun) == (1, APRIL_9, False)
    assert closings_of(books.lake, MARCH) == [closing]
    assert at_version(books.lake, closing.chargeback_version).equals(books.chargeback())


@each_crash
def test_a_crash_while_closing_is_finished_by_the_next_refresh_before_it_adjusts(
    books: Books, crash: Crash
) -> None:
    crash(books.lake)
    books.use(11, USE)
    books.refresh()
    [closing] = closings_of(books.lake, MARCH)
    assert at_version(books.lake, closing.chargeback_version)["cost"].to_list() == [Decimal("2.5")]
    assert books.chargeback()["entry"].to_list() == ["adjustment", "usage"]
    assert books.rows(MONTH_CLOSINGS)["cost"].to_list() == [Decimal("2.5")]


@each_crash
def test_a_crash_while_restating_is_finished_by_the_next_refresh(adjusted: Books, crash: Crash) -> None:
    crash(adjusted.lake)
    adjusted.use(12, USE)
    adjusted.refresh_cost()
    adjusted.refresh_chargeback()
    _, second = closings_of(adjusted.lake, MARCH)
    assert (second.number, second.closed_by, second.is_begun) == (2, "Ada", False)
    assert adjusted.chargeback()["cost"].sum() == Decimal("7.5")
    assert adjusted.chargeback()["request_count"].sum() == 3
    assert adjusted.refresh() == []


@each_crash
def test_a_crash_while_restating_is_finished_by_the_same_command(adjusted: Books, crash: Crash) -> None:
    crash(adjusted.lake)
    third = restate_month(adjusted.lake, MARCH, "Ada", "again", LATER)
    assert [each.number for each in closings_of(adjusted.lake, MARCH)] == [1, 2, 3]
    assert third.number == 3
    assert adjusted.chargeback().select("entry", "cost").rows() == [("usage", 5)]


def test_a_month_has_one_closing_in_hand_at_a_time(adjusted: Books) -> None:
    crash_after_step_1(adjusted.lake)
    with pytest.raises(PositionConflict, match="by another"):
        begin(adjusted.lake, MARCH, "restated", "Bob", "why", LATER)
    finish_begun(adjusted.lake, MARCH)
    assert begin(adjusted.lake, MARCH, "restated", "Bob", "why", LATER).number == 3


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh import closing, closings

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(closings, sys.argv[2], die)
month, now = closing.month_of("2026-03"), datetime(2026, 4, 9, 8, 30, tzinfo=UTC)
closing.restate_month(Lake(sys.argv[1]), month, "Ada", "killed", now)
"""


@pytest.mark.parametrize("before", ["move_statement", "complete"])
def test_a_process_killed_before_a_step_leaves_a_month_that_the_next_refresh_finishes(
    adjusted: Books, before: str
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, adjusted.lake.location, before], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert closings_of(adjusted.lake, MARCH)[-1].is_begun
    adjusted.use(12, USE)
    adjusted.refresh()
    second = closings_of(adjusted.lake, MARCH)[-1]
    assert (second.reason, second.is_begun) == ("killed", False)
    assert adjusted.chargeback()["cost"].sum() == Decimal("7.5")


def test_nothing_is_finished_twice(books: Books) -> None:
    begun = crash_after_step_2(books.lake)
    assert finish_begun(books.lake, MARCH) is not None
    version = books.lake.table(CHARGEBACK_MONTHLY).version
    assert finish_begun(books.lake, MARCH) is None
    move_statement(books.lake, begun)
    assert books.lake.table(CHARGEBACK_MONTHLY).version == version


def test_of_two_who_close_at_once_one_does_and_the_other_is_told(books: Books) -> None:
    def close(by: str) -> str:
        try:
            return close_month(books.lake, MARCH, by, APRIL_9).closed_by
        except ConfigurationError as refused:
            return str(refused)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(close, ["Ada", "Bob"]))
    [closing] = closings_of(books.lake, MARCH)
    assert closing.closed_by in results
    # The one that came second may have finished the other's closing, or was refused.
    assert {each for each in results if "was closed by" not in each} == {closing.closed_by}
    assert books.rows(MONTH_CLOSINGS).height == 1


def test_several_months_are_closed_at_once(books: Books) -> None:
    months = [date(2025, month, 1) for month in range(1, 6)]
    uses = [gold({"hour_at": datetime(2025, month.month, 3, tzinfo=UTC), **USE}) for month in months]
    for rows in uses:
        books.lake.table(TOKEN_USAGE_HOURLY).replace_day(rows["usage_date"][0].isoformat(), rows, {})
    books.refresh()
    with ThreadPoolExecutor(5) as pool:
        done = list(pool.map(lambda month: close_month(books.lake, month, "Ada", APRIL_9), months))
    assert [each.usage_month for each in done] == months
    assert books.rows(MONTH_CLOSINGS)["usage_month"].to_list() == months


def test_a_month_is_written_as_year_and_month() -> None:
    assert month_of("2026-03") == MARCH
    for text in ("2026-13", "March", "2026-03-01", ""):
        with pytest.raises(ConfigurationError, match="is no month"):
            month_of(text)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "-"),
        ("0", "0.00"),
        ("1234567.891", "1,234,567.89"),
        ("-12.345", "-12.34"),
        ("0.5", "0.50"),
        ("0.0421", "0.042"),
        ("0.000000150001", "0.00000015"),
    ],
)
def test_money_reads_with_separators_and_small_amounts_with_their_first_digits(
    amount: str | None, text: str
) -> None:
    assert money(None if amount is None else Decimal(amount)) == text


def test_a_statement_reads_by_team_with_those_that_nobody_answers_for_last(adjusted: Books) -> None:
    adjusted.use(13, USE | {"subscription": "zz", "model": "evil\x1b[31m", "estimated_input_tokens": 50})
    adjusted.refresh()
    lines = statement_lines(adjusted.chargeback())
    assert [line.team for line in lines] == ["search", "search", "unattributed"]
    assert (lines[0].cost, lines[0].tokens, lines[0].note) == ("2.50", "1,000,000", "")
    assert lines[1].note == "adjustment of 2026-04-09: late events"
    assert (lines[2].model, lines[2].unpriced, lines[2].cost) == ("evil?[31m", "1,000,000 tokens", "-")
    total, unpriced, estimated = statement_totals(adjusted.chargeback())
    assert total == "Total: 5.00 USD"
    assert "1,000,000 tokens" in unpriced
    assert "50 estimated tokens" in estimated


def test_the_commands_show_close_and_restate(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", books.lake.location)

    def run(*args: str) -> str:
        result = CliRunner().invoke(main, ["month", *args])
        assert result.exit_code == 0, result.output
        return result.output

    assert "Chargeback of 2026-03 (open)" in run("show", "2026-03")
    assert "2026-03 was closed by Ada" in run("close", "2026-03", "--by", "Ada")
    books.know(PRICES, prices({"price": Decimal(1234)}))
    books.refresh()
    assert "adjustment of 2026-04-09: price or attribution changed" in run("show", "2026-03")
    assert "restated by Bob" in run("restate", "2026-03", "--by", "Bob", "--why", "new contract")
    shown = run("show", "2026-03")
    assert "Chargeback of 2026-03 (closed)" in shown
    assert "1,234.00" in shown
    assert "new contract" in shown
    refused = CliRunner().invoke(main, ["month", "close", "2026-03", "--by", "Ada"])
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: 2026-03 was restated by Bob")
