"""The jobs: which assets and checks run together.

Belongs here: selections and tags. When a job runs is for `sensors` and `schedules`.
"""

import dagster as dg

from oai_usage_pipeline.orchestration.assets import openai_events, token_usage_hourly, usage_events
from oai_usage_pipeline.orchestration.charge_assets import (
    chargeback_monthly,
    reconciliation,
    reference_data,
    usage_cost_hourly,
)
from oai_usage_pipeline.orchestration.queue import BACKGROUND, FIRST

LIVE = "live"
REFRESH = "refresh"
VERIFY = "verify"
REFERENCE = "reference"
CHARGEBACK = "chargeback"
RECONCILE = "reconcile"

HUB_PARTITIONS = "oai_usage/hub_partitions"
"""Tag of runs that capture: which partitions of the hub."""

# The console gets what people read; every event of a run is in its event log anyway.
QUIET_CONSOLE = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}

# These are told by their assets themselves; all other checks read the tables.
CAPTURE_CHECKS = dg.AssetSelection.checks(
    *(
        dg.AssetCheckKey(openai_events.key, name)
        for name in ("no_gap", "every_partition_read", "clock_agrees")
    )
)
TOLD_BY_THEIR_ASSETS = CAPTURE_CHECKS | dg.AssetSelection.checks(
    dg.AssetCheckKey(reconciliation.key, "azure_agrees")
)

live_job = dg.define_asset_job(
    LIVE,
    selection=dg.AssetSelection.assets(
        openai_events, usage_events, token_usage_hourly, usage_cost_hourly
    ).without_checks()
    | CAPTURE_CHECKS,
    config=QUIET_CONSOLE,
    description="One pass: capture the hub up to its head, refresh the live days of silver, gold and cost.",
    # One at a time in the queue (dagster.yaml); runs that read a part of the hub each name it here.
    tags={**FIRST, HUB_PARTITIONS: "all"},
)

refresh_job = dg.define_asset_job(
    REFRESH,
    selection=dg.AssetSelection.assets(usage_events, token_usage_hourly, usage_cost_hourly).without_checks(),
    config=QUIET_CONSOLE,
    description="Bring days of silver, gold and cost up to date: late events, a new contract, other prices.",
    tags=BACKGROUND,
)

verify_job = dg.define_asset_job(
    VERIFY,
    selection=dg.AssetSelection.all_asset_checks() - TOLD_BY_THEIR_ASSETS,
    config=QUIET_CONSOLE,
    description="Check every invariant on the lake as it stands.",
    tags=BACKGROUND,
)

reference_job = dg.define_asset_job(
    REFERENCE,
    selection=dg.AssetSelection.assets(reference_data),
    config=QUIET_CONSOLE,
    description="Land the reference files: subscriptions, deployments, prices.",
    tags=BACKGROUND,
)

chargeback_job = dg.define_asset_job(
    CHARGEBACK,
    selection=dg.AssetSelection.assets(chargeback_monthly).without_checks()
    # Whom nobody answers for is read from a week of gold, and asked first of a statement.
    | dg.AssetSelection.checks(dg.AssetCheckKey(chargeback_monthly.key, "unattributed_share")),
    config=QUIET_CONSOLE,
    description="Bring months of chargeback up to date; closed ones gain adjustments.",
    tags=BACKGROUND,
)

reconcile_job = dg.define_asset_job(
    RECONCILE,
    selection=dg.AssetSelection.assets(reconciliation),
    config=QUIET_CONSOLE,
    description="Hold our totals against Azure Monitor's metrics and a cost export.",
    tags=BACKGROUND,
)

ASSET_JOBS = [
    live_job,
    refresh_job,
    verify_job,
    reference_job,
    chargeback_job,
    reconcile_job,
]
