"""Money through Dagster: reference files, cost, chargeback, closing and reconciliation, for real."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.embedded.callers import write_subscriptions
from oai_usage_pipeline.orchestration.passes import PassFailed
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.sensors import reference_sensor, stale_months_sensor
from oai_usage_pipeline.refresh.cost import USAGE_COST_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.day import stale_days
from oai_usage_pipeline.tables import (
    CHARGEBACK_MONTHLY,
    MONTH_CLOSINGS,
    UNATTRIBUTED,
    UNPRICED_BUCKETS,
    TableContract,
)
from oai_usage_pipeline.traffic.teams import TEAMS
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake
from oai_usage_pipeline_tests.orchestration.test_sensors import tick


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[EmbeddedLake]:
    with embedded_lake(tmp_path / "stack") as running:
        yield running


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def name_the_callers(lake: EmbeddedLake) -> None:
    write_subscriptions(lake.stack.reference, lake.stack.seeds, lake.pipeline.fingerprint())


def rows(lake: EmbeddedLake, contract: TableContract) -> pl.DataFrame:
    return lake.pipeline.lake().existing(contract).scan().collect()


def cost_of(lake: EmbeddedLake) -> Decimal:
    return rows(lake, CHARGEBACK_MONTHLY)["cost"].sum()  # type: ignore[return-value]  # a decimal column


def assert_all_holds(lake: EmbeddedLake) -> None:
    assert [each.sentence for each in verify(lake.pipeline.lake()) if not each.holds] == []


def run_job(
    instance: dg.DagsterInstance, name: str, config: Mapping[str, object]
) -> dg.ExecuteInProcessResult:
    job = build_definitions(resource_overrides={"pipeline": Pipeline()}).resolve_job_def(name)
    return job.execute_in_process(instance=instance, run_config=dict(config), raise_on_error=False)


def test_a_pass_ends_in_a_statement_by_team_in_money(lake: EmbeddedLake) -> None:
    lake.send(600, days=2)
    name_the_callers(lake)
    lake.run()
    statement = rows(lake, CHARGEBACK_MONTHLY)
    assert set(statement["team"]) - {UNATTRIBUTED} == {team.name for team in TEAMS}
    assert statement.filter(team=UNATTRIBUTED)["request_count"].sum() < 20
    assert int(statement["request_count"].sum()) == 600
    assert not any(statement[column].sum() for column in UNPRICED_BUCKETS)
    assert cost_of(lake) > 0
    assert_all_holds(lake)


def test_a_changed_price_reprices_its_own_days_and_nothing_else(lake: EmbeddedLake) -> None:
    lake.send(400, days=4)
    lake.run()
    before = cost_of(lake)
    day = (datetime.now(UTC) - timedelta(days=2)).date()
    (lake.stack.reference).mkdir(exist_ok=True)
    (lake.stack.reference / "prices.csv").write_text(
        "model,deployment_type,region,bucket,unit,price,currency,valid_from,valid_to\n"
        f"gpt-4o-2024-08-06,GlobalStandard,*,input,1M tokens,1000,USD,{day},{day + timedelta(days=1)}\n"
    )
    with dg.DagsterInstance.ephemeral() as instance:
        assert len(tick(reference_sensor, instance)[0]) == 1
        assert run_job(instance, "reference", {}).success
        assert tick(reference_sensor, instance) == ([], "The tables hold what the reference files say.")
    stale = stale_days(lake.pipeline.lake(), USAGE_COST_HOURLY_DERIVATION)
    assert [each.day for each in stale] == [day.isoformat()]
    lake.run()
    assert cost_of(lake) > before
    assert_all_holds(lake)


def test_a_wrong_file_is_told_and_changes_nothing(lake: EmbeddedLake, instance: dg.DagsterInstance) -> None:
    lake.send(50)
    lake.run()
    before = cost_of(lake)
    lake.stack.reference.mkdir(exist_ok=True)
    (lake.stack.reference / "subscriptions.csv").write_text("subscription,taem\na,b\n")
    requests, reason = tick(reference_sensor, instance)
    assert requests == []
    assert "taem" in reason
    assert not run_job(instance, "reference", {}).success
    assert cost_of(lake) == before
    lake.send(30)
    with pytest.raises(PassFailed, match="taem"):
        lake.run()
    assert int(rows(lake, CHARGEBACK_MONTHLY)["request_count"].sum()) == 80


def test_a_month_that_is_behind_is_asked_for(lake: EmbeddedLake, instance: dg.DagsterInstance) -> None:
    lake.send(50)
    lake.run()
    assert tick(stale_months_sensor, instance) == ([], "Every month of chargeback is up to date.")
    name_the_callers(lake)
    assert run_job(instance, "reference", {}).success
    [request], _ = tick(stale_months_sensor, instance)
    assert request.tags["dagster/asset_partition_range_start"] == f"{datetime.now(UTC):%Y-%m}-01"


@pytest.mark.timeout(400)  # some forty days, twice
def test_a_month_closed_by_the_job_gains_adjustments_only(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    days = 40
    lake.send(200, days=days)
    name_the_callers(lake)
    lake.run()
    month = f"{(datetime.now(UTC).replace(day=1) - timedelta(days=1)):%Y-%m}"
    config = {"ops": {"close_a_month": {"config": {"month": month, "by": "finance"}}}}
    assert run_job(instance, "close_month", config).success
    assert not run_job(instance, "close_month", config).success
    first = pl.lit(f"{month}-01").str.to_date()
    closed = rows(lake, CHARGEBACK_MONTHLY).filter(usage_month=first)
    lake.send(200, days=days)
    name_the_callers(lake)
    lake.run()
    after = rows(lake, CHARGEBACK_MONTHLY).filter(usage_month=first)
    assert after.filter(entry="usage").sort(pl.all()).equals(closed.sort(pl.all()))
    assert after.filter(entry="adjustment")["request_count"].sum() > 0
    assert_all_holds(lake)
    again = {"month": month, "by": "finance", "why": "late events taken in"}
    assert run_job(instance, "restate_month", {"ops": {"restate_a_month": {"config": again}}}).success
    assert set(rows(lake, CHARGEBACK_MONTHLY).filter(usage_month=first)["entry"]) == {"usage"}
    assert rows(lake, MONTH_CLOSINGS)["number"].max() == 2
    assert_all_holds(lake)


def test_reconciliation_says_when_there_is_nothing_to_compare_and_when_azure_has_more(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    lake.send(200)
    lake.run()
    assert run_job(instance, "reconcile", {}).success
    folder = lake.stack.reference / "reconciliation"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics(10_000_000)))
    result = run_job(instance, "reconcile", {})
    assert result.success
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.description is not None


def metrics(prompt_tokens: int) -> dict[str, object]:
    """An answer of Azure Monitor: a day's prompt tokens, without dimensions."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    data = [{"timeStamp": f"{midnight:%Y-%m-%dT%H:%M:%SZ}", "total": float(prompt_tokens)}]
    name = {"value": "ProcessedPromptTokens", "localizedValue": "Processed Prompt Tokens"}
    series = [{"metadatavalues": [], "data": data}]
    return {
        "cost": 0,
        "timespan": f"{midnight:%Y-%m-%dT%H:%M:%SZ}/{midnight + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
        "interval": "P1D",
        "value": [{"id": "x", "name": name, "unit": "Count", "timeseries": series, "errorCode": "Success"}],
    }
