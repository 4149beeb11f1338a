"""Everything Dagster loads, assembled in one place; `workspace.yaml` points here.

Nothing is read from the environment and nothing is connected to until a run, a check or a sensor
tick asks for it.
"""

from collections.abc import Mapping

import dagster as dg

from oai_usage_pipeline.orchestration.alerts import alert_sensor
from oai_usage_pipeline.orchestration.assets import ASSETS
from oai_usage_pipeline.orchestration.checks import CHECKS
from oai_usage_pipeline.orchestration.closing import CLOSING_JOBS
from oai_usage_pipeline.orchestration.gaps import GAP_JOBS
from oai_usage_pipeline.orchestration.jobs import ASSET_JOBS
from oai_usage_pipeline.orchestration.maintenance import MAINTENANCE_JOBS
from oai_usage_pipeline.orchestration.payloads import PAYLOAD_JOBS
from oai_usage_pipeline.orchestration.replay import REPLAY_JOBS
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.schedules import SCHEDULES
from oai_usage_pipeline.orchestration.sensors import SENSORS


def build_definitions(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Fresh definitions; tests override the resource `pipeline`."""
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        jobs=[*ASSET_JOBS, *CLOSING_JOBS, *GAP_JOBS, *MAINTENANCE_JOBS, *PAYLOAD_JOBS, *REPLAY_JOBS],
        sensors=[*SENSORS, alert_sensor],
        schedules=SCHEDULES,
        resources={"pipeline": Pipeline(), **(resource_overrides or {})},
        # The steps of a run are few and wait for each other: a process for each would only cost time.
        executor=dg.in_process_executor,
    )


defs = build_definitions()
