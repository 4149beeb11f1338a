"""An asset that is one table of the lake, and what all of those have in common.

Belongs here: keys, owners, kinds, columns, partitions of such an asset, and the body of those that
follow from another table. Which assets there are is for `assets` and `charge_assets`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from oai_usage_pipeline.audit.status import table_status
from oai_usage_pipeline.orchestration.days import LONGEST_RANGE_DAYS
from oai_usage_pipeline.orchestration.liveness import signs_of_life
from oai_usage_pipeline.orchestration.metadata import refreshed_state, table_definition
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.refresh.day import refresh_days
from oai_usage_pipeline.refresh.derivation import Derivation
from oai_usage_pipeline.tables import TableContract

OWNERS = ["team:platform"]
GROUP = "openai_usage"

Dependency = dg.AssetsDefinition | dg.SourceAsset | dg.AssetKey


def table_asset(
    contract: TableContract,
    layer: str,
    *,
    deps: Sequence[Dependency],
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    check_specs: list[dg.AssetCheckSpec] | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make an asset of a function; up to a month of partitions share a run."""
    return dg.asset(
        name=contract.name,
        group_name=GROUP,
        description=contract.description,
        kinds={"deltalake", "polars", layer},
        owners=OWNERS,
        code_version=str(contract.rebuilt_since),
        metadata=table_definition(contract),
        deps=deps,
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.multi_run(LONGEST_RANGE_DAYS) if partitions_def else None,
        check_specs=check_specs,
    )


def refresh(
    context: dg.AssetExecutionContext, pipeline: Pipeline, derivation: Derivation[Any]
) -> dg.MaterializeResult[Any]:
    """Bring the run's partitions of a derived table up to date."""
    lake = pipeline.lake()
    with signs_of_life(context):
        refreshed = refresh_days(lake, derivation, context.partition_keys)
    return dg.MaterializeResult(metadata=refreshed_state(refreshed, table_status(lake, derivation.target)))
