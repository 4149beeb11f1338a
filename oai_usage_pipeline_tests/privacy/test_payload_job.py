"""Dagster takes texts out at night, and warns when it didn't."""

from pathlib import Path

import dagster as dg
import pytest

from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.payloads import daily_purge, payloads_within_retention
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline_tests.privacy.test_retention import Hub, words_in
from oai_usage_pipeline_tests.usage.test_payload import CANARY, PLANTED


def check() -> dg.AssetCheckResult:
    result = payloads_within_retention(pipeline=Pipeline())
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_a_purge_that_is_behind_is_warned_of_and_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAI_USAGE_LAKE_URI", str(tmp_path / "lake"))
    assert check().passed, "there is nothing yet"
    hub = Hub(Lake(str(tmp_path / "lake")))
    hub.send(10, PLANTED["in a chat"])
    hub.capture()
    assert check().passed
    assert "kept for ever" in str(check().description)
    with dg.instance_for_test() as instance, dg.build_schedule_context(instance) as context:
        assert isinstance(daily_purge(context), dg.SkipReason)
        monkeypatch.setenv("OAI_USAGE_PAYLOAD_RETENTION_DAYS", "30")
        assert isinstance(daily_purge(context), dg.RunRequest)
        behind = check()
        assert not behind.passed
        assert behind.severity == dg.AssetCheckSeverity.WARN
        assert "The oldest texts are of 2026-03-10" in str(behind.description)
        job = build_definitions().resolve_job_def("purge_payloads")
        assert job.execute_in_process(instance=instance).success
    assert check().passed
    assert words_in(tmp_path / "lake", CANARY) == []
