"""deploy/dagster.yaml in the hands of tests.

Belongs here: reading it, and a DAGSTER_HOME that has nothing else. The server that it asks for is in
`postgres_server`.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dagster_shared.yaml_utils import load_yaml_from_path

from oai_usage_pipeline_tests.orchestration.dagster_server import REPOSITORY

PRODUCTION = REPOSITORY / "deploy" / "dagster.yaml"


def settings(path: Path = PRODUCTION) -> dict[str, Any]:
    """What a `dagster.yaml` says, by block."""
    read = load_yaml_from_path(str(path))
    assert isinstance(read, dict)
    return read


def furnish(home: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `home` with the production file, and lead this process to it in its environment."""
    home.mkdir()
    shutil.copy(PRODUCTION, home)
    for name, value in {**environment, "DAGSTER_HOME": str(home)}.items():
        monkeypatch.setenv(name, value)
