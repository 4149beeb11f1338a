"""How hub and lake stand, and what is wrong: the one source of figures for `oai-usage status` and Dagster.

Belongs here: putting the parts together. What can't be read is told as a problem, and the rest all the same:
people look here when something is wrong. What Dagster knows (next runs, failed checks) is added in
`orchestration`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from oai_usage_pipeline.audit.partition_health import PartitionHealth, partition_health
from oai_usage_pipeline.audit.table_health import TableHealth, table_health
from oai_usage_pipeline.capture.backlog import PartitionBacklog, backlog
from oai_usage_pipeline.capture.gaps import gaps_of
from oai_usage_pipeline.capture.source import Source
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import TABLES

T = TypeVar("T")


@dataclass(frozen=True)
class Health:
    """How things stand; `problems` and `open_gaps` are sentences that say what to do.

    `faults` are what couldn't be asked or read; then there are no partitions, or a table is left out.
    `open_gaps` are events that are missing and that nobody has acknowledged. Both are among the problems.
    """

    partitions: list[PartitionHealth]
    tables: list[TableHealth]
    faults: list[str]
    open_gaps: list[str]
    problems: list[str]


def health(source: Source, lake: Lake, now: datetime, history_days: int) -> Health:
    """Ask the hub and the lake, as of `now`; old files are to stay for `history_days`. Failures are problems.

    Costs a question to the hub per partition, and per table to open it, to list its folder and to read the
    newest part of its log.
    """
    faults: list[str] = []
    found = [each for part in _tried(faults, partial(backlog, source, lake)) for each in part]
    steps = (partial(partition_health, lake, each, now) for each in found)
    partitions = [each for step in steps for each in _tried(faults, step)]
    looks = (partial(table_health, lake, contract, now) for contract in TABLES)
    tables = [each for look in looks for each in _tried(faults, look)]
    recorded = [each for part in _tried(faults, partial(gaps_of, lake)) for each in part]
    open_gaps = [str(each) for each in recorded if each.is_open]
    problems = [
        *faults,
        *(str(each.gap) for each in found if each.gap and not _is_on_record(each)),
        *open_gaps,
        *(each.problem for each in partitions if each.problem),
        *(problem for each in tables for problem in each.problems(now, history_days)),
    ]
    return Health(partitions, tables, list(dict.fromkeys(faults)), open_gaps, list(dict.fromkeys(problems)))


def _tried(faults: list[str], step: Callable[[], T]) -> list[T]:
    """What a step returns, or nothing and why."""
    try:
        return [step()]
    except PipelineError as fault:
        faults.append(str(fault))
        return []


def _is_on_record(partition: PartitionBacklog) -> bool:
    """Whether what stops it is among the gaps; a hub that was set back never is."""
    return partition.gap is not None and bool(partition.gap.missing) and not partition.has_news
