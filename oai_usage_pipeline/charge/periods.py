"""Validity in time: which reference row holds at an instant, and the periods in which none changes.

Belongs here: half-open validity and its boundaries. What a row of reference data means does not.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from oai_usage_pipeline.tables import INSTANT

Row = Mapping[str, Any]
"""A row of a reference table by column name."""


def holds(row: Row, at: datetime) -> bool:
    """Whether a row with `valid_from` (inclusive) and `valid_to` (exclusive) holds at an instant."""
    since, until = row["valid_from"], row["valid_to"]
    return (since is None or since <= at) and (until is None or at < until)


def with_period(rows: pl.DataFrame, *references: pl.DataFrame) -> pl.DataFrame:
    """The rows with `period`, an instant that stands for every `hour_at` at which the same rows hold.

    No validity of the references begins or ends between two hours of one period, so what is matched
    at the period's instant is right for all of its hours. An ordinary day has a single period.
    """
    if rows.is_empty():
        return rows.with_columns(period=pl.lit(None, INSTANT))
    hours = rows["hour_at"].cast(INSTANT).to_physical()
    first, last = hours.min(), hours.max()
    bounds = pl.concat([_bounds(each) for each in references])
    inner = bounds.filter((bounds > first) & (bounds <= last))
    starts = pl.concat([hours.head(0).append(pl.Series([first], dtype=pl.Int64)), inner]).unique().sort()
    index = starts.search_sorted(hours, side="right") - 1
    return rows.with_columns(starts.gather(index).cast(INSTANT).alias("period"))


def _bounds(reference: pl.DataFrame) -> pl.Series:
    instants = pl.concat([reference["valid_from"], reference["valid_to"].alias("valid_from")])
    return instants.drop_nulls().cast(INSTANT).to_physical()
