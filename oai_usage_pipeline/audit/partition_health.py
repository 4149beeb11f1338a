"""How a partition of the hub stands: what is captured of it, what waits, and since when.

Belongs here: the figures, and what is wrong about them in a sentence. What is to be captured is decided in
`capture`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from oai_usage_pipeline.audit.spans import counted, span
from oai_usage_pipeline.capture.backlog import PartitionBacklog
from oai_usage_pipeline.capture.lag import lag_seconds
from oai_usage_pipeline.lake.lake import Lake

LONGEST_LAG = timedelta(minutes=10)
"""How old waiting events may be: live passes come every few seconds, a long one takes minutes."""


@dataclass(frozen=True)
class PartitionHealth:
    """One partition: committed `position` (None: none yet), `head` (the hub's last number), both
    sequence numbers; `lag` in events; `gap` says which events are missing, None when none are.

    `lag_seconds` is how old the oldest waiting event is at most, None where that isn't known (`capture.lag`).
    """

    event_hub: str
    incarnation: str
    partition_id: str
    position: int | None
    head: int
    lag: int
    lag_seconds: float | None
    gap: str | None

    @property
    def problem(self) -> str | None:
        """What is wrong, but for gaps, and what to do."""
        if not self.lag or self.gap:
            return None
        where = f"{self.event_hub} partition {self.partition_id}"
        waiting = f"{counted(self.lag, 'event')} of {where} {'waits' if self.lag == 1 else 'wait'}"
        if self.position is None:
            return f"{waiting}, and nothing was captured there yet: {CAPTURE}"
        if self.lag_seconds is None or self.lag_seconds <= LONGEST_LAG.total_seconds():
            return None
        return f"{waiting}, for up to {span(self.lag_seconds)}: if as many do at the next look, {CAPTURE}"


CAPTURE = "see why the last run `live` failed, or capture with `oai-usage run --until-idle`"


def partition_health(lake: Lake, found: PartitionBacklog, now: datetime) -> PartitionHealth:
    """What a backlog means as of `now`; raises LakeUnavailable, LakeDamaged."""
    return PartitionHealth(
        event_hub=found.hub.event_hub,
        incarnation=found.hub.incarnation,
        partition_id=found.partition_id,
        position=found.position,
        head=found.bounds.last,
        lag=found.event_count,
        lag_seconds=lag_seconds(lake, found, now),
        gap=str(found.gap) if found.gap else None,
    )
