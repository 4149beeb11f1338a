"""The assets of money: reference data, cost, chargeback, reconciliation.

Belongs here: what Dagster must know of each around one call of a plain function. What usage is
belongs in `assets`; what it costs in `charge`, `refresh` and `reference`.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from oai_usage_pipeline.audit.completeness import gaps_of_month
from oai_usage_pipeline.orchestration.days import DAYS, MONTHS
from oai_usage_pipeline.orchestration.liveness import signs_of_life
from oai_usage_pipeline.orchestration.metadata import (
    charged_state,
    gaps_state,
    landed_state,
    reconciled_state,
    table_definition,
)
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.orchestration.table_asset import GROUP, OWNERS, refresh, table_asset
from oai_usage_pipeline.reconcile.reconciliation import reconcile_folder
from oai_usage_pipeline.reference.landing import land_missing, land_reference
from oai_usage_pipeline.refresh.chargeback import CHARGEBACK_MONTHLY_DERIVATION, charged
from oai_usage_pipeline.refresh.cost import USAGE_COST_HOURLY_DERIVATION
from oai_usage_pipeline.tables import (
    CHARGEBACK_MONTHLY,
    DEPLOYMENTS,
    PRICES,
    SUBSCRIPTIONS,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
    TableContract,
)

REFERENCE_TABLES = (SUBSCRIPTIONS, DEPLOYMENTS, PRICES)


def _reference_spec(contract: TableContract) -> dg.AssetSpec:
    return dg.AssetSpec(
        contract.name,
        description=contract.description,
        group_name=GROUP,
        kinds={"deltalake", "csv", "reference"},
        owners=OWNERS,
        code_version=str(contract.rebuilt_since),
        metadata=table_definition(contract),
    )


@dg.multi_asset(name="reference_data", specs=[_reference_spec(each) for each in REFERENCE_TABLES])
def reference_data(pipeline: Pipeline) -> Iterator[dg.MaterializeResult[Any]]:
    """Land the reference files; a wrong one leaves every table as it was and fails with all that is wrong."""
    for landed in land_reference(pipeline.lake(), pipeline.reference_folder()):
        yield dg.MaterializeResult(asset_key=landed.name, metadata=landed_state(landed))


@table_asset(
    USAGE_COST_HOURLY,
    "gold",
    deps=[dg.AssetKey(TOKEN_USAGE_HOURLY.name), dg.AssetKey(PRICES.name), dg.AssetKey(DEPLOYMENTS.name)],
    partitions_def=DAYS,
)
def usage_cost_hourly(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[Any]:
    """Bring days of cost up to date with gold, prices and deployments."""
    land_missing(pipeline.lake(), pipeline.reference_folder())
    return refresh(context, pipeline, USAGE_COST_HOURLY_DERIVATION)


@table_asset(
    CHARGEBACK_MONTHLY,
    "gold",
    deps=[usage_cost_hourly, dg.AssetKey(SUBSCRIPTIONS.name)],
    partitions_def=MONTHS,
)
def chargeback_monthly(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[Any]:
    """Bring months up to date: open ones are stated anew, closed ones gain adjustments."""
    lake = pipeline.lake()
    land_missing(lake, pipeline.reference_folder())
    done = refresh(context, pipeline, CHARGEBACK_MONTHLY_DERIVATION)
    months = (date.fromisoformat(each) for each in context.partition_keys)
    lacking = {gap: None for month in months for gap in gaps_of_month(lake, month)}
    return dg.MaterializeResult(
        metadata={
            **(done.metadata or {}),
            **charged_state(charged(lake, context.partition_keys)),
            **gaps_state(list(lacking)),
        }
    )


@dg.asset(
    name="reconciliation",
    group_name=GROUP,
    kinds={"polars"},
    owners=OWNERS,
    deps=[usage_cost_hourly],
    description="Our totals held against Azure Monitor's metrics and a cost export, from the reference "
    "folder's `reconciliation` folder.",
    check_specs=[
        dg.AssetCheckSpec(
            "azure_agrees",
            asset="reconciliation",
            description="Azure's own figures agree with ours within the tolerance.",
        )
    ],
)
def reconciliation(
    context: dg.AssetExecutionContext, pipeline: Pipeline
) -> Iterator[dg.MaterializeResult[Any]]:
    """Compare, and name each variance with its likely cause."""
    with signs_of_life(context):
        found = reconcile_folder(pipeline.lake(), pipeline.reference_folder())
    check = dg.AssetCheckResult(
        check_name="azure_agrees",
        passed=found.holds or not found.files,
        severity=dg.AssetCheckSeverity.WARN,
        description=found.sentence,
    )
    yield dg.MaterializeResult(metadata=reconciled_state(found), check_results=[check])


CHARGE_ASSETS: list[dg.AssetsDefinition] = [
    reference_data,
    usage_cost_hourly,
    chargeback_monthly,
    reconciliation,
]
