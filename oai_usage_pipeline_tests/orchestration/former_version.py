"""The package as it might have been one version ago: a copy with three things taken back, run for itself.

Silver had a column less, counted the tokens of embeddings twice, and didn't know one shape of event. Its rows
say so: their `schema_version` is a lower one.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from oai_usage_pipeline.tables import USAGE_EVENTS
from oai_usage_pipeline_tests.orchestration.dagster_server import REPOSITORY
from stress.deliberate_bugs import Bug, Edit

VERSION = USAGE_EVENTS.rebuilt_since - 1
LACKED = "finish_reasons"
MISREAD = "embeddings"
UNKNOWN_SHAPE = "camel_case"

_DERIVE = "oai_usage_pipeline/usage/derive.py"
_SILVER = "oai_usage_pipeline/tables/silver.py"
_TAKEN_BACK = Bug(
    "a version ago",
    (
        Edit(_SILVER, f"    version={USAGE_EVENTS.version},\n", f"    version={VERSION},\n"),
        Edit(_SILVER, f'        "{LACKED}": pl.String(),\n', ""),
        Edit(
            _DERIVE,
            "_RECORD_SCHEMA = {name: USAGE_EVENTS.schema[name]",
            "_RECORD_SCHEMA = {name: USAGE_EVENTS.schema.get(name, pl.String())",
        ),
        Edit(
            _DERIVE,
            "            reason=_reason(),\n",
            "            reason=_reason(),\n"
            f'            input_tokens=pl.when(pl.col("operation") == "{MISREAD}")'
            '.then(pl.col("input_tokens") * 2).otherwise("input_tokens"),\n',
        ),
        Edit("oai_usage_pipeline/usage/shapes/__init__.py", "METERED, CAMEL_CASE)", "METERED)"),
    ),
    (),
)


def run_former_version(folder: Path) -> None:
    """`oai-usage run --until-idle` of that version, from a copy in `folder`, with this environment."""
    shutil.copytree(
        REPOSITORY / "oai_usage_pipeline",
        folder / "oai_usage_pipeline",
    )
    _TAKEN_BACK.plant(folder)
    command = [sys.executable, "-c", "from oai_usage_pipeline.cli import main; main()", "run", "--until-idle"]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
