"""deploy/dagster.yaml: Dagster takes every block, and on a real Postgres that crashes the lake ends right."""

import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance import InstanceRef
from dagster._core.storage.tags import BACKFILL_ID_TAG
from dagster_azure.blob.compute_log_manager import AzureBlobComputeLogManager

from oai_usage_pipeline.definitions import defs
from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.orchestration.backfills import UNDER_WAY
from oai_usage_pipeline.orchestration.instance import dagster_instance
from oai_usage_pipeline.orchestration.jobs import HUB_PARTITIONS, LIVE
from oai_usage_pipeline.orchestration.liveness import START_SECONDS
from oai_usage_pipeline.orchestration.maintenance import MAINTAIN
from oai_usage_pipeline.orchestration.passes import PassFailed, run_until_idle
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY
from oai_usage_pipeline_tests.embedded_lake import embedded_lake
from oai_usage_pipeline_tests.orchestration.dagster_processes import DagsterProcesses
from oai_usage_pipeline_tests.orchestration.dagster_server import REPOSITORY, Answer
from oai_usage_pipeline_tests.orchestration.test_dagster_faults import (
    STATUS,
    assert_the_lake_is_right,
    calls_in_gold,
    launched,
    wait_for_a_run_at_work,
    wait_until,
)
from oai_usage_pipeline_tests.postgres_server import PASSWORD, PostgresServer, postgres_server
from oai_usage_pipeline_tests.production import PRODUCTION, furnish, settings

EMBEDDED = REPOSITORY / "oai_usage_pipeline" / "orchestration" / "dagster.yaml"
UNREACHABLE = {
    "DAGSTER_PG_HOST": "127.0.0.1",
    "DAGSTER_PG_PORT": "1",
    "DAGSTER_PG_DB": "dagster",
    "DAGSTER_PG_USERNAME": "dagster",
    "DAGSTER_PG_PASSWORD": PASSWORD,
    "DAGSTER_LOG_STORAGE_ACCOUNT": "account",
    "DAGSTER_LOG_CONTAINER": "container",
}


@pytest.fixture
def postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A server, and a DAGSTER_HOME with nothing but the production file led to it."""
    with postgres_server() as server:
        furnish(tmp_path / "dagster", server.environment, monkeypatch)
        yield server


def test_dagster_takes_every_block_and_the_one_that_is_commented_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(tmp_path / "home", UNREACHABLE, monkeypatch)
    InstanceRef.from_dir(str(tmp_path / "home"))
    uncommented = re.sub(r"^# (?=compute_logs:|  )", "", PRODUCTION.read_text(), flags=re.MULTILINE)
    (tmp_path / "home" / "dagster.yaml").write_text(uncommented)
    assert settings().keys() ^ settings(tmp_path / "home" / "dagster.yaml").keys() == {"compute_logs"}
    assert isinstance(
        InstanceRef.from_dir(str(tmp_path / "home")).compute_log_manager, AzureBlobComputeLogManager
    )


def test_it_differs_from_the_embedded_default_only_where_production_does() -> None:
    production, embedded = settings(), settings(EMBEDDED)
    for shared in ("concurrency", "retention", "python_logs", "telemetry", "nux"):
        assert production[shared] == embedded[shared]
    assert embedded["run_monitoring"].items() <= production["run_monitoring"].items()
    assert production["run_monitoring"]["start_timeout_seconds"] == START_SECONDS


def test_what_is_limited_carries_the_tags_that_limits_look_at() -> None:
    limits = {each["key"] for each in settings()["concurrency"]["runs"]["tag_concurrency_limits"]}
    given = {key for name in (LIVE, MAINTAIN) for key in defs.resolve_job_def(name).tags}
    assert limits <= given | {BACKFILL_ID_TAG}


def test_each_sensor_has_a_thread() -> None:
    assert settings()["sensors"]["num_workers"] >= len(defs.get_repository_def().sensor_defs)


def test_every_block_is_explained() -> None:
    explained = re.findall(
        r"^\| `([a-z_]+)", (REPOSITORY / "docs" / "DEPLOYMENT.md").read_text(), re.MULTILINE
    )
    assert set(settings()) <= set(explained)


def test_a_wrong_password_and_a_missing_variable_are_told_in_a_sentence(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "wrong-one")
    said = refusal()
    assert "password authentication failed" in said
    assert "wrong-one" not in said
    monkeypatch.delenv("DAGSTER_PG_PASSWORD")
    assert "{'env': 'DAGSTER_PG_PASSWORD'}" in refusal()


def refusal() -> str:
    with pytest.raises(ConfigurationError) as raised, dagster_instance():
        pass
    return str(raised.value)


def is_over(answer: Answer) -> bool:
    return answer["partitionBackfillOrError"]["status"] not in {each.value for each in UNDER_WAY}


@pytest.mark.timeout(600)
def test_live_passes_and_backfills_outlive_a_crash_of_postgres_and_no_run_is_kept_elsewhere(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with embedded_lake(tmp_path / "stack") as lake:
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
        lake.send(100)
        with DagsterProcesses(tmp_path) as dagster:
            dagster.start_daemon()
            wait_until(lambda: calls_in_gold(lake) == 100, "gold of 100 calls")
            backfill = launched(dagster, sorted(lake.pipeline.lake().existing(TOKEN_USAGE_HOURLY).days()))
            lake.send(50)
            wait_for_a_run_at_work()
            postgres.crash()
            lake.send(50)
            postgres.start()
            wait_until(lambda: calls_in_gold(lake) == 200, "gold of 200 calls")
            # The webserver notices with its next question that its connections are gone.
            dagster.server.wait_for(STATUS, is_over, id=backfill)
        with dagster_instance() as instance:
            live = instance.get_runs(dg.RunsFilter(job_name=LIVE, statuses=[dg.DagsterRunStatus.SUCCESS]))
            assert live[0].tags[HUB_PARTITIONS] == "all"
            logged = postgres.ask(f"select count(*) from event_logs where run_id = '{live[0].run_id}'")
            assert int(logged) > 10
            assert list((tmp_path / "dagster").rglob("*.db")) == []
            lake.send(10)
            postgres.crash()
            with pytest.raises(PassFailed, match=r"Dagster's own storage can't be used .*refused"):
                run_until_idle(instance, lake.pipeline)
            postgres.start()
            run_until_idle(instance, lake.pipeline)
        assert_the_lake_is_right(lake, 210)
