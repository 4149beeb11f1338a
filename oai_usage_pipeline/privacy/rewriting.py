"""Days of bronze written anew without what is to go, and the files that held it removed.

Belongs here: the commits, and what must have followed before old files go. Which rows and what of them is
for `retention` and `erasure`.

1. A day is replaced in one commit. Positions and places of events stay; another writer of the same day, such
   as a capture, makes Delta refuse the commit, and the day is read again.
2. Derived tables follow, to the same rows: they read what changed from the files that are to go.
3. Files of replaced rows are deleted at once. Who reads an older version then meets a missing file: a refresh
   fails, loudly and once, and is repeated by the next tick; capture never reads old files. Files that no
   version names may be of a commit under way, so they go a week after they were written: no commit takes
   that long.

A crash in between leaves nothing half done: what is left is found by the next call, since days are looked
at anew, and the table tells by a counter whether a day was rewritten since files were removed.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import polars as pl
import pyarrow as pa

from oai_usage_pipeline.capture.remedies import TAKING_OUT
from oai_usage_pipeline.errors import NoTable, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.derivation import Derivation, day_of
from oai_usage_pipeline.refresh.silver import CHUNK_ROWS, counted
from oai_usage_pipeline.tables import OPENAI_EVENTS, TableContract

logger = logging.getLogger(__name__)

ATTEMPTS = 20

ORPHAN_HOURS = 7 * 24

_REMOVED = "payloads_files_removed"
"""The application transaction that tells up to which rewriting the files of replaced rows are gone."""

Change = Callable[[pl.DataFrame], pl.DataFrame]
"""Rows of bronze -> the same rows, as they are to be kept."""


def rewrite_day(lake: Lake, day: str, change: Change) -> None:
    """Step 1; of two at once, one is refused and looks again.

    Raises PositionConflict when other writers keep getting ahead, LakeDamaged for lost rows.

    Raises NoTable when the table was lost: it isn't made anew.
    """
    for _ in range(ATTEMPTS):
        table = lake.grown(OPENAI_EVENTS)
        rows = day_of(table, day).select(*OPENAI_EVENTS.schema)
        chunks = rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=False)
        whole = counted(chunks, table.rows_by_day().get(day, 0))
        try:
            table.replace_day(
                day, _changed(whole, change), {TAKING_OUT: (table.position(TAKING_OUT) or 0) + 1}
            )
        except PositionConflict as conflict:
            logger.info("%s of %s: %s", OPENAI_EVENTS.name, day, conflict)
            continue
        return
    raise PositionConflict(f"{OPENAI_EVENTS.name} of {day}: other writers keep getting ahead: try again")


def follow(lake: Lake, derivations: Iterable[Derivation[Any]]) -> None:
    """Step 2; raises LakeUnavailable for days that can't be brought up to date."""
    for derivation in derivations:
        days = [each.day for each in stale_days(lake, derivation)]
        refresh_days(lake, derivation, days)


def remove_old_files(lake: Lake, tables: Sequence[TableContract]) -> int:
    """Step 3; returns how many files were deleted."""
    removed = 0
    for contract in tables:
        with suppress(NoTable):
            table = lake.existing(contract)
            removed += table.remove_old_files(ORPHAN_HOURS)
            if contract == OPENAI_EVENTS:
                _note_removal(lake, table.position(TAKING_OUT))
    return removed


def holds_old_files(lake: Lake) -> bool:
    """Whether a day of bronze was rewritten since old files were removed last."""
    try:
        table = lake.existing(OPENAI_EVENTS)
    except NoTable:
        return False
    return (table.position(TAKING_OUT) or 0) != (table.position(_REMOVED) or 0)


def _note_removal(lake: Lake, rewriting: int | None) -> None:
    """That it was done; unless another does so at once: the next one then looks again."""
    table = lake.grown(OPENAI_EVENTS)
    if rewriting is not None and rewriting != table.position(_REMOVED):
        with suppress(PositionConflict):
            table.append(OPENAI_EVENTS.empty(), {_REMOVED: rewriting})


def _changed(chunks: Iterator[pl.DataFrame], change: Change) -> pa.RecordBatchReader:
    oldest = pl.CompatLevel.oldest()
    schema = OPENAI_EVENTS.empty().to_arrow(compat_level=oldest).schema
    batches = (
        batch for chunk in chunks for batch in change(chunk).to_arrow(compat_level=oldest).to_batches()
    )
    return pa.RecordBatchReader.from_batches(schema, batches)
