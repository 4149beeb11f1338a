"""Who is behind a subscription, as everything that attributes must know it: the rows, and renewed keys.

Belongs here: reading both from the lake. Who answers for an hour is for `charge`.
"""

import polars as pl

from oai_usage_pipeline.charge.attribution import through_rotation
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import KEY_ROTATIONS, SUBSCRIPTIONS


def known_subscriptions(lake: Lake) -> pl.DataFrame:
    """Rows of SUBSCRIPTIONS, fingerprints of a renewed pepper with those of their key's older one."""
    return through_rotation(lake.rows(SUBSCRIPTIONS), lake.rows(KEY_ROTATIONS))
