"""The Dagster instance that commands run on: DAGSTER_HOME, or a folder of the embedded default.

Belongs here: where Dagster keeps its runs. Where data is kept is a setting of the pipeline.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import dagster as dg
from filelock import FileLock

from oai_usage_pipeline.errors import ConfigurationError

EMBEDDED_HOME = Path("data/dagster")


def dagster_home() -> Path:
    """DAGSTER_HOME, or the embedded default's folder, made and furnished with a `dagster.yaml`.

    Raises ConfigurationError when the folder can't be made.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or EMBEDDED_HOME).expanduser().resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            (home / "dagster.yaml").write_text(_embedded_configuration())
    except OSError as error:
        raise ConfigurationError(
            f"Dagster's home {home} can't be made: {error.strerror}. Set DAGSTER_HOME to a folder that may "
            "be written"
        ) from None
    return home


@contextmanager
def dagster_instance() -> Iterator[dg.DagsterInstance]:
    """The instance at `dagster_home`, closed afterwards."""
    home = dagster_home()
    os.environ["DAGSTER_HOME"] = str(home)
    # Dagster makes its SQLite files on first use, and fails where two processes do so at once.
    with FileLock(home / ".first-use.lock"):
        instance = dg.DagsterInstance.get()
        instance.get_runs_count()
        instance.get_latest_materialization_event(dg.AssetKey("none"))
    with instance:
        yield instance


def _embedded_configuration() -> str:
    return files("oai_usage_pipeline.orchestration").joinpath("dagster.yaml").read_text()
