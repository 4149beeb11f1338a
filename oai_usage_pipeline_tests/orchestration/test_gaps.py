"""Loss is loud, through Dagster and the real hub: from what expired to the mark in gold and the statement."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from oai_usage_pipeline.audit.invariants import nothing_lost, verify
from oai_usage_pipeline.capture.gaps import Gap, gaps_of, record_gap
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.cli import main
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.orchestration.passes import PassFailed, reason, run_until_idle
from oai_usage_pipeline.orchestration.sensors import backlog_sensor
from oai_usage_pipeline.tables import CAPTURE_GAPS, TOKEN_USAGE_HOURLY
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake
from oai_usage_pipeline_tests.orchestration.test_sensors import tick


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[EmbeddedLake]:
    """Two partitions, of which 0 lost events before they were captured, and 1 none."""
    with embedded_lake(tmp_path / "stack") as running:
        running.send(100)
        running.run()
        running.send(300)
        capture_only(running, "1")
        running.broker.stop()
        running.broker.options = ("--retention-events", "50")
        running.broker.start()
        running.send(40)
        yield running


def capture_only(lake: EmbeddedLake, partition_id: str) -> None:
    pipeline = lake.pipeline
    with pipeline.source() as source:
        run = CaptureRun(source, pipeline.lake(), pipeline.fingerprint(), only=[partition_id])
        assert run.execute().errors == []


def oai_usage(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def checks(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    result = build_definitions().resolve_job_def("verify").execute_in_process(instance=instance)
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def latest(instance: dg.DagsterInstance, asset: str) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: each.value for name, each in event.asset_materialization.metadata.items()}


def acknowledge(gap: Gap, **other: int) -> Result:
    first, last = other.get("first", gap.range[0]), other.get("last", gap.range[1])
    numbers = ("--partition", gap.partition_id, "--first", str(first), "--last", str(last))
    return oai_usage("gaps", "acknowledge", *numbers, "--by", "Ada", "--why", "retention was an hour")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def test_from_an_expired_event_to_the_statement_that_says_so(
    lake: EmbeddedLake, instance: dg.DagsterInstance
) -> None:
    reports: list[str] = []
    with pytest.raises(PassFailed) as stopped:
        run_until_idle(instance, lake.pipeline, report=reports.append)
    [begun] = [each for each in reports if each.startswith("Pass 1: ")]
    assert begun.endswith(
        "events wait in 2 partitions; partitions stopped by a gap that is to be recorded: 1"
    )

    # The partition stops with the exact range, the other goes on, and what happened is on record.
    [gap] = gaps_of(lake.pipeline.lake())
    first, last = gap.range
    assert f"partition 0: events {first} to {last} are missing" in str(stopped.value)
    assert f"oai-usage gaps acknowledge --partition 0 --first {first} --last {last}" in str(stopped.value)
    assert lake.lag()["1"] == 0
    with lake.pipeline.source() as source:
        assert source.bounds("0").first == last + 1
    assert gap.after_at is not None
    assert gap.after_at <= gap.before_at <= gap.found_at

    # Nothing more is asked for until a person says so, and every view shows it.
    requests, reason = tick(backlog_sensor, instance)
    assert (requests, f"events {first} to {last} are missing" in reason) == ([], True)
    assert [each["last_sequence_number"] for each in json.loads(oai_usage("gaps", "--json").stdout)] == [last]
    assert json.loads(oai_usage("status", "--json").stdout)["open_gaps"] == [str(gap)]
    assert latest(instance, CAPTURE_GAPS.name)["open_gaps"] == 1
    assert not nothing_lost(lake.pipeline.lake()).figures["acknowledged"]

    # Only exactly what is open can be acknowledged.
    refused = acknowledge(gap, last=last + 1)
    assert refused.exit_code == 1
    assert f"no open gap {first} to {last + 1}. Open are:" in refused.stderr
    assert str(gap) in refused.stderr
    assert acknowledge(gap).exit_code == 0
    with dg.DagsterInstance.get() as home:
        assert latest(home, CAPTURE_GAPS.name)["open_gaps"] == 0
    again = acknowledge(gap)
    assert (again.exit_code, "acknowledged already" in again.stderr) == (1, True)

    # The partition goes on by itself; what is missing stays in sight, and every promise holds.
    run_until_idle(instance, lake.pipeline)
    assert lake.lag() == {"0": 0, "1": 0}
    assert [each.sentence for each in verify(lake.pipeline.lake()) if not each.holds] == []
    assert nothing_lost(lake.pipeline.lake()).figures["acknowledged"] == gap.event_count
    gold = lake.pipeline.lake().existing(TOKEN_USAGE_HOURLY).scan().collect()
    hours = {at.replace(minute=0, second=0, microsecond=0) for at in (gap.after_at, gap.before_at)}
    assert hours <= set(gold.filter("is_incomplete")["hour_at"])
    complete = checks(instance)["days_are_complete"]
    assert (complete.passed, complete.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert complete.description is not None
    assert f"{gap.event_count:,} events" in complete.description
    assert "acknowledged by Ada" in complete.description
    statement = oai_usage("month", "show", f"{gap.after_at:%Y-%m}").stdout
    assert f"Not in it: {gap.event_count:,} events of {gap.event_hub} partition 0 are missing" in statement
    assert "acknowledged by Ada" in statement
    assert latest(instance, "chargeback_monthly")["missing_events"] == gap.event_count
    assert "No event is known to be missing" not in oai_usage("gaps").stdout

    # The next pass has nothing to do.
    assert run_until_idle(instance, lake.pipeline) == 0


def test_the_job_acknowledges_as_the_command_does(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    with embedded_lake(tmp_path / "stack", partitions=1) as lake:
        with lake.pipeline.source() as source:
            hub = source.describe()
        former = Hub(hub.event_hub, "2026-01-01T00:00:00.000Z", ())
        at = datetime(2026, 1, 2, tzinfo=UTC)
        record_gap(lake.pipeline.lake(), former, "0", 5, 9, at, at + timedelta(hours=1), at)
        job = build_definitions().resolve_job_def("acknowledge_gap")
        config = {"partition_id": "0", "first": 5, "last": 9, "by": "Ada", "why": "hub was deleted"}

        def launch(**other: object) -> dg.ExecuteInProcessResult:
            return job.execute_in_process(
                instance=instance,
                run_config={"ops": {"acknowledge_one_gap": {"config": config | other}}},
                raise_on_error=False,
            )

        assert not launch(last=8).success
        assert launch().success
        [gap] = gaps_of(lake.pipeline.lake())
        assert (gap.acknowledged_by, gap.reason) == ("Ada", "hub was deleted")
        assert latest(instance, CAPTURE_GAPS.name)["open_gaps"] == 0
        assert not launch(by="Bob").success
        record_gap(lake.pipeline.lake(), Hub("former/hub", "?", ()), "0", 5, 9, at, at, at)
        assert not launch().success
        lake.broker.stop()
        assert launch(hub="former/hub").success


def test_a_pass_tells_why_it_is_run() -> None:
    assert reason(1234, 2, 0) == "1,234 events wait in 2 partitions"
    assert reason(0, 2, 1) == "partitions stopped by a gap that is to be recorded: 1"


def test_a_lake_without_gaps_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", str(tmp_path / "lake"))
    assert oai_usage("gaps").stdout == "No event is known to be missing.\n"
    assert json.loads(oai_usage("gaps", "--json").stdout) == []
    assert not (tmp_path / "lake").exists()
