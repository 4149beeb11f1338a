"""The commit protocol: rows and positions reach bronze together, exactly once.

Belongs here: the numbered steps and nothing else. Reading, batching and waiting live in `run`.

1. Open the table; read the position of each partition in the batch.
2. Drop events at or below it; the rest must follow it without a gap (`continuity` says what may follow).
3. Append the rows with that same handle, with one transaction per partition.
4. On any error the outcome is unknown: go back to step 1, whose positions tell.

The position travels in the same Delta commit as the rows, as an application transaction. Delta
stores that number but compares it only with the handle's own version of the table, so what is
dropped in step 2 is decided here and nowhere else.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import polars as pl

from oai_usage_pipeline.capture.continuity import Ranges, gap, out_of_order
from oai_usage_pipeline.capture.landing import Keep, as_they_came
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import LakeDamaged, LakeUnavailable, PositionConflict, SourceGap
from oai_usage_pipeline.lake.table import LakeTable

logger = logging.getLogger(__name__)

Step = Literal["opened", "checked", "appended"]
"""Where a process may die: after step 1, after step 2, after step 3."""

ATTEMPTS = 12
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class CommittedRange:
    """What one batch added to one partition: events `first` to `last`, how many had no readable envelope."""

    partition_id: str
    first: int
    last: int
    event_count: int
    unreadable_count: int


def commit(
    open_table: Callable[[], LakeTable],
    hub: Hub,
    batch: pl.DataFrame,
    at_step: Callable[[Step], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
    acknowledged: Mapping[str, Ranges] = MappingProxyType({}),
    begins: Mapping[str, int] = MappingProxyType({}),
    sound_at: int | None = None,
    keep: Keep = as_they_came,
) -> list[CommittedRange]:
    """Make the batch part of bronze exactly once, however often this is called with it.

    `batch` has the columns of OPENAI_EVENTS, each partition's rows in order. `at_step` is told
    when a step is done, so that a test can end the process there. `acknowledged` are the numbers of each
    partition that may be passed over; that they are read before the table does no harm, since an
    acknowledgement is never taken back. `begins` are the numbers before the first event of partitions that
    may have no position yet; one that isn't named begins with its rows. `sound_at` is the version that
    preflight found sound; the commit tells it to the next one. `keep` takes out of the rows what is not to be
    written, once the table is open: an erasure refuses every commit whose table was opened before it was on
    record.

    Returns what this call added; partitions whose rows were all there already are left out.
    Raises SourceGap when a partition's rows don't continue its position; nothing is written then.
    Raises LakeUnavailable when the outcome stays unknown or the table can't be used: calling again
    is safe.
    """
    attempted: list[CommittedRange] = []
    for attempt in range(ATTEMPTS):
        try:
            table = open_table()  # Step 1.
            positions = _positions(table, hub, batch)
            at_step("opened")
            fresh = _continue_positions(hub, batch, positions, acknowledged, begins)  # Step 2.
            at_step("checked")
            ranges = _ranges(fresh)
            if ranges:
                attempted = ranges
                moved = {hub.app_id(each.partition_id): each.last for each in ranges}
                table.append(keep(fresh), moved, sound_at=sound_at)  # Step 3.
            at_step("appended")
        except (SourceGap, LakeDamaged):
            raise
        except Exception as error:  # noqa: BLE001 - step 4: whatever it was, the outcome is unknown
            wait_to_repeat(attempt, error, pause)
        else:
            return ranges or [each for each in attempted if positions[each.partition_id] == each.last]
    raise AssertionError("unreachable: the last attempt raises")


def wait_to_repeat(attempt: int, error: Exception, pause: Callable[[float], None]) -> None:
    """Pause after a failed attempt, ever longer; raises LakeUnavailable after the last one."""
    if attempt == ATTEMPTS - 1:
        raise LakeUnavailable(
            f"Events could not be committed in {ATTEMPTS} attempts: {error}. Nothing is lost: the position "
            "has not moved past them, and the next run reads them again"
        ) from error
    level = logging.INFO if isinstance(error, PositionConflict) else logging.WARNING
    logger.log(level, "Commit attempt %d: %s", attempt + 1, error)
    pause(min(FIRST_PAUSE_SECONDS * 2**attempt, LONGEST_PAUSE_SECONDS))


def _ranges(rows: pl.DataFrame) -> list[CommittedRange]:
    number = pl.col("sequence_number")
    found = rows.group_by("partition_id", maintain_order=True).agg(
        number.min(), number.max().alias("last"), pl.len(), pl.col("reason").count().alias("unreadable")
    )
    return [CommittedRange(*row) for row in found.iter_rows()]


def _positions(table: LakeTable, hub: Hub, batch: pl.DataFrame) -> dict[str, int | None]:
    return {each: table.position(hub.app_id(each)) for each in batch["partition_id"].unique()}


def _continue_positions(
    hub: Hub,
    batch: pl.DataFrame,
    positions: Mapping[str, int | None],
    acknowledged: Mapping[str, Ranges],
    begins: Mapping[str, int],
) -> pl.DataFrame:
    """The rows above their partition's position, checked to follow it without a gap."""
    position = pl.col("partition_id").replace_strict(dict(positions), return_dtype=pl.Int64)
    fresh = batch.filter(position.is_null() | (pl.col("sequence_number") > position))
    for (key,), rows in fresh.group_by("partition_id"):
        partition_id, numbers = str(key), rows["sequence_number"]
        last = positions[partition_id]
        start = begins.get(partition_id, numbers.item(0) - 1) if last is None else last
        _check_continuity(hub, partition_id, start, numbers, acknowledged.get(partition_id, ()))
    return fresh


def _check_continuity(
    hub: Hub, partition_id: str, start: int, numbers: pl.Series, acknowledged: Ranges
) -> None:
    jumps = numbers.to_frame("number").with_columns(pl.col("number").shift(1, fill_value=start).alias("last"))
    for number, last in jumps.filter(pl.col("number") != pl.col("last") + 1).iter_rows():
        if number <= last:
            raise out_of_order(hub, partition_id, last, number)
        if (error := gap(hub, partition_id, last, number, acknowledged)) is not None:
            raise error
