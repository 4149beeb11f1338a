"""Fields seen in the last days' events that no contract knows, so that a provider's change is no surprise.

Belongs here: where to look, and the figures. What an unknown field is, is for `usage.unknown_fields`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any

import polars as pl

from oai_usage_pipeline.audit.findings import Finding
from oai_usage_pipeline.audit.shares import WINDOW_DAYS
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.derive import PAYLOAD_COLUMNS
from oai_usage_pipeline.usage.unknown_fields import unknown_fields

LOOKED_AT = 5_000
"""Events of each day, the newest: some three seconds for all days, however many events there are."""

SHOWN = 20


@dataclass
class UnknownField:
    """A field's path, in how many of the events looked at it was, and which of them was the first."""

    path: str
    count: int
    partition_id: str
    sequence_number: int

    def __str__(self) -> str:
        first = f"first in partition {self.partition_id}, sequence number {self.sequence_number}"
        return f"{self.path}: {self.count:,} events, {first}"


def fields_are_known(lake: Lake) -> Finding:
    """Every field of the newest events is known: nothing that a provider added is overlooked.

    The newest `LOOKED_AT` events of each of the last seven days that have any. Raises NoTable.
    """
    table = lake.existing(OPENAI_EVENTS)
    days = sorted(table.days())[-WINDOW_DAYS:]
    found: dict[str, UnknownField] = {}
    looked_at = 0
    for partition_id, sequence_number, *row in chain.from_iterable(_newest(table, day) for day in days):
        looked_at += 1
        for path in unknown_fields(row):
            found.setdefault(path, UnknownField(path, 0, partition_id, sequence_number)).count += 1
    fields = sorted(found.values(), key=lambda field: (-field.count, field.path))
    return Finding(
        "fields_are_known",
        holds=not fields,
        sentence=_sentence(fields, looked_at),
        figures={"unknown_fields": len(fields), "events_looked_at": looked_at},
    )


def _newest(table: LakeTable, day: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a day's newest events in the order of their arrival."""
    rows = table.scan().filter(pl.col("enqueued_date") == date.fromisoformat(day))
    # Times first, which are small, so that of the large columns only those rows are read.
    since = table.read(rows.select(pl.col("enqueued_at").top_k(LOOKED_AT).min())).item()
    newest = rows.filter(pl.col("enqueued_at") >= since).head(LOOKED_AT)
    order = ("enqueued_at", "partition_id", "sequence_number")
    found = table.read(newest.select(*order, *PAYLOAD_COLUMNS)).sort(order)
    return found.drop("enqueued_at").iter_rows()


def _sentence(fields: list[UnknownField], looked_at: int) -> str:
    among = f"the newest {looked_at:,} events of the last days, {LOOKED_AT:,} of a day at most"
    if not fields:
        return f"Every field is known in {among}"
    more = [f"and {len(fields) - SHOWN} more"] if len(fields) > SHOWN else []
    shown = "\n".join([*map(str, fields[:SHOWN]), *more])
    return (
        "Fields that no contract knows, whose meaning for the bill is to be found out. "
        f"Only {among}, were looked at; earlier ones may have them, too:\n{shown}"
    )
