"""The pipeline's invariants and shares as asset checks.

Belongs here: which finding is shown at which asset. What is checked is in `audit`. These checks
read whole tables, so they run hourly and on demand, not in every live pass.
"""

from datetime import timedelta

import dagster as dg

from oai_usage_pipeline.audit import charges, invariants
from oai_usage_pipeline.audit.accounting import accounting_shares
from oai_usage_pipeline.audit.findings import Finding, Invariant
from oai_usage_pipeline.audit.shares import status_share
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.metadata import check_result
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.tables import (
    CHARGEBACK_MONTHLY,
    OPENAI_EVENTS,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
    USAGE_EVENTS,
    TableContract,
)

GRACE = timedelta(minutes=10)
"""How long a day may be behind: live passes come every few seconds, a check may run within one."""


def days_are_current(lake: Lake) -> Finding:
    """Silver, gold, cost and chargeback follow their sources within ten minutes."""
    return invariants.days_behind(lake, GRACE)


NOTHING_YET = dg.AssetCheckResult(passed=True, description="There is nothing to check yet.")

INVARIANTS: tuple[tuple[TableContract, Invariant], ...] = (
    (OPENAI_EVENTS, invariants.positions_match),
    (OPENAI_EVENTS, invariants.nothing_lost),
    (OPENAI_EVENTS, invariants.nothing_doubled),
    (OPENAI_EVENTS, invariants.no_key_in_clear),
    (USAGE_EVENTS, invariants.silver_accounts_for_bronze),
    (TOKEN_USAGE_HOURLY, invariants.gold_equals_silver),
    (TOKEN_USAGE_HOURLY, days_are_current),
    (USAGE_COST_HOURLY, charges.cost_equals_rebuild),
    (CHARGEBACK_MONTHLY, charges.chargeback_equals_rebuild),
)

SHARES = {
    "rejected": (0.05, "Events that no usage could be read from, as a share of the last seven days."),
    "unmetered": (0.25, "Successful calls without reported usage, as a share of the last seven days."),
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
        "What no price fits, as a share of all tokens and other units of the last seven days.",
    ),
    "unattributed": (
        0.01,
        CHARGEBACK_MONTHLY,
        "Calls of subscriptions that nobody owns, as a share of those of the last seven days.",
    ),
}
"""Share above which the check warns, and the asset it is shown at, by what is not accounted for."""


def _invariant_check(contract: TableContract, invariant: Invariant) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=invariant.__name__, asset=contract.name, description=(invariant.__doc__ or "").split("\n")[0]
    )
    def check(pipeline: Pipeline) -> dg.AssetCheckResult:
        try:
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
        shares = {each.name: each for each in accounting_shares(pipeline.lake())}
        if name not in shares:
            return NOTHING_YET
        found = shares[name]
        share = found.share or 0.0
        return dg.AssetCheckResult(
            passed=share <= limit,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{found.count:,} of {found.total:,} {found.unit} are {name} "
            f"({share:.1%}; limit {limit:.0%})",
            metadata={found.unit: found.total, name: found.count, "share": share},
        )

    return check


CHECKS: list[dg.AssetChecksDefinition] = [
    *(_invariant_check(contract, invariant) for contract, invariant in INVARIANTS),
    *(_share_check(status, limit, description) for status, (limit, description) in SHARES.items()),
    *(_accounting_check(name, *rest) for name, rest in ACCOUNTING.items()),
]
