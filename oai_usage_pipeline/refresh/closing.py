"""Closing a month, and stating a closed one anew: what is asked for, what is refused and why.

Belongs here: the conditions. The commits, and how they survive a crash, are for `closings`.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from oai_usage_pipeline.errors import ConfigurationError, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chargeback import CHARGEBACK_MONTHLY_DERIVATION
from oai_usage_pipeline.refresh.closings import ATTEMPTS, Action, Closing, begin, closings_of, finish_begun
from oai_usage_pipeline.refresh.cost import USAGE_COST_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.day import stale_days
from oai_usage_pipeline.refresh.derivation import Derivation, day_of
from oai_usage_pipeline.refresh.gold import TOKEN_USAGE_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.refresh.statement import days_of, end_of
from oai_usage_pipeline.tables import CHARGEBACK_MONTHLY

_SOURCES: tuple[Derivation[Any], ...] = (
    USAGE_EVENTS_DERIVATION,
    TOKEN_USAGE_HOURLY_DERIVATION,
    USAGE_COST_HOURLY_DERIVATION,
)


def month_of(text: str) -> date:
    """The first day of a month written as 2026-03; raises ConfigurationError for anything else."""
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise ConfigurationError(f"{text!r} is no month: write year and month, such as 2026-03") from None


def close_month(lake: Lake, month: date, by: str, now: datetime) -> Closing:
    """Close a month (its first day): its statement stands, and only gains dated adjustments from now on.

    Raises ConfigurationError when the month isn't over (UTC), is closed already, isn't up to date, or has
    no row in chargeback: then it is hardly the month that was meant.
    After a crash the same call finishes what was begun.
    """
    _named(by, "who closes it", "--by")
    _over(month, now)
    finished = finish_begun(lake, month)
    if finished is not None and finished.action == "closed":
        return finished
    if closed := closings_of(lake, month):
        raise _closed_already(closed[-1])
    _up_to_date(lake, month, (*_SOURCES, CHARGEBACK_MONTHLY_DERIVATION))
    _used(lake, month)
    return _carry_out(lake, month, "closed", by, None, now)


def restate_month(lake: Lake, month: date, by: str, why: str, now: datetime) -> Closing:
    """Replace a closed month's rows, usage and adjustments, by a fresh statement with the next number.

    The old one stays readable at the version of `chargeback_monthly` that its record names. Raises
    ConfigurationError when the month isn't closed or what it is made of isn't up to date.
    """
    _named(by, "who states it anew", "--by")
    _named(why, "why it is stated anew", "--why")
    finish_begun(lake, month)
    if not closings_of(lake, month):
        raise ConfigurationError(
            f"{month:%Y-%m} is open: its statement follows every change by itself. Close it with "
            f"`oai-usage month close {month:%Y-%m}`"
        )
    _up_to_date(lake, month, _SOURCES)
    return _carry_out(lake, month, "restated", by, why, now)


def _carry_out(lake: Lake, month: date, action: Action, by: str, why: str | None, now: datetime) -> Closing:
    begun = _begun(lake, month, action, by, why, now)
    for _ in range(ATTEMPTS):
        finish_begun(lake, month)
        for each in closings_of(lake, month):
            # Another process may have finished it for us.
            if each.number == begun.number and not each.is_begun:
                return each
    raise PositionConflict(f"{month:%Y-%m}: other writers keep getting ahead: run the command again")


def _begun(lake: Lake, month: date, action: Action, by: str, why: str | None, now: datetime) -> Closing:
    """The record of this call; one that another writer's commit stood in the way of is tried again."""
    for _ in range(ATTEMPTS):
        try:
            return begin(lake, month, action, by, why, now)
        except PositionConflict:
            finish_begun(lake, month)
            found = closings_of(lake, month)
            if ours := [each for each in found if (each.closed_by, each.closed_at) == (by, now)]:
                return ours[-1]
            if found and action == "closed":
                raise _closed_already(found[-1]) from None
    raise PositionConflict(f"{month:%Y-%m}: other writers keep getting ahead: run the command again")


def _closed_already(closing: Closing) -> ConfigurationError:
    return ConfigurationError(
        f"{closing}. A closed month is never closed again: late events become adjustments by themselves; "
        f"to replace its statement, run `oai-usage month restate {closing.usage_month:%Y-%m}`"
    )


def _named(text: str, what: str, option: str) -> None:
    if not text.strip():
        raise ConfigurationError(f"It must be said {what}: {option} is empty")


def _over(month: date, now: datetime) -> None:
    if now < end_of(month):
        raise ConfigurationError(
            f"{month:%Y-%m} isn't over: it ends at {end_of(month):%Y-%m-%d %H:%M} UTC, and it is "
            f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        )


def _used(lake: Lake, month: date) -> None:
    if day_of(lake.table(CHARGEBACK_MONTHLY), month.isoformat()).limit(1).collect().is_empty():
        raise ConfigurationError(
            f"Nothing was used in {month:%Y-%m}: is it the month you mean? A month without a line in "
            f"{CHARGEBACK_MONTHLY.name} can't be closed"
        )


def _up_to_date(lake: Lake, month: date, derivations: Iterable[Derivation[Any]]) -> None:
    """Refuse a month of which any table is behind; silver's first day after it holds calls of its last."""
    of_month = {*days_of(month), end_of(month).date().isoformat()}
    behind = []
    for derivation in derivations:
        concerned = of_month if derivation is USAGE_EVENTS_DERIVATION else set(days_of(month))
        days = [each.day for each in stale_days(lake, derivation) if each.day in concerned]
        if days:
            behind.append(f"{derivation.target.name} of {', '.join(days)}")
    if behind:
        raise ConfigurationError(
            f"{month:%Y-%m} isn't up to date: behind are {'; '.join(behind)}. Run `oai-usage run "
            "--until-idle`, or materialise these days in Dagster, and then this again"
        )
