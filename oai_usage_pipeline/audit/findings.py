"""What a check finds: whether a promise holds, in a sentence, with the figures behind it.

Belongs here: the finding, and what all checks need to make one. The promises are in `invariants`
and `charges`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl
from polars.testing import assert_frame_equal

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import stale_days
from oai_usage_pipeline.tables import TableContract


@dataclass(frozen=True)
class Finding:
    """Whether one invariant holds, in a sentence, with the figures behind it."""

    invariant: str
    holds: bool
    sentence: str
    figures: dict[str, int] = field(default_factory=dict)


Invariant = Callable[[Lake], Finding]


def finding(
    invariant: str, wrong: list[str], sentence: str, figures: dict[str, int], advice: str | None = None
) -> Finding:
    """The finding of all that is wrong; `sentence` is for when nothing is."""
    if not wrong:
        return Finding(invariant, holds=True, sentence=sentence, figures=figures)
    shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    return Finding(
        invariant, holds=False, sentence=f"{shown}: {advice}" if advice else shown, figures=figures
    )


def difference(found: pl.DataFrame, expected: pl.DataFrame, keys: list[str], sentence: str) -> list[str]:
    """The sentence with both numbers of rows if the frames differ in any row, whatever their order."""
    columns = expected.columns
    try:
        assert_frame_equal(found.select(columns).sort(keys), expected.sort(keys))
    except AssertionError:
        return [f"{sentence} ({len(found)} rows found, {len(expected)} expected)"]
    return []


def stale_days_of(lake: Lake, target: TableContract) -> set[str]:
    """Days of a derived table that are behind, which a check of its content leaves out."""
    derivation = next(each for each in DERIVATIONS if each.target is target)
    return {each.day for each in stale_days(lake, derivation)}
