"""What Dagster's event log keeps when runs are deleted: results of their checks, and observations of no run.

Belongs here: statements on its tables, since Dagster has no call for either. Which runs go, and when, is for
`pruning`.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import dagster as dg
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import ColumnElement, Connection, func, select

CHECKS = AssetCheckExecutionsTable.c
EVENTS = SqlEventLogStorageTable.c
TAGS = AssetEventTagsTable.c

AT_ONCE = 500
"""Rows or runs in one statement: whoever writes to SQLite meanwhile waits for no more."""

Id = TypeVar("Id", int, str)
Connect = Callable[[], AbstractContextManager[Connection]]


def in_parts(ids: list[Id]) -> Iterator[list[Id]]:
    """AT_ONCE at a time."""
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


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
    superseded = _superseded(storage.index_connection, before)
    if not dry_run:
        _delete_events(storage.index_connection, superseded)
        # SQLite has them twice, by asset and by run, under different numbers.
        by_run = partial(storage.run_connection, RUNLESS_RUN_ID)
        _delete_events(by_run, _superseded(by_run, before))
    return len(superseded)


def _superseded(connect: Connect, before: datetime) -> list[int]:
    with connect() as connection:
        return list(connection.scalars(select(EVENTS.id).where(_is_superseded(before))))


def _delete_events(connect: Connect, ids: list[int]) -> None:
    for part in in_parts(ids):
        with connect() as connection:
            connection.execute(AssetEventTagsTable.delete().where(TAGS.event_id.in_(part)))
            connection.execute(SqlEventLogStorageTable.delete().where(EVENTS.id.in_(part)))


def _is_superseded(before: datetime) -> ColumnElement[bool]:
    is_observation = (EVENTS.run_id == RUNLESS_RUN_ID) & (
        EVENTS.dagster_event_type == dg.DagsterEventType.ASSET_OBSERVATION.value
    )
    latest = select(func.max(EVENTS.id)).where(is_observation).group_by(EVENTS.asset_key, EVENTS.partition)
    # Dagster keeps times in UTC and doesn't say so.
    is_old = EVENTS.timestamp < before.astimezone(UTC).replace(tzinfo=None)
    return is_observation & is_old & EVENTS.id.not_in(latest)
