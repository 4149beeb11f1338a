"""Bringing days of a derived table up to date: new rows are added, anything else is rebuilt.

Belongs here: the decision and its retry. The same call serves the live pass, the schedule and the
backfill: twice in a row changes nothing, and of two at once one wins and the other looks again.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Literal

import polars as pl

from oai_usage_pipeline.errors import LakeDamaged, LakeUnavailable, NoTable, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.derivation import Derivation
from oai_usage_pipeline.refresh.silver import chunks_of
from oai_usage_pipeline.refresh.source import source_of
from oai_usage_pipeline.refresh.watermark import DayChanges, Watermarks
from oai_usage_pipeline.tables import TableContract

logger = logging.getLogger(__name__)

ATTEMPTS = 20

Mode = Literal["unchanged", "extended", "rebuilt"]


@dataclass(frozen=True)
class RefreshedDay:
    """What was done to one day: how, how many new source rows were taken in, and in how many seconds."""

    day: str
    mode: Mode
    new_rows: int
    seconds: float = field(default=0.0, compare=False)


def refresh_days(
    lake: Lake, derivation: Derivation[Any], days: Iterable[str], *, anew: bool = False
) -> list[RefreshedDay]:
    """Bring ISO dates of a derived table up to date with its source, a commit a day at most.

    With `anew`, days that are up to date are rebuilt too: what makes them has been mended. A day that
    fails doesn't keep the others from being done; then LakeUnavailable is raised with each failure (the
    table can't be used, or other writers keep getting ahead). Before there is a source, nothing follows and
    nothing is made. Raises LakeDamaged, before anything is changed, when the source was lost.
    """
    source = source_of(lake, derivation)
    if source is None:
        return [RefreshedDay(day, "unchanged", 0) for day in days]
    source.grow()
    reference = derivation.reference(lake, source)
    marks = Watermarks(source, derivation.day_column, lake.table(derivation.target), reference)
    refreshed: list[RefreshedDay] = []
    failures: list[str] = []
    wanted = list(days)
    for number, day in enumerate(wanted, 1):
        started = monotonic()
        try:
            done = _refresh_day(lake, derivation, marks, day, anew=anew)
        except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - told below, with its day
            logger.warning("%s of %s: %s", derivation.target.name, day, error)
            failures.append(f"{derivation.target.name} of {day} can't be brought up to date: {error}")
            continue
        refreshed.append(replace(done, seconds=monotonic() - started))
        logger.info(
            "%s of %s, day %d of %d: %s, %d new rows",
            *(derivation.target.name, day, number, len(wanted), done.mode, done.new_rows),
        )
    if failures:
        raise LakeUnavailable("\n".join(failures))
    return refreshed


def stale_days(lake: Lake, derivation: Derivation[Any]) -> list[DayChanges]:
    """The days of a derived table that are behind its source, oldest first; none where that was lost."""
    try:
        source = source_of(lake, derivation)
    except LakeDamaged:
        # Nothing can follow from it. `refresh_days` says so, and every capture.
        return []
    if source is None:
        return []
    target = _looked_at(lake, derivation.target)
    reference = derivation.reference(lake, source)
    return Watermarks(source, derivation.day_column, target, reference).stale_days(target)


def _looked_at(lake: Lake, contract: TableContract) -> LakeTable:
    """A table as it is; looking makes one that isn't there, and changes none that is."""
    try:
        return lake.existing(contract)
    except NoTable:
        return lake.table(contract)


def _refresh_day(
    lake: Lake, derivation: Derivation[Any], marks: Watermarks, day: str, *, anew: bool
) -> RefreshedDay:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _try_refresh(lake, derivation, marks, day, anew=anew)
        except PositionConflict as conflict:
            if attempt == ATTEMPTS:
                raise
            logger.info("%s of %s: %s", derivation.target.name, day, conflict)
    raise AssertionError("unreachable: the last attempt raises")


def _try_refresh(
    lake: Lake, derivation: Derivation[Any], marks: Watermarks, day: str, *, anew: bool
) -> RefreshedDay:
    target = lake.table(derivation.target)
    changes = marks.day_changes(target, day)
    if changes is None and not anew:
        return RefreshedDay(day, "unchanged", 0)
    new_rows = 0 if changes is None else changes.new_rows
    since = None if changes is None or changes.must_rebuild or anew else marks.since(target, day)
    # Others first: a crash between leaves the day itself stale, and with it what it does to them.
    for other in derivation.also_stale(marks.source, day, since):
        if marks.since(target, other) is not None:
            _rebuild(derivation, target, marks, other)
            target = lake.table(derivation.target)
    if since is None:
        _rebuild(derivation, target, marks, day)
        return RefreshedDay(day, "rebuilt", new_rows)
    where = f"{derivation.day_column} = '{day}'"
    new = chunks_of(marks.source.changes(since, marks.source.version, where), new_rows)
    derivation.extend(target, day, marks.source, new, marks.marks(target, day), marks.reference)
    return RefreshedDay(day, "extended", new_rows)


def _rebuild(derivation: Derivation[Any], target: LakeTable, marks: Watermarks, day: str) -> None:
    derivation.rebuild(target, day, marks.source, marks.marks(target, day), marks.reference)
