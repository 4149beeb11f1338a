"""What is known of peppers and of renewed fingerprints; never a key, never a pepper.

Small tables that capture adds to, seldom: with a version's first use, with each key's first call after
a rotation.
"""

import polars as pl

from oai_usage_pipeline.tables.contract import INSTANT, TableContract
from oai_usage_pipeline.tables.history import Change

KEY_PEPPERS = TableContract(
    name="key_peppers",
    description="Which pepper each version of fingerprints is made with, by a check value of 24 bits.",
    version=1,
    history=(Change(1, "The first.", "76f4e70f"),),
    partition_by=None,
    statistics=(),
    unique=(),
    schema={"pepper_version": pl.Int64(), "check_value": pl.String(), "first_used_at": INSTANT},
)

KEY_ROTATIONS = TableContract(
    name="key_rotations",
    description="Two fingerprints of one key: that of the pepper in use, and that of the one before.",
    version=1,
    history=(Change(1, "The first.", "42ae54e5"),),
    partition_by=None,
    statistics=(),
    unique=(),
    schema={"subscription": pl.String(), "previous_subscription": pl.String(), "first_seen_at": INSTANT},
)
