"""How much of the usage is not what it should be: the share of a status, with its reasons.

Belongs here: figures over the last days of silver. Which share is too much is for the caller.
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import USAGE_EVENTS

WINDOW_DAYS = 7
REASONS_SHOWN = 10

AS_IT_SHOULD_BE = {"unmetered": ("no_usage_expected",)}
"""By status, the reasons with which nothing is wrong, such as moderations and lists of files, which have no
usage to report: they are in no share of the status, neither counted nor in what it is a share of."""


@dataclass(frozen=True)
class StatusShare:
    """`count` of `total` silver rows have the status; `reasons` holds the most frequent, with counts."""

    count: int
    total: int
    reasons: dict[str, int]

    @property
    def share(self) -> float:
        """From 0.0 to 1.0; 0.0 when there are no rows."""
        return self.count / self.total if self.total else 0.0


def status_share(lake: Lake, status: str) -> StatusShare:
    """The share of a status among events enqueued in the last seven days, but for `AS_IT_SHOULD_BE`.

    Raises NoTable.
    """
    table = lake.existing(USAGE_EVENTS)
    latest = pl.lit(max(table.days(), default="1970-01-01")).str.to_date()
    rows = table.scan().filter(pl.col("enqueued_date") > latest - timedelta(days=WINDOW_DAYS))
    fine = (pl.col("status") == status) & pl.col("reason").is_in(AS_IT_SHOULD_BE.get(status, ()))
    by_reason = (
        rows.filter(~fine.fill_null(value=False))
        .group_by("status", pl.col("reason").fill_null("no reason given"))
        .len()
        .sort("len", "reason", descending=[True, False])
        .collect()
    )
    found = by_reason.filter(pl.col("status") == status).select("reason", "len")
    return StatusShare(
        count=int(found["len"].sum()),
        total=int(by_reason["len"].sum()),
        reasons=dict(found.head(REASONS_SHOWN).iter_rows()),
    )
