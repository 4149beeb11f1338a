"""All that one day of gold cost: what is paid by use, and what is paid by the hour.

Belongs here: putting the two together. How either comes about is for `pricing` and `provisioned`.
"""

from datetime import date, datetime

import polars as pl

from oai_usage_pipeline.charge.deployments import placed
from oai_usage_pipeline.charge.pricing import used_rows
from oai_usage_pipeline.charge.provisioned import shared_rows


def cost_of_day(
    gold: pl.DataFrame, prices: pl.DataFrame, deployments: pl.DataFrame, day: date, until: datetime
) -> pl.DataFrame:
    """Rows of `USAGE_COST_HOURLY` of a day (UTC), from all gold rows of it, as known at `until`.

    Every reported and every estimated quantity of gold is in exactly one row that isn't idle.
    """
    rows = placed(gold, deployments)
    return pl.concat([used_rows(rows, prices), shared_rows(rows, prices, deployments, day, until)])
