"""From a real check, run, hub or file that fails to a real receiver, once, and to the message of its end."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket
from threading import Barrier
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.execution.backfill import BulkActionStatus

from oai_usage_pipeline.alerts.lag import Mark
from oai_usage_pipeline.alerts.memory import Condition
from oai_usage_pipeline.cli import main
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration import alerts
from oai_usage_pipeline.orchestration.alerts import alert_sensor
from oai_usage_pipeline.orchestration.backfills import asset_graph, launch, plan
from oai_usage_pipeline.orchestration.conditions import (
    ADVICE,
    ASKED_AGAIN,
    OVERDUE,
    capture_lag,
    failed_backfill,
    failed_checks,
    failing_jobs,
    overdue_verification,
    wrong_files,
)
from oai_usage_pipeline.orchestration.evaluations import last_evaluations
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline_tests.alerts.local_receivers import Webhook, webhook
from oai_usage_pipeline_tests.embedded_lake import EmbeddedLake, embedded_lake
from oai_usage_pipeline_tests.faults.azurite import lake_at
from oai_usage_pipeline_tests.landed import Landing
from oai_usage_pipeline_tests.orchestration.test_sensors import start_run

REPOSITORY = build_definitions().get_repository_def()
PAGE = Path(__file__).parents[2] / "docs" / "ALERTS.md"
SECRET = "s3cr3t-s3cr3t"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedLake]:
    with embedded_lake(tmp_path_factory.mktemp("alerts") / "stack") as running:
        yield running


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as kept:
        monkeypatch.setenv("OAI_USAGE_ALERT_URLS", f"json://{kept.address}/{SECRET}")
        monkeypatch.setenv("OAI_USAGE_ALERT_MINUTES", "0")
        yield kept


class Watch:
    """The sensor on an instance of its own, tick by tick, with its cursor kept in between."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> str:
        """Look once; returns what the tick shows."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=REPOSITORY,
            resources={"pipeline": Pipeline()},
        )
        done = alert_sensor.evaluate_tick(context)
        self.cursor = done.cursor
        assert not done.run_requests
        return done.skip_message or ""


@pytest.fixture
def watch() -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watch(instance)


def evaluate(
    instance: dg.DagsterInstance,
    check: str,
    asset: str,
    *,
    passed: bool,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> None:
    found = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=check,
        passed=passed,
        metadata={},
        description=f"{check} found 3 of 9",
        severity=severity,
    )
    instance.report_runless_asset_event(found)


def capture() -> None:
    """Bronze alone, up to the hub's head."""
    job = build_definitions().resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(asset_selection=[dg.AssetKey("openai_events")]).success


def test_a_check_that_fails_is_told_once_and_so_is_its_end(
    lake: EmbeddedLake, receiver: Webhook, watch: Watch
) -> None:
    """The whole way: a file of bronze is gone, the real check, one message; it is back, and the other one."""
    lake.send(20)
    capture()
    [file, *_] = (lake.stack.lake / "openai_events").rglob("part-*.parquet")
    check = dg.AssetCheckKey(dg.AssetKey("openai_events"), "files_are_whole")
    every = build_definitions().resolve_implicit_global_asset_job_def()
    verify = every.get_subset(asset_selection=set(), asset_check_selection={check})

    file.rename(lake.stack.folder / "aside")
    assert verify.execute_in_process(instance=watch.instance).success
    shown = watch.tick()
    [began] = receiver.bodies
    assert "BEGAN  check files_are_whole of openai_events, since" in began["message"]
    assert file.name in began["message"]
    assert "Next: oai-usage repair (docs/REPAIR.md)" in began["message"]
    assert (began["type"], shown) == ("failure", "Wrong are: check files_are_whole of openai_events.")
    assert watch.tick() == shown
    assert len(receiver.bodies) == 1

    (lake.stack.folder / "aside").rename(file)
    assert verify.execute_in_process(instance=watch.instance).success
    assert watch.tick() == "Wrong are: nothing."
    [_, ended] = receiver.bodies
    assert ended["message"].startswith("ENDED  check files_are_whole of openai_events\nlasted from")
    assert (ended["title"], ended["type"]) == ("oai-usage: 1 ended", "success")
    watch.tick()
    assert len(receiver.bodies) == 2
    assert SECRET not in (watch.cursor or "")


