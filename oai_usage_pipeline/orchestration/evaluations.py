"""What the checks of our assets said last, which health, alerts and people go by.

Belongs here: reading it from Dagster. What follows from a failure is for those who ask.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg


@dataclass(frozen=True)
class Evaluation:
    """What a check said, and when (UTC)."""

    said: dg.AssetCheckEvaluation
    at: datetime

    @property
    def is_warning(self) -> bool:
        """Whether it warns only, where it failed."""
        return self.said.severity is dg.AssetCheckSeverity.WARN


def last_evaluations(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> list[Evaluation]:
    """The last completed evaluation of each check that has one, by asset and check.

    One under way, or cut short, leaves the one before in force.
    """
    keys = sorted(repository.asset_graph.asset_check_keys)
    found = instance.event_log_storage.get_asset_check_summary_records(keys)
    records = [found[key].last_completed_check_execution_record for key in keys]
    events = [each.event for each in records if each is not None and each.event is not None]
    return [
        Evaluation(each.asset_check_evaluation, datetime.fromtimestamp(each.timestamp, UTC))
        for each in events
        if each.asset_check_evaluation is not None
    ]
