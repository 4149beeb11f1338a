"""What runs by itself: each schedule and sensor, whether it is on, when it runs next and what it said last.

Belongs here: reading that from the instance and the definitions. Nothing is started or stopped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorTick, TickStatus
from dagster._utils.schedules import schedule_execution_time_iterator

from oai_usage_pipeline.audit.spans import span

DAEMONS = {"SENSOR": "sensors", "SCHEDULER": "schedules"}
"""What stands still where one of Dagster's daemons is not at work."""

DONE = [TickStatus.SKIPPED, TickStatus.SUCCESS, TickStatus.FAILURE]


@dataclass(frozen=True)
class Automation:
    """A schedule or a sensor. `runs` is a cron expression (UTC) or an interval; instants are UTC.

    `next_at` is None where it is off, and for sensors, which look again and again. `last_at` is when it
    last and `last` what came of it, in words; None where it never did.
    """

    name: str
    is_on: bool
    runs: str
    next_at: datetime | None
    last_at: datetime | None
    last: str | None


def automation(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, now: datetime
) -> list[Automation]:
    """Schedules, then sensors, by name."""
    states = {each.instigator_name: each for each in instance.all_instigator_state()}
    found = [
        *(_schedule(instance, each, states.get(each.name), now) for each in repository.schedule_defs),
        *(_sensor(instance, each, states.get(each.name)) for each in repository.sensor_defs),
    ]
    return sorted(found, key=lambda each: (each.next_at is None, each.name))


def idle_daemons(instance: dg.DagsterInstance) -> Iterator[str]:
    """Daemons that have been at work and no longer are, in words; one that never was is none of ours."""
    for kind, status in instance.get_daemon_statuses().items():
        if kind in DAEMONS and status.last_heartbeat is not None and not status.healthy:
            yield (
                f"Dagster's daemon doesn't run its {DAEMONS[kind]}, last seen "
                f"{_instant(status.last_heartbeat.timestamp):%Y-%m-%d %H:%M} UTC: start it "
                "(`dagster-daemon run`, or `dagster dev`)"
            )


def _schedule(
    instance: dg.DagsterInstance,
    schedule: dg.ScheduleDefinition,
    state: InstigatorState | None,
    now: datetime,
) -> Automation:
    is_on = _is_on(state, is_default=schedule.default_status is dg.DefaultScheduleStatus.RUNNING)
    ticks = schedule_execution_time_iterator(
        now.timestamp(), schedule.cron_schedule, schedule.execution_timezone
    )
    last = _last_tick(instance, state)
    return Automation(
        name=schedule.name,
        is_on=is_on,
        runs=str(schedule.cron_schedule),
        next_at=next(ticks).astimezone(UTC) if is_on else None,
        last_at=_instant(last.timestamp) if last else None,
        last=_said(last) if last else None,
    )


def _sensor(
    instance: dg.DagsterInstance, sensor: dg.SensorDefinition, state: InstigatorState | None
) -> Automation:
    last = _last_tick(instance, state)
    return Automation(
        name=sensor.name,
        is_on=_is_on(state, is_default=sensor.default_status is dg.DefaultSensorStatus.RUNNING),
        runs=f"every {span(sensor.minimum_interval_seconds or 30)}",
        next_at=None,
        last_at=_instant(last.timestamp) if last else None,
        last=_said(last) if last else None,
    )


def _is_on(state: InstigatorState | None, *, is_default: bool) -> bool:
    """What a person decided in the UI, else what the code says."""
    if state is None or state.status is InstigatorStatus.DECLARED_IN_CODE:
        return is_default
    return state.status is InstigatorStatus.RUNNING


def _last_tick(instance: dg.DagsterInstance, state: InstigatorState | None) -> InstigatorTick | None:
    if state is None:
        return None
    found = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=DONE)
    return next(iter(found), None)


def _said(tick: InstigatorTick) -> str:
    """Why it asked for nothing, what its error was, or how many runs it asked for."""
    if tick.error is not None:
        return f"failed: {tick.error.message.strip()}"
    if tick.skip_reason:
        return tick.skip_reason
    return f"runs asked for: {len(tick.run_ids)}" if tick.run_ids else tick.status.value.lower()


def _instant(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
