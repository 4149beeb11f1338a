"""The pipeline's invariants and shares as asset checks.

Belongs here: which finding is shown at which asset. What is checked is in `audit`. These checks
read whole tables, so they run hourly and on demand, not in every live pass.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import dagster as dg

from oai_usage_pipeline.audit import charges, invariants
from oai_usage_pipeline.audit.accounting import AccountingShare, accounting_shares
from oai_usage_pipeline.audit.assumptions import assumed_deployments
from oai_usage_pipeline.audit.completeness import days_are_complete
from oai_usage_pipeline.audit.files import files_are_whole
from oai_usage_pipeline.audit.findings import Invariant
from oai_usage_pipeline.audit.shares import status_share
from oai_usage_pipeline.audit.table_health import GRACE
from oai_usage_pipeline.audit.unknown_fields import fields_are_known
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.orchestration.days import ranges
from oai_usage_pipeline.orchestration.liveness import signs_of_life
from oai_usage_pipeline.orchestration.metadata import check_result, stale_state
from oai_usage_pipeline.orchestration.pace import estimate
from oai_usage_pipeline.orchestration.payloads import PAYLOAD_CHECKS
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.refresh.stale import stale_tables, work
from oai_usage_pipeline.tables import (
    CHARGEBACK_MONTHLY,
    DEPLOYMENTS,
    OPENAI_EVENTS,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
    USAGE_EVENTS,
    TableContract,
)

NOTHING_YET = dg.AssetCheckResult(passed=True, description="There is nothing to check yet.")

INVARIANTS: tuple[tuple[TableContract, Invariant], ...] = (
    (OPENAI_EVENTS, files_are_whole),
    (OPENAI_EVENTS, invariants.positions_match),
    (OPENAI_EVENTS, invariants.nothing_lost),
    (OPENAI_EVENTS, invariants.nothing_doubled),
    (OPENAI_EVENTS, invariants.no_key_in_clear),
    (USAGE_EVENTS, invariants.silver_accounts_for_bronze),
    (TOKEN_USAGE_HOURLY, invariants.gold_equals_silver),
    (USAGE_COST_HOURLY, charges.cost_equals_rebuild),
    (CHARGEBACK_MONTHLY, charges.chargeback_equals_rebuild),
)

SHARES = {
    "rejected": (0.05, "Events that no usage could be read from, as a share of the last seven days."),
    "unmetered": (
        0.25,
        "Successful calls that should report usage and don't, as a share of the last seven days.",
    ),
}
"""Share above which the check warns, by status."""

ACCOUNTING = {
    "estimated": (
        0.10,
        TOKEN_USAGE_HOURLY,
        "Estimated tokens, as a share of all tokens of the last seven days.",
    ),
    "unpriced": (
        0.0,
        USAGE_COST_HOURLY,
        "Tokens that no price fits, as a share of those of the last seven days, and so of each other unit.",
    ),
    "unattributed": (
        0.01,
        CHARGEBACK_MONTHLY,
        "Calls that no team answers for, and their cost, as shares of those of the last seven days.",
    ),
}
"""Share above which the check warns, and the asset it is shown at, by what is not accounted for."""


def _invariant_check(contract: TableContract, invariant: Invariant) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=invariant.__name__, asset=contract.name, description=(invariant.__doc__ or "").split("\n")[0]
    )
    def check(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
        try:
            with signs_of_life(context):
                return check_result(invariant(pipeline.lake()))
        except NoTable:
            return NOTHING_YET

    return check


def _share_check(status: str, limit: float, description: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(name=f"{status}_share", asset=USAGE_EVENTS.name, description=description)
    def check(pipeline: Pipeline) -> dg.AssetCheckResult:
        try:
            share = status_share(pipeline.lake(), status)
        except NoTable:
            return NOTHING_YET
        return dg.AssetCheckResult(
            passed=share.share <= limit,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{share.count} of {share.total} events are {status} "
            f"({share.share:.1%}; limit {limit:.0%})",
            metadata={
                "events": share.total,
                status: share.count,
                "share": share.share,
                "reasons": dg.MetadataValue.json(share.reasons),
            },
        )

    return check


def _accounting_check(
    name: str, limit: float, contract: TableContract, description: str
) -> dg.AssetChecksDefinition:
    @dg.asset_check(name=f"{name}_share", asset=contract.name, description=description)
    def check(pipeline: Pipeline) -> dg.AssetCheckResult:
        shares = accounting_shares(pipeline.lake(), datetime.now(UTC))
        found = [each for each in shares if each.name == name]
        return accounting_result(found, limit) if found else NOTHING_YET

    return check


def accounting_result(found: Sequence[AccountingShare], limit: float) -> dg.AssetCheckResult:
    """The check of all shares of one name: any of its units beyond the limit is one too many."""
    name = found[0].name
    described = (f"{each.count:,} of {each.total:,} {each.unit} ({each.share or 0:.1%})" for each in found)
    return dg.AssetCheckResult(
        passed=all((each.share or 0.0) <= limit for each in found),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{', '.join(described)} are {name} (limit {limit:.0%})",
        metadata={
            **{f"{name} {each.unit}": _metadata(each.count) for each in found},
            **{f"all {each.unit}": _metadata(each.total) for each in found},
        },
    )


def _metadata(value: int | Decimal) -> int | str:
    return value if isinstance(value, int) else str(value)


@dg.asset_check(
    name="deployments_are_named",
    asset=DEPLOYMENTS.name,
    description="Somebody has said how deployments are sold: usage isn't priced by an assumption.",
)
def deployments_are_named(pipeline: Pipeline) -> dg.AssetCheckResult:
    """A warning only: where all deployments are global, the assumption is right."""
    assumption = assumed_deployments(pipeline.lake())
    return dg.AssetCheckResult(
        passed=assumption is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=assumption or "Usage, if any, is priced by deployments that deployments.csv names.",
    )


@dg.asset_check(
    name="days_are_current",
    asset=TOKEN_USAGE_HOURLY.name,
    description="Silver, gold, cost and chargeback follow their sources within ten minutes.",
)
def every_day_is_current(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
    """Where not: which days of which table, how many rows, and about how long it takes."""
    lake = pipeline.lake()
    with signs_of_life(context):
        behind = stale_tables(lake)
    finding = invariants.days_behind(behind, GRACE)
    if finding.holds:
        return check_result(finding)
    days = {day for each in behind for day in each.days}
    takes = estimate(context.instance, work(lake, behind), len(ranges(days)))
    return check_result(finding, more=stale_state(behind, takes))


@dg.asset_check(
    name="days_are_complete",
    asset=TOKEN_USAGE_HOURLY.name,
    description="No events are missing from any day: none expired before they were captured.",
)
def every_day_is_complete(pipeline: Pipeline) -> dg.AssetCheckResult:
    """A warning that stays: what somebody acknowledged is missing all the same."""
    return check_result(days_are_complete(pipeline.lake()), dg.AssetCheckSeverity.WARN)


@dg.asset_check(
    name=fields_are_known.__name__,
    asset=OPENAI_EVENTS.name,
    description=(fields_are_known.__doc__ or "").split("\n")[0],
)
def every_field_is_known(pipeline: Pipeline) -> dg.AssetCheckResult:
    """A warning only: what nobody reads is kept, and a later contract makes history anew with it."""
    try:
        return check_result(fields_are_known(pipeline.lake()), dg.AssetCheckSeverity.WARN)
    except NoTable:
        return NOTHING_YET


CHECKS: list[dg.AssetChecksDefinition] = [
    *(_invariant_check(contract, invariant) for contract, invariant in INVARIANTS),
    *(_share_check(status, limit, description) for status, (limit, description) in SHARES.items()),
    *(_accounting_check(name, *rest) for name, rest in ACCOUNTING.items()),
    deployments_are_named,
    every_day_is_current,
    every_day_is_complete,
    every_field_is_known,
    *PAYLOAD_CHECKS,
]
