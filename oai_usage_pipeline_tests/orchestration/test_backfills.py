"""Backfills are asked for with what they take, once, and refused where they make no sense."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.backfill import BulkActionStatus

from oai_usage_pipeline.cli import main
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration import backfills
from oai_usage_pipeline.orchestration.backfills import (
    asset_graph,
    days_under_way,
)
from oai_usage_pipeline.orchestration.instance import dagster_instance
from oai_usage_pipeline.orchestration.pace import (
    MEASURED,
    SECONDS_PER_COMMIT,
    SECONDS_PER_RUN,
    estimate,
    recent_pace,
)
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.stale import Work
from oai_usage_pipeline.tables import USAGE_EVENTS
from oai_usage_pipeline_tests.landed import Landing
from oai_usage_pipeline_tests.refresh.next_version import install

STALE = ("2026-03-10", "2026-03-11", "2026-03-12")


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Landing:
    """Three days of March that are up to date; Dagster's home beside them."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", str(tmp_path / "lake"))
    landed = Landing(Lake(str(tmp_path / "lake")))
    for day in (10, 11, 12):
        landed.send(40, day=day)
    for derivation in DERIVATIONS:
        refresh_days(landed.lake, derivation, [each.day for each in stale_days(landed.lake, derivation)])
    return landed


@pytest.fixture
def instance(landing: Landing) -> Iterator[dg.DagsterInstance]:
    with dagster_instance() as found:
        yield found


def backfill(*options: str) -> Result:
    return CliRunner().invoke(main, ["backfill", *options])


def test_a_new_contract_is_planned_with_days_events_and_time_and_launched_once(
    landing: Landing, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nothing is stale" in backfill("--stale", "--yes").output
    install(monkeypatch.setattr)
    shown = backfill("--stale")
    assert shown.exit_code == 1
    assert instance.get_backfills() == []
    assert re.search("3 stale days from 2026-03-10 to 2026-03-12: about [0-9]+ s, by what", shown.output)
    assert "120" in shown.output
    done = backfill("--stale", "--yes")
    assert done.exit_code == 0
    [made] = instance.get_backfills()
    assert f"Launched the backfill {made.backfill_id}" in done.output
    assert "No daemon of Dagster's is alive" in done.output
    assert made.tags.items() >= {backfills.TAG: "command", "dagster/priority": "-10"}.items()
    assert days_under_way(instance, asset_graph()) == {made.backfill_id: set(STALE)}
    again = backfill("--from", "2026-03-11", "--to", "2026-03-12", "--yes")
    assert again.exit_code == 1
    assert f"The backfill {made.backfill_id}, which is under way, has all of these 2 days" in again.output
    instance.update_backfill(made.with_status(BulkActionStatus.CANCELED))  # type: ignore[no-untyped-call]  # Dagster's own
    assert days_under_way(instance, asset_graph()) == {}
    assert backfill("--from", "2026-03-11", "--to", "2026-03-12", "--yes").exit_code == 0
    assert [len(days) for days in days_under_way(instance, asset_graph()).values()] == [2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Say either --stale, or both --from DAY and --to DAY"),
        (("--stale", "--from", "2026-03-10"), "Say either --stale"),
        (("--from", "2026-03-10"), "both --from DAY and --to DAY"),
        (("--from", "2026-03-12", "--to", "2026-03-10"), "2026-03-12 is after 2026-03-10"),
        (
            ("--from", "1999-03-12", "--to", "2026-03-10"),
            "1999-03-12 is no day of usage: days go from 2023-01-01",
        ),
        (("--from", "2026-03-12", "--to", "2999-03-10"), "2999-03-10 is no day of usage"),
    ],
)
def test_wrong_dates_are_refused_with_a_sentence(
    landing: Landing, options: tuple[str, ...], said: str
) -> None:
    refused = backfill(*options, "--yes")
    assert refused.exit_code in (1, 2)
    assert said in refused.output


def test_a_runs_own_pace_takes_the_place_of_ours() -> None:
    instance = dg.DagsterInstance.ephemeral()
    table = next(iter(MEASURED))
    assert recent_pace(instance, table) is None
    for number, rows in enumerate((900, 1100)):
        for day in STALE[: number + 1]:
            made = dg.AssetMaterialization(
                table, partition=day, metadata={"rebuilt_rows": rows, "rebuild_seconds": 0.5}
            )
            _report(instance, made, f"run-{number}")
    assert recent_pace(instance, table) == pytest.approx(2000)


def test_a_pace_of_ones_own_includes_what_a_day_costs_whatever_its_size() -> None:
    instance = dg.DagsterInstance.ephemeral()
    days = [Work(USAGE_EVENTS.name, 10, 8_000)]
    usual = estimate(instance, days, runs=1)
    assert usual.seconds == pytest.approx(SECONDS_PER_RUN + 1.0 + 10 * SECONDS_PER_COMMIT)
    metadata = {"rebuilt_rows": 4_000, "rebuild_seconds": 1.0}
    _report(instance, dg.AssetMaterialization(USAGE_EVENTS.name, metadata=metadata), "run")
    own = estimate(instance, days, runs=1)
    assert own.seconds == pytest.approx(SECONDS_PER_RUN + 2.0)
    assert (usual.basis, own.basis) == (
        "by what two cores of a laptop do",
        "by recent runs of usage_events",
    )


def _report(instance: dg.DagsterInstance, made: dg.AssetMaterialization, run_id: str) -> None:
    event = DagsterEvent(
        DagsterEventType.ASSET_MATERIALIZATION.value, "job", event_specific_data=StepMaterializationData(made)
    )
    entry = EventLogEntry(None, 20, "", run_id, time.time(), dagster_event=event)  # type: ignore[no-untyped-call]  # Dagster's own
    instance.handle_new_event(entry)
