"""Each cause of a difference in tokens, shown on a truth that one side saw less of than the other."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.reconcile.reconciliation import Period, Reconciliation, reconcile_files
from oai_usage_pipeline.reconcile.variance import VarianceLine
from oai_usage_pipeline.tables import DEPLOYMENTS, OPENAI_EVENTS
from oai_usage_pipeline_tests.reconcile.truth import DAY, Call, answer, lake_of, measured, series, written

CALLS = [Call(hour=hour) for hour in range(10)]
STREAM = Call(input_tokens=3_000, output_tokens=900, is_metered=False, is_estimated=True)
HIDDEN = Call(input_tokens=5_000, output_tokens=700, is_logged=False)


def reconciled(
    folder: Path,
    calls: list[Call],
    text: str | None = None,
    period: Period | None = None,
    tolerance: str = "0.5",
) -> Reconciliation:
    file = written(folder / "metrics.json", measured(calls) if text is None else text)
    lake = lake_of(folder, calls)
    return reconcile_files(lake, [file], [], period=period, tolerance=Decimal(tolerance))


def by_measure(found: Reconciliation) -> dict[str, VarianceLine]:
    assert len({line.measure for line in found.lines}) == len(found.lines)
    return {line.measure: line for line in found.lines}


def test_equal_totals_agree(tmp_path: Path) -> None:
    found = reconciled(tmp_path, CALLS)
    lines = by_measure(found)
    assert {line.cause for line in lines.values()} == {"agrees"}
    assert (lines["input tokens"].ours, lines["input tokens"].theirs) == (10_000, 10_000)
    assert (lines["output tokens"].difference, lines["output tokens"].percent) == (0, Decimal(0))
    assert lines["input tokens"].subject == "deployment chat"
    assert found.holds
    assert found.sentence == "All 2 comparisons agree within 0.5 %."


@pytest.mark.parametrize(("extra", "cause"), [(50, "agrees"), (51, "calls that bypass the gateway")])
def test_the_tolerance_is_half_a_percent_of_the_larger_number(tmp_path: Path, extra: int, cause: str) -> None:
    calls = [Call(9_950, 10_000), Call(extra, 0, is_logged=False)]
    assert by_measure(reconciled(tmp_path, calls))["input tokens"].cause == cause


def test_unmetered_streams_are_recognised_by_their_estimate(tmp_path: Path) -> None:
    found = reconciled(tmp_path, [*CALLS, replace(STREAM, estimate_error=Decimal("-0.2"))])
    line = by_measure(found)["input tokens"]
    assert line.cause == "unmetered streams"
    assert (line.ours, line.theirs, line.difference) == (10_000, 13_000, 3_000)
    assert "3,000 missing, and our 1 unmetered calls are estimated at 2,400" in line.sentence
    assert "ours 10,000 tokens, theirs 13,000 tokens" in line.sentence
    assert not found.holds


def test_unmetered_streams_without_an_estimate_are_named_all_the_same(tmp_path: Path) -> None:
    found = reconciled(tmp_path, [*CALLS, replace(STREAM, is_estimated=False)])
    line = by_measure(found)["output tokens"]
    assert line.cause == "unmetered streams"
    assert "1 unmetered calls have no estimate" in line.sentence


def test_a_day_of_unmetered_calls_only_reports_nothing_rather_than_zero(tmp_path: Path) -> None:
    line = by_measure(reconciled(tmp_path, [STREAM]))["input tokens"]
    assert (line.ours, line.theirs, line.difference) == (None, 3_000, 3_000)
    assert line.cause == "unmetered streams"
    assert "ours none reported" in line.sentence


def test_calls_that_bypass_the_gateway_show_in_the_requests(tmp_path: Path) -> None:
    line = by_measure(reconciled(tmp_path, [*CALLS, HIDDEN]))["input tokens"]
    assert line.cause == "calls that bypass the gateway"
    assert (line.ours, line.theirs, line.difference, line.percent) == (
        10_000,
        15_000,
        5_000,
        Decimal("33.33"),
    )
    assert "they count 11 requests, our gateway 10" in line.sentence


def test_an_estimate_that_is_far_too_small_does_not_hide_calls_that_bypass_the_gateway(
    tmp_path: Path,
) -> None:
    calls = [*CALLS, replace(STREAM, input_tokens=10), HIDDEN]
    line = by_measure(reconciled(tmp_path, calls, measured(calls, with_requests=False)))["input tokens"]
    assert line.cause == "calls that bypass the gateway"
    assert "5,010 missing, of which estimates explain 10" in line.sentence


def test_a_deployment_that_we_never_saw_bypasses_the_gateway(tmp_path: Path) -> None:
    found = reconciled(tmp_path, [*CALLS, replace(HIDDEN, deployment="shadow")])
    [line] = [each for each in found.beyond if each.measure == "input tokens"]
    assert (line.subject, line.cause) == ("deployment shadow", "calls that bypass the gateway")
    assert (line.ours, line.theirs, line.difference) == (None, 5_000, None)


def test_a_gap_in_the_days_that_were_handed_in(tmp_path: Path) -> None:
    period = Period(given_days=frozenset({DAY}))
    line = by_measure(reconciled(tmp_path, [*CALLS, HIDDEN], period=period))["input tokens"]
    assert line.cause == "gap"
    assert "5,000 missing, and events of this day are missing in the lake" in line.sentence


@pytest.mark.parametrize(
    ("numbers", "cause"), [([5, 6, 8], "gap"), ([5, 6, 7], "calls that bypass the gateway")]
)
def test_a_gap_is_seen_in_the_numbers_of_bronze(tmp_path: Path, numbers: list[int], cause: str) -> None:
    calls = [*CALLS, HIDDEN]
    file = written(tmp_path / "metrics.json", measured(calls))
    lake = lake_of(tmp_path, calls)
    held = {"event_hub": "n/h", "incarnation": "i", "partition_id": "0", "enqueued_date": DAY}
    rows = [dict.fromkeys(OPENAI_EVENTS.schema) | held | {"sequence_number": each} for each in numbers]
    lake.table(OPENAI_EVENTS).append(pl.DataFrame(rows, schema=OPENAI_EVENTS.schema), {})
    assert by_measure(reconcile_files(lake, [file], []))["input tokens"].cause == cause


def test_a_hole_over_midnight_makes_both_days_incomplete(tmp_path: Path) -> None:
    from oai_usage_pipeline.reconcile.ours import incomplete_days

    lake = lake_of(tmp_path, CALLS)
    held = {"event_hub": "n/h", "incarnation": "i", "partition_id": "0"}
    later = DAY + timedelta(days=2)
    rows = [
        dict.fromkeys(OPENAI_EVENTS.schema) | held | {"sequence_number": number, "enqueued_date": day}
        for number, day in ((0, DAY), (1, DAY), (7, later), (8, later))
    ]
    lake.table(OPENAI_EVENTS).append(pl.DataFrame(rows, schema=OPENAI_EVENTS.schema), {})
    assert incomplete_days(lake, DAY, later) == {DAY, DAY + timedelta(days=1), later}
    assert incomplete_days(lake, later, later) == {later}


def test_pending_or_rejected_calls_are_named_when_the_requests_agree(tmp_path: Path) -> None:
    found = reconciled(tmp_path, [*CALLS, Call(status="pending")])
    line = by_measure(found)["input tokens"]
    assert line.cause == "pending or rejected calls"
    assert "1 calls are pending or were rejected" in line.sentence


def test_a_difference_that_nothing_accounts_for_is_called_unexplained(tmp_path: Path) -> None:
    text = measured([*CALLS[:9], replace(CALLS[9], input_tokens=9_000)])
    line = by_measure(reconciled(tmp_path, CALLS, text))["input tokens"]
    assert line.cause == "unexplained"
    assert "8,000 missing, although they count 10 requests, we 10" in line.sentence


def test_more_tokens_in_fewer_requests_are_no_bypass(tmp_path: Path) -> None:
    line = by_measure(reconciled(tmp_path, CALLS, measured([Call(20_000, 4_000)])))["input tokens"]
    assert line.cause == "unexplained"
    assert "they count 1 requests, we 10" in line.sentence


def test_more_on_our_side_was_counted_twice_or_is_outside_their_scope(tmp_path: Path) -> None:
    line = by_measure(reconciled(tmp_path, [*CALLS, CALLS[0]], measured(CALLS)))["input tokens"]
    assert (line.cause, line.difference) == ("counted twice or outside their scope", -1_000)
    assert "1,000 more on our side (requests: ours 11, theirs 10)" in line.sentence


def test_a_deployment_that_they_do_not_name_is_outside_their_scope(tmp_path: Path) -> None:
    elsewhere = Call(deployment="other-account")
    found = reconciled(tmp_path, [*CALLS, elsewhere], measured(CALLS))
    [line] = [each for each in found.beyond if each.measure == "input tokens"]
    assert (line.subject, line.cause) == ("deployment other-account", "counted twice or outside their scope")
    assert (line.ours, line.theirs) == (1_000, None)


def test_metrics_that_end_at_noon_are_not_complete(tmp_path: Path) -> None:
    text = measured(CALLS[:6], timespan=f"{DAY}T00:00:00Z/{DAY}T06:00:00Z")
    line = by_measure(reconciled(tmp_path, CALLS, text))["input tokens"]
    assert line.cause == "their day is not complete"
    assert "4,000 more on our side" in line.sentence


def test_a_day_without_metrics_is_said_and_not_taken_for_zero(tmp_path: Path) -> None:
    later = DAY + timedelta(days=1)
    calls = [*CALLS, Call(day=later)]
    found = reconciled(tmp_path, calls, measured(CALLS), Period(DAY, later))
    [line] = [each for each in found.lines if each.usage_date == later]
    assert line.cause == "no data on their side"
    assert (line.ours, line.theirs, line.difference) == (None, None, None)
    assert found.holds
    assert found.sentence == "All 2 comparisons agree within 0.5 %. 1 could not be compared."
    [finding] = found.findings
    assert finding.startswith(
        "no data on their side: 2026-03-11, whole day, tokens: the metrics hold nothing"
    )


def test_a_day_that_we_lack_is_said_and_is_beyond_any_tolerance(tmp_path: Path) -> None:
    later = DAY + timedelta(days=1)
    missed = Call(day=later, is_logged=False)
    found = reconciled(tmp_path, [*CALLS, missed], tolerance="99")
    [line] = found.beyond
    assert (line.usage_date, line.cause) == (later, "no usage on our side")


def test_nothing_in_common_does_not_hold(tmp_path: Path) -> None:
    empty = answer([series("ProcessedPromptTokens", {})])
    found = reconciled(tmp_path, CALLS, empty)
    assert not found.holds
    assert found.sentence.startswith("Nothing was compared")


def test_days_are_utc_on_both_sides(tmp_path: Path) -> None:
    late = answer([series("ProcessedPromptTokens", {CALLS[0].at: 1}, ModelDeploymentName="chat")])
    moved = late.replace(f'{DAY}T00:00:00Z"', f'{DAY}T23:30:00-02:00"')
    assert moved != late
    found = reconciled(tmp_path, [Call(1, 0, day=DAY + timedelta(days=1))], moved)
    assert [(line.usage_date, line.cause) for line in found.lines] == [(DAY + timedelta(days=1), "agrees")]


def test_models_are_compared_where_our_events_name_no_deployment(tmp_path: Path) -> None:
    calls = [replace(call, deployment=None) for call in CALLS]
    found = reconciled(tmp_path, calls, measured(CALLS))
    assert {(line.subject, line.cause) for line in found.lines} == {("model gpt-4o", "agrees")}


def test_the_reference_table_tells_the_model_of_a_deployment(tmp_path: Path) -> None:
    calls = [replace(call, deployment=None) for call in CALLS]
    file = written(tmp_path / "metrics.json", measured(CALLS, ("ModelDeploymentName",)))
    lake = lake_of(tmp_path, calls)
    row = dict.fromkeys(DEPLOYMENTS.schema) | {"deployment": "Chat", "model": "gpt-4o"}
    lake.table(DEPLOYMENTS).append(pl.DataFrame([row], schema=DEPLOYMENTS.schema), {})
    found = reconcile_files(lake, [file], [])
    assert {(line.subject, line.cause) for line in found.lines} == {("model gpt-4o", "agrees")}


def test_a_deployment_named_like_its_model_is_taken_for_it(tmp_path: Path) -> None:
    text = measured([replace(call, deployment="gpt-4o") for call in CALLS], ("ModelDeploymentName",))
    found = reconciled(tmp_path, [replace(call, deployment=None) for call in CALLS], text)
    assert {(line.subject, line.cause) for line in found.lines} == {("model gpt-4o", "agrees")}


def test_metrics_that_are_not_split_are_compared_as_a_whole(tmp_path: Path) -> None:
    calls = [*CALLS, Call(model="gpt-4.1-2025-04-14", deployment="other")]
    found = reconciled(tmp_path, calls, measured(calls, ()))
    assert {(line.subject, line.cause) for line in found.lines} == {("all models", "agrees")}


def test_a_total_without_parts_is_compared_with_our_total(tmp_path: Path) -> None:
    text = answer([series("TokenTransaction", {CALLS[0].at: 12_000}, ModelDeploymentName="chat")])
    [line] = reconciled(tmp_path, CALLS, text).lines
    assert (line.measure, line.ours, line.theirs, line.cause) == ("tokens", 12_000, 12_000, "agrees")


def test_without_a_lake_every_day_is_ours_to_explain(tmp_path: Path) -> None:
    from oai_usage_pipeline.lake.lake import Lake

    file = written(tmp_path / "metrics.json", measured(CALLS))
    found = reconcile_files(Lake(str(tmp_path / "none")), [file], [])
    assert [line.cause for line in found.lines] == ["no usage on our side"]
    assert not (tmp_path / "none").exists()
