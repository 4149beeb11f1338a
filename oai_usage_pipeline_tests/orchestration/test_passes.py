"""Whole passes through Dagster on the embedded default: the real hub protocol, Delta and Dagster."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.capture.event_hub import EventHubSource
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.errors import LakeDamaged, SourceUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.days import live_days, range_tags
from oai_usage_pipeline.orchestration.passes import PassFailed
from oai_usage_pipeline.orchestration.sensors import all_stale_days
from oai_usage_pipeline.tables import USAGE_EVENTS
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[EmbeddedLake]:
    with embedded_lake(tmp_path / "stack") as running:
        yield running


def assert_gold_is_the_ledger(lake: EmbeddedLake, requests: int) -> None:
    comparison = lake.compare()
    assert comparison.differences == []
    assert comparison.total("request_count") == (requests, requests)
    assert [each.sentence for each in verify(lake.pipeline.lake()) if not each.holds] == []


def test_events_become_gold_that_equals_the_ledger_and_again_after_more_traffic(lake: EmbeddedLake) -> None:
    lake.send(600, days=3)
    assert lake.run() == 1
    assert_gold_is_the_ledger(lake, 600)
    lake.send(400, days=3)
    lake.run()
    assert_gold_is_the_ledger(lake, 1000)
    assert lake.run() == 0


def test_a_lake_that_lost_its_events_is_left_as_it_is(lake: EmbeddedLake) -> None:
    row = USAGE_EVENTS.empty().clear(1).with_columns(enqueued_date=date(2026, 3, 10))
    lake.pipeline.lake().table(USAGE_EVENTS).append(row, {})
    with pytest.raises(LakeDamaged, match="usage_events has 1 rows"):
        lake.run()
    assert [each.name for each in lake.stack.lake.iterdir()] == [USAGE_EVENTS.name]


def test_an_independent_reader_sums_the_same_tokens_from_gold(lake: EmbeddedLake) -> None:
    lake.send(500, days=1)
    lake.run()
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{delta_extension()}'")
    gold = lake.stack.lake / "token_usage_hourly"
    found = connection.sql(
        "SELECT sum(request_count), sum(input_tokens), sum(output_tokens), sum(total_tokens) "
        f"FROM delta_scan('{gold}')"
    ).fetchone()
    names = ("request_count", "input_tokens", "output_tokens", "total_tokens")
    assert found == tuple(lake.compare().total(name)[1] for name in names)


def delta_extension() -> Path:
    """DuckDB's Delta reader (delta-kernel in Rust, no code of ours or of delta-rs) from its wheel."""
    package = pytest.importorskip("duckdb_extension_delta")
    [path] = Path(package.__path__[0]).rglob("*.duckdb_extension")
    return path


def test_partitions_added_while_running_are_picked_up(lake: EmbeddedLake) -> None:
    lake.send(200)
    lake.run()
    lake.broker.restart(partitions=4)
    lake.send(300)
    lake.run()
    assert_gold_is_the_ledger(lake, 500)
    assert set(lake.lag()) == {"0", "1", "2", "3"}


def test_a_killed_broker_and_a_new_port_change_nothing(lake: EmbeddedLake) -> None:
    lake.send(200)
    lake.run()
    lake.broker.kill()
    lake.broker.start()
    assert lake.run() == 0
    lake.send(100)
    lake.run()
    assert_gold_is_the_ledger(lake, 300)


def test_a_chosen_partition_only_is_captured_by_configuration(lake: EmbeddedLake) -> None:
    lake.send(300)
    before = lake.lag()
    result = (
        build_definitions()
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            asset_selection=[dg.AssetKey("openai_events")],
            run_config={"ops": {"openai_events": {"config": {"partition_ids": ["1"]}}}},
        )
    )
    assert result.success
    assert lake.lag() == {"0": before["0"], "1": 0}


def test_materialisations_tell_people_what_was_done(lake: EmbeddedLake) -> None:
    lake.send(300)
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_definitions().resolve_job_def("live")
        days = live_days(datetime.now(UTC))
        result = job.execute_in_process(instance=instance, tags=range_tags(*days))
        assert result.success
        bronze = instance.get_latest_materialization_event(dg.AssetKey("openai_events"))
        gold = instance.get_materialized_partitions(dg.AssetKey("token_usage_hourly"))
    assert bronze is not None
    metadata = bronze.asset_materialization.metadata if bronze.asset_materialization else {}
    assert metadata["captured_events"].value == 300
    assert metadata["dagster/row_count"].value == 300
    assert gold == set(days)


def test_checks_run_on_the_lake_and_pass(lake: EmbeddedLake) -> None:
    lake.send(300)
    lake.run()
    with dg.DagsterInstance.ephemeral() as instance:
        result = build_definitions().resolve_job_def("verify").execute_in_process(instance=instance)
    evaluations = {each.check_name: each.passed for each in result.get_asset_check_evaluations()}
    assert set(evaluations) >= {"positions_match", "gold_equals_silver", "rejected_share", "unpriced_share"}
    # No file says who the callers are, nor how deployments are sold: these are alarms. Some tenth of so
    # little traffic is estimated, which is the limit.
    alarms = {name for name, passed in evaluations.items() if not passed} - {"estimated_share"}
    assert alarms == {"unattributed_share", "deployments_are_named"}


def test_a_hub_that_is_gone_fails_the_pass_with_one_message(lake: EmbeddedLake) -> None:
    lake.send(50)
    lake.broker.kill()
    with pytest.raises(SourceUnavailable, match="can't be reached"):
        lake.run()
    lake.broker.start()
    lake.run()
    assert_gold_is_the_ledger(lake, 50)


def test_a_partition_that_cannot_be_read_keeps_no_other_from_gold(
    lake: EmbeddedLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.send(200)
    read = EventHubSource.read

    def read_all_but_one(self: EventHubSource, partition_id: str, *arguments: Any) -> None:
        if partition_id == "1":
            raise SourceUnavailable("partition 1 is out of order")
        read(self, partition_id, *arguments)

    monkeypatch.setattr(EventHubSource, "read", read_all_but_one)
    readable = lake.lag()["0"]
    with pytest.raises(PassFailed, match="partition 1 is out of order"):
        lake.run()
    assert lake.compare().total("request_count")[0] == readable


def test_a_hub_that_goes_on_receiving_is_captured_up_to_where_it_was(
    lake: EmbeddedLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.send(100)

    def receive_more(lake_of_the_pass: Lake) -> set[str]:
        lake.send(10)
        return all_stale_days(lake_of_the_pass)

    monkeypatch.setattr("oai_usage_pipeline.orchestration.passes.all_stale_days", receive_more)
    assert lake.run() <= 2
    assert lake.compare().total("request_count")[0] >= 100


def test_expired_events_stop_their_partition_and_fail_the_command(tmp_path: Path) -> None:
    with embedded_lake(tmp_path / "stack", partitions=1) as lake:
        lake.send(100)
        lake.run()
        lake.broker.stop()
        lake.broker.options = ("--retention-events", "50")
        lake.broker.start()
        lake.send(200)
        with pytest.raises(PassFailed, match="partition 0: events 100 to 249 are missing"):
            lake.run()
