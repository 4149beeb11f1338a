"""What `deployments.csv` may hold, and what holds without it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from oai_usage_pipeline.reference.deployments import FILE, read_deployments
from oai_usage_pipeline.reference.prices import price_rows
from oai_usage_pipeline.tables import DEPLOYMENT_TYPES, DEPLOYMENTS
from oai_usage_pipeline_tests.charge.frames import costed, gold
from oai_usage_pipeline_tests.reference.writing import refusal, write

HEADER = "deployment,model,deployment_type,ptu_count,capacity_tokens_per_hour,valid_from"
LATE = datetime(2026, 7, 1, tzinfo=UTC)
SINCE = ",2026-03-01"


def test_without_a_file_every_deployment_is_global_standard_but_for_models_sold_by_region(
    tmp_path: Path,
) -> None:
    rows = read_deployments(tmp_path)
    assert dict(rows.schema) == DEPLOYMENTS.schema
    assert [{k: v for k, v in row.items() if v is not None} for row in rows.to_dicts()] == [
        {"deployment": "*", "deployment_type": "GlobalStandard"},
        *(
            {"deployment": "*", "model": model, "deployment_type": "Standard"}
            for model in ("whisper*", "tts*", "dall-e-3*")
        ),
    ]


@pytest.mark.parametrize(
    ("model", "column", "reason"),
    [
        ("gpt-4o-2024-08-06", "billed_input_tokens", None),
        ("tts", "billed_character_count", None),
        ("tts-1-hd", "billed_character_count", "region_unknown"),
        ("whisper-001", "billed_audio_ms", "no_price"),
        ("whisper", "billed_audio_ms", "region_unknown"),
        ("dall-e-3", "billed_image_count", "region_unknown"),
        ("gpt-4o-mini-tts", "billed_audio_output_tokens", None),
    ],
)
def test_without_a_file_what_is_sold_by_region_has_a_price_only_where_every_region_has_one(
    tmp_path: Path, model: str, column: str, reason: str | None
) -> None:
    [row] = costed(
        gold({"model": model, column: 1000, "hour_at": LATE}),
        price_rows(tmp_path),
        read_deployments(tmp_path),
    ).to_dicts()
    assert row["reason"] == reason
    assert (row["cost"] is None) == (reason is not None)


@pytest.mark.parametrize("kind", DEPLOYMENT_TYPES)
def test_every_type_of_the_contract_is_accepted(tmp_path: Path, kind: str) -> None:
    write(tmp_path, FILE, HEADER, f"chat,,{kind},{'50,1000000' if 'Provisioned' in kind else ','}{SINCE}")
    row = read_deployments(tmp_path).row(0, named=True)
    assert row["deployment_type"] == kind
    assert row["ptu_count"] == (50 if "Provisioned" in kind else None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("chat,,Globalstandard,,", "did you mean GlobalStandard?"),
        ("chat,,Serverless,,", "expected one of GlobalStandard, DataZoneStandard"),
        ("chat,,,,", "column deployment_type: is empty, but required (Azure's SKU name"),
        (",,Standard,,", "column deployment: is empty, but required"),
        ("chat,,ProvisionedManaged,,", "ptu_count is required, but empty"),
        ("chat,,ProvisionedManaged,,5", "ptu_count is required, but empty"),
        ("*,,ProvisionedManaged,5,", "units belong to one deployment"),
        ("chat,,Standard,5,", "a Standard deployment has no units"),
        ("chat,,Standard,,5", "a Standard deployment has no units"),
        ("chat,,ProvisionedManaged,0,", "expected a whole number above 0"),
        ("chat,,ProvisionedManaged,-5,", "expected a whole number above 0"),
        ("chat,,ProvisionedManaged,5.0,", "expected a whole number above 0"),
        ("chat,,ProvisionedManaged,1_000,", "expected a whole number above 0"),
        ("chat,,ProvisionedManaged,\u0665,", "expected a whole number above 0"),
        ("chat,,ProvisionedManaged,5," + "9" * 30, "expected a whole number above 0"),
        ("chat,,ProvisionedManaged,5,,", "valid_from is required, but empty"),
        ("chat,,ProvisionedManaged,5,,2022-12-31", "2022-12-31T00:00Z is before there was any"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(tmp_path: Path, line: str, expected: str) -> None:
    write(tmp_path, FILE, HEADER, line if line.count(",") == HEADER.count(",") else line + SINCE)
    assert expected in refusal(read_deployments, tmp_path)


def test_one_deployment_may_have_a_row_for_each_model(tmp_path: Path) -> None:
    write(tmp_path, FILE, HEADER, "*,,GlobalStandard,,,", "*,gpt-4o,Standard,,,", "chat,,Batch,,,")
    assert read_deployments(tmp_path).height == 3


@pytest.mark.parametrize("model", ["", "gpt-4o"])
def test_two_rows_of_one_deployment_and_model_overlap(tmp_path: Path, model: str) -> None:
    write(tmp_path, FILE, HEADER, f"chat,{model},GlobalStandard,,,", f"chat,{model},Standard,,,")
    said = refusal(read_deployments, tmp_path)
    assert "line 3: deployment 'chat'" in said
    assert "stands in line 2 too" in said
    assert ("with model 'gpt-4o'" in said) == bool(model)
