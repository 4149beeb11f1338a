"""What people read of a month: every call in one line, money with separators, nothing lost in the sums."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from oai_usage_pipeline.capture.gaps import Gap, record_gap, rewrite
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.charge.teams import by_team
from oai_usage_pipeline.cli.month import show_gaps
from oai_usage_pipeline.cli.statement import money, show_statement, statement_lines
from oai_usage_pipeline.lake.lake import Lake
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


def test_what_is_missing_from_a_month_is_said_by_gap_and_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = Lake(str(tmp_path / "lake"))
    hub = Hub("namespace/hub", "2026-01-01T00:00:00.000Z", ("0",))
    march = datetime(2026, 3, 1, tzinfo=UTC)
    for number, (start, days) in enumerate([(-40, 1), (-1, 1), (5, 1), (30, 9), (40, 1)]):
        after = march + timedelta(days=start)
        first = number * 10
        record_gap(lake, hub, "0", first, first + 4, after, after + timedelta(days=days), after)

    def acknowledge(gaps: list[Gap]) -> list[Gap]:
        return [replace(each, acknowledged_at=march, acknowledged_by="A\x1b[2J", reason="x") for each in gaps]

    rewrite(lake, acknowledge)
    show_gaps(lake, MONTH)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(" are missing: ")[1].split(" (")[0] for line in shown] == [
        "10 to 14",
        "20 to 24",
        "30 to 34",
    ]
    assert all("Not in it: 5 events of namespace/hub partition 0" in line for line in shown)
    assert all("acknowledged by A?[2J at" in line for line in shown)
