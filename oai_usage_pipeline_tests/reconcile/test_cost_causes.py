"""Each cause of a difference in money, shown on a truth that one side saw less of than the other."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.reconcile.reconciliation import Period, Reconciliation, reconcile_files
from oai_usage_pipeline_tests.reconcile.truth import (
    DAY,
    OUTPUT_METER,
    Call,
    charge,
    charged,
    costs,
    export,
    lake_of,
    written,
)

CALLS = [Call(hour=hour) for hour in range(10)]
STREAM = Call(input_tokens=3_000, output_tokens=900, is_metered=False, is_estimated=True)
HIDDEN = Call(input_tokens=5_000, output_tokens=700, is_logged=False)
MODEL = "model gpt-4o"


def reconciled(
    folder: Path,
    calls: list[Call],
    rows: list[dict[str, str]] | None = None,
    cost_rows: pl.DataFrame | None = None,
    period: Period | None = None,
) -> Reconciliation:
    # A last day is never complete; one more makes DAY complete.
    more = [Call(day=DAY + timedelta(days=1))]
    rows = charged(calls) if rows is None else rows
    file = written(folder / "cost.csv", export([*rows, *charged(more)]))
    ours = costs(calls) if cost_rows is None else cost_rows
    lake = lake_of(folder, [*calls, *more], pl.concat([ours, costs(more)]))
    return reconcile_files(lake, [], [file], period=period or Period(DAY, DAY))


def test_equal_costs_agree_to_the_last_digit(tmp_path: Path) -> None:
    [line] = reconciled(tmp_path, CALLS).lines
    assert (line.subject, line.measure, line.cause) == (MODEL, "cost USD", "agrees")
    assert line.ours == line.theirs == Decimal("0.045")
    assert isinstance(line.ours, Decimal)
    assert line.difference == 0


def test_calls_that_bypass_the_gateway_cost_money(tmp_path: Path) -> None:
    [line] = reconciled(tmp_path, [*CALLS, HIDDEN]).lines
    assert (line.cause, line.difference) == ("calls that bypass the gateway", Decimal("0.0195"))
    assert "ours 0.045 USD, theirs 0.0645 USD" in line.sentence


def test_unmetered_streams_cost_what_their_estimate_says(tmp_path: Path) -> None:
    [line] = reconciled(tmp_path, [*CALLS, STREAM]).lines
    assert line.cause == "unmetered streams"
    assert "0.0165 missing, and our unmetered calls are estimated at 0.0165" in line.sentence


def test_a_gap_costs_money(tmp_path: Path) -> None:
    period = Period(DAY, DAY, frozenset({DAY}))
    [line] = reconciled(tmp_path, [*CALLS, HIDDEN], period=period).lines
    assert line.cause == "gap"


def test_another_price_shows_when_the_tokens_agree(tmp_path: Path) -> None:
    [line] = reconciled(tmp_path, CALLS, cost_rows=costs(CALLS, factor=Decimal("1.25"))).lines
    assert (line.cause, line.difference) == ("another price", Decimal("-0.01125"))
    assert "the tokens agree (ours 12,000, theirs 12,000): on average 4.6875 and 3.75 USD" in line.sentence


def test_unpriced_usage_is_no_zero(tmp_path: Path) -> None:
    [line] = reconciled(tmp_path, CALLS, cost_rows=costs(CALLS, is_priced=False)).lines
    assert (line.cause, line.ours) == ("unpriced usage", None)
    assert "ours none reported, theirs 0.045 USD, and 20 of our rows of cost have no price" in line.sentence


def test_another_currency_is_not_compared_and_says_both_amounts(tmp_path: Path) -> None:
    found = reconciled(tmp_path, CALLS, charged(CALLS, BillingCurrencyCode="EUR"))
    [line] = found.lines
    assert (line.cause, line.is_beyond, line.difference) == ("another currency", False, None)
    assert "ours 0.045 USD, theirs 0.045 EUR: not compared" in line.sentence
    assert not found.holds


def test_more_on_our_side_was_counted_twice_or_is_outside_their_scope(tmp_path: Path) -> None:
    [line] = reconciled(tmp_path, [*CALLS, CALLS[0]], charged(CALLS)).lines
    assert line.cause == "counted twice or outside their scope"
    assert "0.0045 more on our side" in line.sentence


def test_the_last_day_of_an_export_may_not_be_complete(tmp_path: Path) -> None:
    file = written(tmp_path / "cost.csv", export(charged(CALLS[:6])))
    [line] = reconcile_files(lake_of(tmp_path, CALLS), [], [file]).lines
    assert line.cause == "their day is not complete"


def test_a_meter_of_no_model_of_ours_is_a_line_of_its_own(tmp_path: Path) -> None:
    rows = [*charged(CALLS), charge("o3 0416 Inp glbl Tokens", 1_000, Decimal("0.002"))]
    found = reconciled(tmp_path, CALLS, rows)
    [line] = found.beyond
    assert (line.subject, line.cause) == ("meter o3 0416 Inp glbl Tokens", "calls that bypass the gateway")
    assert (line.ours, line.theirs) == (None, Decimal("0.002"))


def test_provisioned_units_are_compared_as_a_whole(tmp_path: Path) -> None:
    rows = [
        *charged(CALLS),
        charge("Provisioned Managed Global Unit", 0, Decimal(240), UnitOfMeasure="1 Hour"),
    ]
    provisioned = (
        costs(CALLS[:1])
        .head(1)
        .with_columns(bucket=pl.lit("provisioned"), quantity=None, cost=pl.lit(Decimal(180)))
    )
    idle = provisioned.with_columns(
        bucket=pl.lit("provisioned_idle"), model=pl.lit("gpt-4.1"), cost=pl.lit(Decimal(60))
    )
    schema = costs(CALLS).schema
    ours = pl.concat([costs(CALLS), provisioned.cast(schema), idle.cast(schema)])
    found = reconciled(tmp_path, CALLS, rows, ours)
    assert {(line.subject, line.cause) for line in found.lines} == {
        (MODEL, "agrees"),
        ("provisioned throughput", "agrees"),
    }


def test_days_that_one_side_lacks_are_said(tmp_path: Path) -> None:
    file = written(tmp_path / "cost.csv", export(charged([Call(day=DAY + timedelta(days=1))])))
    found = reconcile_files(lake_of(tmp_path, CALLS), [], [file], period=Period(DAY, DAY + timedelta(days=1)))
    assert [(line.usage_date, line.cause) for line in found.lines] == [
        (DAY, "no data on their side"),
        (DAY + timedelta(days=1), "no usage on our side"),
    ]


@pytest.mark.parametrize("name", ["gpt-4o-2024-08-06", "gpt-4o", "GPT-4o-0806"])
def test_a_meter_finds_the_model_however_it_answers(tmp_path: Path, name: str) -> None:
    calls = [replace(call, model=name) for call in CALLS]
    [line] = reconciled(tmp_path, calls, charged(calls)).lines
    assert (line.subject, line.cause) == (MODEL, "agrees")


def test_money_is_text_in_json_and_totals_add_up(tmp_path: Path) -> None:
    rows = [*charged(CALLS), charge(OUTPUT_METER, 0, Decimal("0.000000000001"))]
    found = json.loads(json.dumps(reconciled(tmp_path, CALLS, rows).as_dict()))
    [line] = found["lines"]
    assert (line["ours"], line["theirs"]) == ("0.045000000000", "0.045000000001")
    assert found["totals"] == [
        {
            "measure": "cost USD",
            "ours": "0.045000000000",
            "theirs": "0.045000000001",
            "difference": "0.000000000001",
        }
    ]


def test_what_fits_by_no_name_is_compared_together(tmp_path: Path) -> None:
    calls = [replace(call, model="gpt-4o-realtime-preview") for call in CALLS]
    meters = {"MeterName": "gpt-4o-rt-txt-1217 Inp glbl Tokens"}
    found = reconciled(tmp_path, calls, [row | meters for row in charged(calls)])
    [line] = found.lines
    assert line.subject == "model gpt-4o-realtime-preview and meter gpt-4o-rt-txt-1217 Inp glbl Tokens"
    assert line.cause == "agrees"
