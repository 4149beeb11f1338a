"""The commit protocol: rows and positions reach bronze together, exactly once.

Belongs here: the numbered steps and nothing else. Reading, batching and waiting live in `run`.

1. Open the table; read the position of each partition in the batch.
2. Drop events at or below it; the rest must begin at position + 1, or it is a gap.
3. Append the rows with that same handle, with one transaction per partition.
4. On any error the outcome is unknown: go back to step 1, whose positions tell.

The position travels in the same Delta commit as the rows, as an application transaction. Delta
stores that number but compares it only with the handle's own version of the table, so what is
dropped in step 2 is decided here and nowhere else.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

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
) -> list[CommittedRange]:
    """Make the batch part of bronze exactly once, however often this is called with it.

    `batch` has the columns of OPENAI_EVENTS, each partition's rows in order. `at_step` is told
    when a step is done, so that a test can end the process there.

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
            fresh = _continue_positions(hub, batch, positions)  # Step 2.
            at_step("checked")
            ranges = _ranges(fresh)
            if ranges:
                attempted = ranges
                table.append(fresh, {hub.app_id(each.partition_id): each.last for each in ranges})  # Step 3.
            at_step("appended")
        except (SourceGap, LakeDamaged):
            raise
        except Exception as error:  # noqa: BLE001 - step 4: whatever it was, the outcome is unknown
            _wait(attempt, error, pause)
        else:
            return ranges or [each for each in attempted if positions[each.partition_id] == each.last]
    raise AssertionError("unreachable: the last attempt raises")


def _wait(attempt: int, error: Exception, pause: Callable[[float], None]) -> None:
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


def _continue_positions(hub: Hub, batch: pl.DataFrame, positions: dict[str, int | None]) -> pl.DataFrame:
    """The rows above their partition's position, checked to follow it without a hole."""
    position = pl.col("partition_id").replace_strict(positions, return_dtype=pl.Int64)
    fresh = batch.filter(position.is_null() | (pl.col("sequence_number") > position))
    for (partition_id,), rows in fresh.group_by("partition_id"):
        _check_continuity(hub, str(partition_id), positions[str(partition_id)], rows["sequence_number"])
    return fresh


def _check_continuity(hub: Hub, partition_id: str, position: int | None, numbers: pl.Series) -> None:
    first = numbers.item(0)
    expected = first if position is None else position + 1
    holes = numbers.to_frame().with_columns(
        (pl.col("sequence_number").shift(1, fill_value=expected - 1) + 1).alias("expected")
    )
    for number, expected_number in holes.filter(pl.col("sequence_number") != pl.col("expected")).iter_rows():
        raise gap(hub, partition_id, expected_number, number - 1)


def gap(hub: Hub, partition_id: str, first: int, last: int) -> SourceGap:
    """The error that names exactly which events are missing (or came out of order)."""
    missing = f"{first} to {last}" if last >= first else f"after {last} (an older event came again)"
    return SourceGap(
        f"{hub.event_hub} partition {partition_id}: events {missing} are missing (hub created "
        f"{hub.incarnation}). Nothing after them is captured in this partition; the others go on. Keep what "
        "the hub still has: raise its retention, and look for the missing events in an Event Hubs Capture "
        "archive"
    )
