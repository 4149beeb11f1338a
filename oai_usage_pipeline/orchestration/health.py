"""The health of the whole pipeline: hub and lake, and beside them what only Dagster knows.

Belongs here: what runs next and which checks failed, added to what `audit.health` finds. How it reads is for
`health_lines`, when it is looked at for `health_asset`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from oai_usage_pipeline.audit.health import Health, health
from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.orchestration.automation import Automation, automation, idle_daemons
from oai_usage_pipeline.orchestration.evaluations import last_evaluations
from oai_usage_pipeline.orchestration.resources import Pipeline

TOLD_ANYWAY = {"no_gap", "days_are_current"}
"""Checks of what hub and lake are asked here themselves; their latest results are older."""


@dataclass(frozen=True)
class PipelineHealth:
    """Hub, lake and what runs by itself, as of an instant (UTC); `problems` are all, as sentences.

    `faults` are those of them that kept something from being looked at.
    """

    as_of: datetime
    problems: list[str]
    faults: list[str]
    stored: Health
    automation: list[Automation]


def pipeline_health(
    pipeline: Pipeline,
    opening: AbstractContextManager[dg.DagsterInstance],
    repository: dg.RepositoryDefinition,
    now: datetime,
) -> PipelineHealth:
    """Look at everything as of `now`, changing nothing; an instance that can't be opened is a problem, too.

    Raises ConfigurationError for the pipeline's own settings.
    """
    with pipeline.source() as source:
        stored = health(source, pipeline.lake(), now, pipeline.settings().history_days)
    try:
        with opening as instance:
            told = [*idle_daemons(instance), *failed_checks(instance, repository)]
            automated = automation(instance, repository, now)
    except ConfigurationError as fault:
        problems = [str(fault), *stored.problems]
        return PipelineHealth(now, problems, [str(fault), *stored.faults], stored, [])
    return PipelineHealth(now, [*stored.problems, *told], stored.faults, stored, automated)


def failed_checks(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> Iterator[str]:
    """Checks whose latest result is a failure, in words; warnings are left to the pages of their assets."""
    for each in last_evaluations(instance, repository):
        if not each.said.passed and not each.is_warning and each.said.check_name not in TOLD_ANYWAY:
            said = (each.said.description or "it failed").split("\n")[0]
            yield f"The check {each.said.check_name} of {each.said.asset_key.to_user_string()} says: {said}"
