"""Dagster keeps tables and itself fit at night, and shows what came of it."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.orchestration.maintenance import MAINTAIN, nightly_upkeep
from oai_usage_pipeline.tables import OPENAI_EVENTS, USAGE_EVENTS
from oai_usage_pipeline_tests.landed import Landing
from oai_usage_pipeline_tests.maintenance.test_compaction import assert_sound


def figures(result: dg.ExecuteInProcessResult, step: str) -> dict[str, Any]:
    [output] = [
        each for each in result.filter_events(lambda each: each.is_successful_output) if each.step_key == step
    ]
    metadata = output.step_output_data.metadata
    return {name: getattr(each, "records", each.value) for name, each in metadata.items()}


def test_a_night_leaves_few_files_and_says_so(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", landing.lake.location)
    job = build_definitions().resolve_job_def(MAINTAIN)
    ops = {"maintain_tables": {"config": {"dry_run": True, "tables": [OPENAI_EVENTS.name]}}}
    with dg.instance_for_test() as instance:
        told = job.execute_in_process({"ops": ops}, instance=instance)
        assert {"files": 5, "files_after": 2, "dry_run": True}.items() <= figures(
            told, "maintain_tables"
        ).items()
        assert len(landing.lake.existing(OPENAI_EVENTS).data_files()) == 5
        done = figures(job.execute_in_process(instance=instance), "maintain_tables")
        rows = {each.data["table"]: each.data for each in done["compaction"]}
        assert (rows[OPENAI_EVENTS.name]["files"], rows[OPENAI_EVENTS.name]["files_after"]) == (5, 2)
        assert len(landing.lake.existing(OPENAI_EVENTS).data_files()) == 2
        assert figures(job.execute_in_process(instance=instance), "prune_runs")["runs"] == 3
        with dg.build_schedule_context(instance) as context:
            assert isinstance(nightly_upkeep(context), dg.RunRequest)
            instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
            assert isinstance(nightly_upkeep(context), dg.SkipReason)
    assert_sound(landing.lake)


def test_a_table_that_can_not_be_done_is_told_when_the_others_are(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", landing.lake.location)
    damaged = landing.lake.uri(USAGE_EVENTS)
    for path in Path(damaged, "_delta_log").glob("*.json"):
        path.write_text("cut")
    with dg.instance_for_test() as instance:
        job = build_definitions().resolve_job_def(MAINTAIN)
        done = job.execute_in_process(instance=instance, raise_on_error=False)
        [failure] = done.get_step_failure_events()
    assert "usage_events: the log of the table" in str(failure.step_failure_data.user_failure_data)
    assert len(landing.lake.existing(OPENAI_EVENTS).data_files()) == 2