def test_a_check_under_way_leaves_the_last_one_in_force(watch: Watch) -> None:
    evaluate(watch.instance, "no_gap", "openai_events", passed=False)
    definition = build_definitions().resolve_job_def("live")
    watch.instance.create_run_for_job(definition, status=dg.DagsterRunStatus.STARTED)
    [found] = failed_checks(last_evaluations(watch.instance, REPOSITORY))
    assert (found.name, found.sentence) == ("check no_gap of openai_events", "no_gap found 3 of 9")
    assert found.reminder == timedelta(days=1)


def test_a_warning_says_so_and_is_mentioned_again_weekly(watch: Watch) -> None:
    warning = dg.AssetCheckSeverity.WARN
    evaluate(watch.instance, "unpriced_share", "usage_cost_hourly", passed=False, severity=warning)
    [found] = failed_checks(last_evaluations(watch.instance, REPOSITORY))
    assert found.name == "warning unpriced_share of usage_cost_hourly"
    assert found.reminder == timedelta(days=7)


def test_a_verification_that_nobody_runs_is_told(watch: Watch) -> None:
    evaluate(watch.instance, "days_are_current", "token_usage_hourly", passed=True)
    now = datetime.now(UTC)
    evaluated = last_evaluations(watch.instance, REPOSITORY)
    assert list(overdue_verification(watch.instance, evaluated, now + OVERDUE / 2)) == []
    [found] = overdue_verification(watch.instance, evaluated, now + 2 * OVERDUE)
    assert found.name == "verification is overdue"


def test_a_verification_that_never_ran_is_told_three_hours_after_the_first_live_pass(watch: Watch) -> None:
    now = datetime.now(UTC)
    assert list(overdue_verification(watch.instance, [], now + 2 * OVERDUE)) == []
    start_run(watch.instance, "live", dg.DagsterRunStatus.SUCCESS)
    assert list(overdue_verification(watch.instance, [], now + OVERDUE / 2)) == []
    [found] = overdue_verification(watch.instance, [], now + 2 * OVERDUE)
    assert "never evaluated" in found.sentence


def test_a_job_is_failing_until_a_run_succeeds_however_many_attempts_there_were(
    lake: EmbeddedLake, receiver: Webhook, watch: Watch
) -> None:
    for status, messages in (
        (dg.DagsterRunStatus.FAILURE, 1),
        (dg.DagsterRunStatus.FAILURE, 1),
        (dg.DagsterRunStatus.STARTED, 1),
        (dg.DagsterRunStatus.SUCCESS, 2),
    ):
        start_run(watch.instance, "live", status)
        watch.tick()
        assert len(receiver.bodies) == messages
    assert "BEGAN  job live fails" in receiver.bodies[0]["message"]
    assert "ENDED  job live fails" in receiver.bodies[1]["message"]


def test_a_job_that_no_sensor_asks_for_any_more_is_not_failing_if_hub_and_lake_answer(watch: Watch) -> None:
    """As after a wrong file was put back as it was: nothing is left to land, and no run succeeds."""

    def failing(after: timedelta, *, is_answered: bool = True) -> list[str]:
        now = datetime.now(UTC) + after
        found = failing_jobs(watch.instance, REPOSITORY, now, is_answered=is_answered)
        return [each.name for each in found]

    for job in ("reference", "verify"):
        start_run(watch.instance, job, dg.DagsterRunStatus.FAILURE)
    both = ["job reference fails", "job verify fails"]
    assert failing(ASKED_AGAIN / 2) == both
    assert failing(ASKED_AGAIN * 2) == ["job verify fails"]
    assert failing(ASKED_AGAIN * 2, is_answered=False) == both
    start_run(watch.instance, "reference", dg.DagsterRunStatus.STARTED)
    assert failing(ASKED_AGAIN * 2) == both


