"""Which team and cost centre answer for a use: the subscription's owner at that hour.

Belongs here: finding the owner. Who owns what is reference data; what is charged is for `chargeback`.
"""

import polars as pl

from oai_usage_pipeline.charge.periods import with_period
from oai_usage_pipeline.charge.provisioned import IDLE_BUCKET
from oai_usage_pipeline.tables import IDLE_CAPACITY, UNATTRIBUTED

OWNER = ("team", "cost_centre")

_KEY = ("subscription", "period")


def attributed(rows: pl.DataFrame, subscriptions: pl.DataFrame) -> pl.DataFrame:
    """The rows with `team` and `cost_centre`, by `subscription` and `hour_at`, in the same order.

    A subscription that changes hands does so at its instant. Where no owner is known, or two claim the
    same hour, the team is `UNATTRIBUTED`; of rows in the bucket `provisioned_idle` it is `IDLE_CAPACITY`.
    """
    rows = with_period(rows, subscriptions)
    owners = _owners(rows.select(_KEY).unique(), subscriptions)
    owned = rows.join(owners, on=_KEY, how="left", maintain_order="left").drop("period")
    is_idle = pl.col("bucket") == IDLE_BUCKET if "bucket" in rows.columns else pl.lit(value=False)
    return owned.with_columns(
        team=pl.when(is_idle)
        .then(pl.lit(IDLE_CAPACITY))
        .otherwise(pl.col("team").fill_null(pl.lit(UNATTRIBUTED)))
    )


def _owners(keys: pl.DataFrame, subscriptions: pl.DataFrame) -> pl.DataFrame:
    """The only owner of each subscription and period; none where there are two."""
    at = pl.col("period")
    valid = (pl.col("valid_from") <= at).fill_null(value=True) & (at < pl.col("valid_to")).fill_null(
        value=True
    )
    owners = subscriptions.select("subscription", *OWNER, "valid_from", "valid_to")
    found = keys.join(owners, on="subscription").filter(valid).select(*_KEY, *OWNER)
    return found.filter(pl.len().over(_KEY) == 1)


def through_rotation(subscriptions: pl.DataFrame, rotations: pl.DataFrame) -> pl.DataFrame:
    """The rows, and for each renewed fingerprint without a row of its own those of the same key's older one.

    `rotations` has the columns of KEY_ROTATIONS; several rotations are followed back. A single row of its
    own ends that: it then says all that is known.
    """
    known = subscriptions
    while True:
        unknown = rotations.join(known, on="subscription", how="anti")
        found = (
            unknown.select("subscription", "previous_subscription")
            .join(known.rename({"subscription": "previous_subscription"}), on="previous_subscription")
            .select(known.columns)
            .unique()
        )
        if found.is_empty():
            return known
        known = pl.concat([known, found])
