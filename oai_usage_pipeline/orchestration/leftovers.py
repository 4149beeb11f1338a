"""What Dagster's event log keeps when runs are deleted: results of their checks, and observations of no run.

Belongs here: statements on its tables, since Dagster has no call for either. Which runs go, and when, is for
`pruning`.
"""

from collections.abc import Collection
from datetime import UTC, datetime

import dagster as dg
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import ColumnElement, func, select

CHECKS = AssetCheckExecutionsTable.c
EVENTS = SqlEventLogStorageTable.c
TAGS = AssetEventTagsTable.c


def delete_check_results(storage: EventLogStorage, run_ids: Collection[str]) -> None:
    """Delete what checks said in these runs."""
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:
        connection.execute(AssetCheckExecutionsTable.delete().where(CHECKS.run_id.in_(run_ids)))


def delete_observations(storage: EventLogStorage, before: datetime, *, dry_run: bool = False) -> int:
    """Delete observations that sensors made before then, but the latest of each asset and partition.

    Returns how many they are, also where none is deleted.
    """
    assert isinstance(storage, SqlEventLogStorage)
    is_superseded = _is_superseded(before)
    superseded = select(EVENTS.id).where(is_superseded)
    with storage.index_connection() as connection:
        count = connection.scalar(select(func.count()).select_from(superseded.subquery())) or 0
        if not dry_run:
            connection.execute(AssetEventTagsTable.delete().where(TAGS.event_id.in_(superseded)))
            connection.execute(SqlEventLogStorageTable.delete().where(is_superseded))
    if not dry_run:
        # SQLite has them twice, by asset and by run, under different numbers.
        with storage.run_connection(RUNLESS_RUN_ID) as connection:
            connection.execute(SqlEventLogStorageTable.delete().where(is_superseded))
    return count


def _is_superseded(before: datetime) -> ColumnElement[bool]:
    is_observation = (EVENTS.run_id == RUNLESS_RUN_ID) & (
        EVENTS.dagster_event_type == dg.DagsterEventType.ASSET_OBSERVATION.value
    )
    latest = select(func.max(EVENTS.id)).where(is_observation).group_by(EVENTS.asset_key, EVENTS.partition)
    # Dagster keeps times in UTC and doesn't say so.
    is_old = EVENTS.timestamp < before.astimezone(UTC).replace(tzinfo=None)
    return is_observation & is_old & EVENTS.id.not_in(latest)
