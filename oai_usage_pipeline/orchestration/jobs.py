"""The jobs: which assets and checks run together.

Belongs here: selections and tags. When a job runs is for `sensors` and `schedules`.
"""

import dagster as dg

from oai_usage_pipeline.orchestration.assets import openai_events, token_usage_hourly, usage_events

LIVE = "live"
REFRESH = "refresh"
RECONCILE = "reconcile"

# The console gets what people read; every event of a run is in its event log anyway.
QUIET_CONSOLE = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}

# These two are told by the capture itself; all other checks read the tables.
CAPTURE_CHECKS = dg.AssetSelection.checks(
    *(dg.AssetCheckKey(openai_events.key, name) for name in ("no_gap", "every_partition_read"))
)

live_job = dg.define_asset_job(
    LIVE,
    selection=dg.AssetSelection.assets(openai_events, usage_events, token_usage_hourly).without_checks()
    | CAPTURE_CHECKS,
    config=QUIET_CONSOLE,
    description="One pass: capture the hub up to its head, then refresh the live days of silver and gold.",
    # Ahead of refreshes in the queue: people wait for live numbers, not for last year's.
    tags={"dagster/priority": "10"},
)

refresh_job = dg.define_asset_job(
    REFRESH,
    selection=dg.AssetSelection.assets(usage_events, token_usage_hourly).without_checks(),
    config=QUIET_CONSOLE,
    description="Bring days of silver and gold up to date: late events, other days, a new contract version.",
)

reconcile_job = dg.define_asset_job(
    RECONCILE,
    selection=dg.AssetSelection.all_asset_checks() - CAPTURE_CHECKS,
    config=QUIET_CONSOLE,
    description="Check every invariant on the lake as it stands.",
)

JOBS = [live_job, refresh_job, reconcile_job]
