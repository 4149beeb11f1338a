"""Days and months as Dagster sees them: a partition each, and ranges of days in one run.

Belongs here: the partitions definition, and how days become the tags of a run. Which days are
stale is for `refresh`.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

import dagster as dg

from oai_usage_pipeline.tables import FIRST_DATE

# Two days beyond the last whole one: today, and tomorrow for callers whose clocks run ahead.
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DATE.isoformat(), timezone="UTC", end_offset=2)

# This month, which is still open, is a partition from its first day on.
MONTHS = dg.MonthlyPartitionsDefinition(start_date=FIRST_DATE.isoformat(), timezone="UTC", end_offset=1)

LONGEST_RANGE_DAYS = 14
"""Days in one run at most: a longer backfill is several runs, two at once, which use both of two cores."""


def range_tags(first: str, last: str) -> dict[str, str]:
    """The tags that make a run work on the days `first` to `last`, both ISO dates and inclusive."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def live_days(now: datetime) -> tuple[str, str]:
    """The days that events arriving now belong to: yesterday counts for an hour after midnight."""
    return (now - timedelta(hours=1)).date().isoformat(), now.date().isoformat()


def ranges(days: Iterable[str]) -> list[tuple[str, str]]:
    """Days as few ranges of neighbours, none longer than LONGEST_RANGE_DAYS."""
    found: list[tuple[date, date]] = []
    for day in sorted(date.fromisoformat(each) for each in set(days)):
        first, last = found[-1] if found else (day, day - timedelta(days=2))
        if day == last + timedelta(days=1) and (day - first).days < LONGEST_RANGE_DAYS:
            found[-1] = (first, day)
        else:
            found.append((day, day))
    return [(first.isoformat(), last.isoformat()) for first, last in found]
