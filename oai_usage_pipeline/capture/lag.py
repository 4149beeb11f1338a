"""How long a partition's waiting events have waited.

Belongs here: telling that without receiving any event. How many wait is for `backlog`.
"""

from datetime import datetime

from oai_usage_pipeline.capture.backlog import PartitionBacklog
from oai_usage_pipeline.capture.gap_notes import received_before
from oai_usage_pipeline.lake.lake import Lake


def lag_seconds(lake: Lake, partition: PartitionBacklog, now: datetime) -> float | None:
    """Seconds since the hub accepted the last event that bronze has, while others wait; 0 where none does.

    No waiting event is older. The oldest may be younger: a hub that was quiet for an hour shows an hour for
    the moment until its next events are captured. A single one is the hub's last, of which the hub tells when
    it came. None where nothing was captured yet, so that it isn't known.
    Bronze is asked for that one row only where events wait; statistics leave few files to open.
    """
    if not partition.event_count:
        return 0.0
    if partition.position is None:
        return None
    if partition.event_count == 1 and partition.target == partition.bounds.last:
        return _since(partition.bounds.last_enqueued_at, now)
    after = partition.position + 1
    accepted_at = received_before(lake, partition.hub, partition.partition_id, after, partition.recorded)
    return _since(accepted_at, now)


def _since(then: datetime | None, now: datetime) -> float | None:
    return None if then is None else max(0.0, (now - then).total_seconds())
