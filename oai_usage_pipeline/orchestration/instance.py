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
from sqlalchemy.exc import SQLAlchemyError

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
    """The instance at `dagster_home`, closed afterwards.

    Raises ConfigurationError when its `dagster.yaml` is wrong or its storage can't be used.
    """
    home = dagster_home()
    os.environ["DAGSTER_HOME"] = str(home)
    # Dagster makes its SQLite files on first use, and fails where two processes do so at once.
    with FileLock(home / ".first-use.lock"):
        instance = _opened(home)
    with instance:
        yield instance


def storage_fault(error: Exception) -> str | None:
    """What the database behind Dagster's instance says, and what to do; None for errors of anything else."""
    # Dagster's own error for Postgres has the driver's as its cause, and comes from a package of its own.
    found = next((each for each in (error, error.__cause__) if isinstance(each, SQLAlchemyError)), None)
    if found is None:
        return None
    # The statement that failed is of no use to a person.
    said = str(getattr(found, "orig", None) or found).strip().split("\n")[0]
    return (
        f"Dagster's own storage can't be used ({said}): check that the folder DAGSTER_HOME may be written "
        "and nothing else holds it; with Postgres, that the server runs and takes this user and password"
    )


def _opened(home: Path) -> dg.DagsterInstance:
    try:
        instance = dg.DagsterInstance.get()
        instance.get_runs_count()
        instance.get_latest_materialization_event(dg.AssetKey("none"))
    except dg.DagsterInvalidConfigError as error:
        # Dagster adds its own traceback to each.
        found = "; ".join(each.message.split("\n")[0].rstrip(":") for each in error.errors)
        raise ConfigurationError(
            f"{home / 'dagster.yaml'} can't be used: {found}. Set each variable that it takes from the "
            "environment ({env: NAME}), and mend what else is named"
        ) from None
    except Exception as error:
        if (fault := storage_fault(error)) is None:
            raise
        raise ConfigurationError(fault) from None
    return instance


def _embedded_configuration() -> str:
    return files("oai_usage_pipeline.orchestration").joinpath("dagster.yaml").read_text()
