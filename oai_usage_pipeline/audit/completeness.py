"""Which days and months lack events that were never captured.

Belongs here: gaps as seen from the calendar. Which hours a gap makes incomplete is for
`refresh.incomplete`, the record of gaps for `capture.gaps`.
"""

from dataclasses import asdict
from datetime import date, timedelta

from oai_usage_pipeline.audit.findings import Finding
from oai_usage_pipeline.capture.gaps import Gap, gaps_of
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.incomplete import IncompleteHours
from oai_usage_pipeline.refresh.statement import end_of

DAY = timedelta(days=1)


def gaps_between(lake: Lake, first: date, last: date) -> list[Gap]:
    """The gaps, open or acknowledged, whose events may be of the days `first` to `last`."""
    return [each for each in gaps_of(lake) if _days(each)[0] <= last and first <= _days(each)[1]]


def gaps_of_month(lake: Lake, month: date) -> list[Gap]:
    """The same of a month, by its first day."""
    return gaps_between(lake, month, end_of(month).date() - DAY)


def days_are_complete(lake: Lake) -> Finding:
    """No events are missing from any day of gold, acknowledged or not."""
    gaps = gaps_of(lake)
    missing = sum(each.event_count for each in gaps)
    figures = {
        "gaps": len(gaps),
        "open_gaps": sum(each.is_open for each in gaps),
        "missing_events": missing,
    }
    sentence = "\n".join(f"{_named(each)}: {each}" for each in gaps) or "No event is missing from any day"
    return Finding("days_are_complete", holds=not gaps, sentence=sentence, figures=figures)


def _days(gap: Gap) -> tuple[date, date]:
    [(first, last)] = IncompleteHours.of([asdict(gap)]).spans
    return first.date(), last.date()


def _named(gap: Gap) -> str:
    first, last = _days(gap)
    return f"{first}" if first == last else f"{first} to {last}"
