"""What people read of a month: every call in one line, money with separators, nothing lost in the sums."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from oai_usage_pipeline.charge.teams import by_team
from oai_usage_pipeline.cli.statement import money, show_statement, statement_lines
from oai_usage_pipeline.tables import CHARGEBACK_MONTHLY

MONTH = date(2026, 3, 1)


def statement(*rows: dict[str, Any]) -> pl.DataFrame:
    usual = {"usage_month": MONTH, "entry": "usage", "team": "search", "model": "gpt-4o", "currency": "USD"}
    counts = {"request_count": 1, "unmetered_count": 0, "estimated_count": 0}
    return pl.DataFrame([usual | counts | row for row in rows], schema=CHARGEBACK_MONTHLY.schema)


def test_a_team_is_the_sum_of_its_models_and_adjustments() -> None:
    [team] = by_team(
        statement(
            {"billed_input_tokens": 30, "cost": Decimal("1.25"), "estimated_input_tokens": 10},
            {"model": "o4-mini", "billed_input_tokens": 60, "cost": Decimal("0.75")},
            {"model": "o4-mini", "entry": "adjustment", "request_count": -1, "cost": Decimal("-0.5")},
        )
    ).iter_rows(named=True)
    assert (team["request_count"], team["billed_input_tokens"], team["cost"]) == (1, 90, Decimal("1.5"))
    assert (team["model"], team["estimated_share"]) == ("2 models", 0.1)
    assert team["billed_output_tokens"] is None


def test_teams_and_currencies_are_never_added_up() -> None:
    found = by_team(
        statement({"cost": Decimal(1)}, {"cost": Decimal(2), "currency": "EUR"}, {"team": "legal"})
    )
    assert found.select("team", "currency", "cost").rows() == [
        ("search", "USD", Decimal(1)),
        ("search", "EUR", Decimal(2)),
        ("legal", "USD", None),
    ]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "-"),
        (Decimal(0), "0.00"),
        (Decimal("1234567.891"), "1,234,567.89"),
        (Decimal("0.000258"), "0.00026"),
        (Decimal("-3.5"), "-3.50"),
    ],
)
def test_money_reads_as_people_write_it(amount: Decimal | None, text: str) -> None:
    assert money(amount) == text


def test_a_statement_shows_what_it_lacks_and_who_nobody_answers_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = statement(
        {"cost": Decimal("12.5"), "billed_input_tokens": 900, "estimated_input_tokens": 100},
        {"team": "unattributed", "cost": Decimal("2.5")},
        {"team": "legal", "unpriced_tokens": 70, "unpriced_audio_ms": 1500, "reason": "no_price"},
    )
    show_statement(rows, "March")
    shown = capsys.readouterr().out
    assert "Total: 15.00 USD, of which unattributed 2.50" in shown
    assert "Not in it: 70 tokens, 1,500 ms of audio without a price" in shown
    assert "100 estimated tokens, 10.00% of all" in shown
    assert [line.team for line in statement_lines(rows)][-1] == "unattributed"


def test_a_models_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_statement(statement({"model": "\x1b[2Jgpt\r\n"}))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "?[2Jgpt" in shown
