"""How Parquet files are written, and what each commit of ours says of itself.

Belongs here: what every writer tells delta-rs, compaction included. When anything is written is for `table`
and `upkeep`.
"""

from collections.abc import Mapping

from deltalake import ColumnProperties, CommitProperties, Transaction, WriterProperties

from oai_usage_pipeline.lake.rewrites import OURS, SOUND_AT
from oai_usage_pipeline.tables import TableContract

MOST_RIVALS = 100
"""Commits of others that one of ours may have to wait out; of eight at once, delta-rs's 15 let some fail."""

UNIQUE_COLUMN = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")

Positions = Mapping[str, int]


def writer(contract: TableContract, row_group_rows: int | None = None) -> WriterProperties:
    """For files of this table; row groups have 1,048,576 rows at most where nothing else is said."""
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        max_row_group_size=row_group_rows,
        # Any WriterProperties turns off delta-rs's own truncation: whole values would stand in the log.
        statistics_truncate_length=32,
        column_properties=dict.fromkeys(contract.unique, UNIQUE_COLUMN),
    )


def commit_of(
    positions: Positions, most_rivals: int = MOST_RIVALS, sound_at: int | None = None
) -> CommitProperties:
    """For a commit that moves these positions."""
    return CommitProperties(
        max_commit_retries=most_rivals,
        app_transactions=[Transaction(app_id, version) for app_id, version in positions.items()],
        custom_metadata=OURS if sound_at is None else OURS | {SOUND_AT: str(sound_at)},
    )