def test_a_backfill_that_failed_is_told_for_a_day_or_until_another_has_ended(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = Landing(Lake(str(tmp_path / "lake")))
    landing.send(10, day=10)

    def ended(status: BulkActionStatus) -> None:
        planned = plan(landing.lake, watch.instance)
        made = watch.instance.get_backfill(launch(watch.instance, asset_graph(), planned, by="command"))
        assert made is not None
        watch.instance.update_backfill(made.with_status(status))  # type: ignore[no-untyped-call]  # Dagster's own

    now = datetime.now(UTC)
    ended(BulkActionStatus.COMPLETED_FAILED)
    [found] = failed_backfill(watch.instance, now)
    assert found.name == "backfill fails"
    assert "(1 stale days from 2026-03-10 to 2026-03-10) failed at" in found.sentence
    assert list(failed_backfill(watch.instance, now + timedelta(hours=25))) == []
    ended(BulkActionStatus.COMPLETED_SUCCESS)
    assert list(failed_backfill(watch.instance, now)) == []


def test_what_passes_before_its_time_is_told_to_nobody(
    lake: EmbeddedLake, receiver: Webhook, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAI_USAGE_ALERT_MINUTES", "1")
    start_run(watch.instance, "live", dg.DagsterRunStatus.FAILURE)
    assert watch.tick() == "Wrong are: job live fails."
    start_run(watch.instance, "live", dg.DagsterRunStatus.SUCCESS)
    watch.tick()
    assert receiver.bodies == []


def test_a_hub_that_is_gone_comes_before_what_follows_from_it_in_one_message(
    lake: EmbeddedLake, receiver: Webhook, watch: Watch
) -> None:
    file = lake.stack.reference / "subscriptions.csv"
    file.parent.mkdir(exist_ok=True)
    lake.broker.kill()
    file.write_text("subscription,colour\na,b\n")
    start_run(watch.instance, "live", dg.DagsterRunStatus.FAILURE)
    watch.tick()
    lake.broker.start()
    file.unlink()
    watch.tick()
    began, ended = receiver.bodies
    assert began["title"] == "oai-usage: 3 new"
    names = re.findall("^BEGAN  (.*), since", began["message"], re.MULTILINE)
    assert names == ["hub and lake", "reference files", "job live fails"]
    assert "can't be reached" in began["message"]
    assert ended["title"] == "oai-usage: 2 ended"


def test_a_lake_that_is_away_is_no_wrong_file(lake: EmbeddedLake, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Nobody listens there.
        away = lake_at(taken.getsockname()[1], "az://lake/away", retry_timeout="0s")
        monkeypatch.setattr(Pipeline, "lake", lambda _: away)
        [found] = wrong_files(Pipeline())
    assert found.name == "hub and lake"
    assert "az://lake/away" in found.sentence


def test_hub_and_files_are_looked_at_side_by_side_and_so_are_receivers_told(
    lake: EmbeddedLake, receiver: Webhook, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the other; one after another, nobody would come."""
    both_look, both_told = Barrier(2, timeout=10), Barrier(2, timeout=10)

    def lag(*arguments: Any) -> Any:
        both_look.wait()
        return capture_lag(*arguments)

    def files(pipeline: Pipeline) -> list[Condition]:
        both_look.wait()
        return wrong_files(pipeline)

    monkeypatch.setattr(alerts, "capture_lag", lag)
    monkeypatch.setattr(alerts, "wrong_files", files)
    with webhook() as other:
        both = f"json://{other.address} json://{receiver.address}"
        monkeypatch.setenv("OAI_USAGE_ALERT_URLS", both)
        receiver.waits = other.waits = both_told.wait
        start_run(watch.instance, "live", dg.DagsterRunStatus.FAILURE)
        assert watch.tick() == "Wrong are: job live fails."
    assert len(receiver.bodies) == len(other.bodies) == 1


def test_capture_that_is_behind_is_told_with_its_events_and_since_when(lake: EmbeddedLake) -> None:
    capture()
    now, settling = datetime.now(UTC), timedelta(minutes=15)
    assert capture_lag(Pipeline(), {}, now, settling) == ([], {})
    lake.send(30)
    none, marks = capture_lag(Pipeline(), {}, now, settling)
    assert none == []
    [behind], kept = capture_lag(Pipeline(), marks, now + timedelta(minutes=20), settling)
    assert kept == marks
    assert behind.since == now
    assert behind.sentence == "30 events wait in 2 partitions of the hub, the first for 20 minutes or more"
    capture()
    assert capture_lag(Pipeline(), marks, now + timedelta(minutes=30), settling) == ([], {})


def test_while_the_hub_doesnt_answer_capture_is_not_taken_to_have_caught_up(lake: EmbeddedLake) -> None:
    now, settling = datetime.now(UTC), timedelta(minutes=15)
    marks = {"a partition": Mark(sequence_number=9, at=now - timedelta(hours=1))}
    lake.broker.kill()
    found, kept = capture_lag(Pipeline(), marks, now, settling)
    lake.broker.start()
    assert [each.name for each in found] == ["hub and lake", "capture is behind"]
    assert kept == marks


def test_a_receiver_that_fails_is_told_later_and_the_others_only_once(
    lake: EmbeddedLake, receiver: Webhook, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as failing:
        failing.status = 503
        both = f"json://{failing.address}/{SECRET} json://{receiver.address}/{SECRET}"
        monkeypatch.setenv("OAI_USAGE_ALERT_URLS", both)
        start_run(watch.instance, "live", dg.DagsterRunStatus.FAILURE)
        for _ in range(2):
            shown = watch.tick()
            assert "The receiver 1 (json) of OAI_USAGE_ALERT_URLS was not told: it answered 503" in shown
            assert SECRET not in shown
        failing.status = 200
        watch.tick()
        watch.tick()
    assert len(receiver.bodies) == 1
    assert failing.bodies == [receiver.bodies[0]] * 3


def test_without_receivers_nothing_is_looked_at(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OAI_USAGE_ALERT_URLS", raising=False)
    assert watch.tick() == "OAI_USAGE_ALERT_URLS is not set: nobody is told."


def test_a_wrong_address_is_told_by_sensor_and_command_without_it(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAI_USAGE_ALERT_URLS", f"foo://{SECRET}")
    assert "address 1 is none that Apprise knows" in watch.tick()
    shown = CliRunner().invoke(main, ["alerts", "--test"])
    assert shown.exit_code == 1
    [line] = shown.output.splitlines()
    assert line.startswith("Error: OAI_USAGE_ALERT_URLS: address 1 is none that Apprise knows")
    assert SECRET not in watch.tick() + line


def test_the_command_sends_each_receiver_a_test_message(receiver: Webhook) -> None:
    listed = CliRunner().invoke(main, ["alerts"])
    assert (listed.exit_code, listed.output, receiver.bodies) == (0, "1 (json)\n", [])
    sent = CliRunner().invoke(main, ["alerts", "--test"])
    assert (sent.exit_code, sent.output) == (0, "1 (json): told\n")
    assert [each["title"] for each in receiver.bodies] == ["oai-usage: a test message"]
    receiver.status = 500
    failed = CliRunner().invoke(main, ["alerts", "--test"])
    assert failed.exit_code == 1
    assert "it answered 500" in failed.output


def test_the_page_names_every_check_and_where_to_go() -> None:
    checks = {each.name for each in REPOSITORY.asset_graph.asset_check_keys}
    assert checks >= set(ADVICE)
    page = PAGE.read_text()
    assert {each for each in checks if f"`{each}`" not in page} == set()
