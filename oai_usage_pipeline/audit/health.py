"""How hub and lake stand, and what is wrong: the one source of figures for `oai-usage status` and Dagster.

Belongs here: putting the parts together. What can't be read is told as a problem, and the rest all the same:
people look here when something is wrong. What Dagster knows (next runs, failed checks) is added in
`orchestration`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from oai_usage_pipeline.audit.partition_health import PartitionHealth, partition_health
from oai_usage_pipeline.audit.table_health import TableHealth, table_health
from oai_usage_pipeline.capture.backlog import PartitionBacklog, backlog
from oai_usage_pipeline.capture.gaps import gaps_of
from oai_usage_pipeline.capture.source import Source
from oai_usage_pipeline.errors import LakeUnavailable, PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import TABLES

T = TypeVar("T")

WAITED_SECONDS = 5
"""A question to the lake that failed after so long was tried again meanwhile: it's the store that is away.

A file that is wrong fails at once.
"""

NOT_ASKED = (
    "The lake isn't asked for more, since each question would wait as long: tables that aren't shown here "
    "were not looked at"
)


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

    A lake that doesn't answer is asked once. Costs a question to the hub per partition, and per table to
    open it, to list its folder and to read the newest part of its log.
    """
    look = _Look()
    found = [each for part in look.at(partial(backlog, source, lake)) for each in part]
    steps = (partial(partition_health, lake, each, now) for each in found)
    partitions = [each for step in steps for each in look.at(step)]
    tables = [each for contract in TABLES for each in look.at(partial(table_health, lake, contract, now))]
    recorded = [each for part in look.at(partial(gaps_of, lake)) for each in part]
    open_gaps = [str(each) for each in recorded if each.is_open]
    problems = [
        *look.faults,
        *(str(each.gap) for each in found if each.gap and not _is_on_record(each)),
        *open_gaps,
        *(each.problem for each in partitions if each.problem),
        *(problem for each in tables for problem in each.problems(now, history_days)),
    ]
    return Health(
        partitions, tables, list(dict.fromkeys(look.faults)), open_gaps, list(dict.fromkeys(problems))
    )


@dataclass
class _Look:
    """Steps one after another, and what failed of them; once the lake is away, no further step is taken."""

    faults: list[str] = field(default_factory=list)
    is_lake_away: bool = False

    def at(self, step: Callable[[], T]) -> list[T]:
        """What a step returns, or nothing and why."""
        if self.is_lake_away:
            return []
        began = time.monotonic()
        try:
            return [step()]
        except PipelineError as fault:
            self.faults.append(str(fault))
            self.is_lake_away = (
                isinstance(fault, LakeUnavailable) and time.monotonic() - began >= WAITED_SECONDS
            )
        if self.is_lake_away:
            self.faults.append(NOT_ASKED)
        return []


def _is_on_record(partition: PartitionBacklog) -> bool:
    """Whether what stops it is among the gaps; a hub that was set back never is."""
    return partition.gap is not None and bool(partition.gap.missing) and not partition.has_news
