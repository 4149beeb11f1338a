"""What is charged for without anybody having said so: assumptions that hold until a reference file is there.

Belongs here: telling that an assumption is in force, in a sentence. How rows are priced is for `charge`.
"""

import polars as pl

from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import DEFAULT_DEPLOYMENTS, DEPLOYMENTS, TOKEN_USAGE_HOURLY


def assumed_deployments(lake: Lake) -> str | None:
    """That usage is priced by the default deployments alone; None where it isn't, or nothing is used yet."""
    try:
        known = lake.existing(DEPLOYMENTS).scan().select(*DEPLOYMENTS.schema).collect()
        is_used = lake.existing(TOKEN_USAGE_HOURLY).row_count() > 0
    except NoTable:
        return None
    default = pl.DataFrame(DEFAULT_DEPLOYMENTS, schema=DEPLOYMENTS.schema)
    if not is_used or not known.sort(pl.all()).equals(default.sort(pl.all())):
        return None
    return (
        "There is no deployments.csv: every deployment is priced as GlobalStandard, wherever and "
        "however it is sold. Data Zone and regional ones cost more, provisioned ones by the hour: say so in "
        "it (docs/REFERENCE.md); if all are global, its row `*,GlobalStandard` says that"
    )
