"""What Dagster loads: complete, described, and without network, environment or secrets."""

import subprocess
import sys
from pathlib import Path

import dagster as dg

from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.tables import (
    KEY_PEPPERS,
    KEY_ROTATIONS,
    MONTH_CLOSINGS,
    PAYLOAD_ERASURES,
    TABLES,
)

REPOSITORY = Path(__file__).parents[2]


def specs() -> dict[str, dg.AssetSpec]:
    graph = build_definitions().resolve_all_asset_specs()
    return {spec.key.to_user_string(): spec for spec in graph}


def test_every_asset_has_description_group_kinds_and_every_table_its_columns() -> None:
    found = specs()
    records = (MONTH_CLOSINGS, KEY_PEPPERS, KEY_ROTATIONS, PAYLOAD_ERASURES)
    tables = [contract for contract in TABLES if contract not in records]
    others = {"event_hub", "pipeline_health", "reconciliation"}
    assert set(found) == others | {contract.name for contract in tables}
    assert all(spec.description and spec.group_name == "openai_usage" for spec in found.values())
    for contract in tables:
        spec = found[contract.name]
        schema = spec.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == list(contract.schema)
        assert all(column.description for column in schema.columns)
        assert spec.owners == ["team:platform"]
        assert spec.code_version == str(contract.rebuilt_since)


def test_definitions_are_fresh_each_time() -> None:
    assert build_definitions() is not build_definitions()


def test_dagster_validates_the_workspace_in_an_empty_environment(tmp_path: Path) -> None:
    dagster = str(Path(sys.executable).parent / "dagster")
    environment = {"DAGSTER_HOME": str(tmp_path), "PATH": str(Path(sys.executable).parent)}
    validated = subprocess.run(
        [dagster, "definitions", "validate", "-w", "workspace.yaml"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert validated.returncode == 0, validated.stderr
    assert "All code locations passed validation" in validated.stdout + validated.stderr
