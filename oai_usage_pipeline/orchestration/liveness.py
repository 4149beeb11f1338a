"""Whether a run is at work: runs give signs of life, and one that has given none for long is over.

A process that was killed can't say so, and Dagster's default launcher doesn't ask: its run would
stay "started" for ever, and whoever waits for it with it. Ending such a run is safe even if it still
lives, since two runs on the same work can't hurt each other.

Signs come from inside the work. Before the first one, a run starts: it loads Dagster and the pipeline,
and on a machine that has much to do, a minute may pass without an event. It has longer then, unless its
process is known to be gone.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from oai_usage_pipeline.orchestration.run_process import is_known_to_be_gone

SIGN_SECONDS = 10.0
SILENT_SECONDS = 45.0
START_SECONDS = 120.0
"""Between the events of a run that hasn't given a sign yet; `start_timeout_seconds` in dagster.yaml."""
SIGN = "At work for"

IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
WAITING = {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED}


Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext | dg.OpExecutionContext


@contextmanager
def signs_of_life(context: Context) -> Iterator[None]:
    """While this lasts, the run's event log gets an event every 10 s, and a cancelled run is interrupted.

    Dagster interrupts a cancelled run once. Python loses an interrupt that comes in a callback of its garbage
    collector, and the run would go on.
    """
    done = threading.Event()

    def give_signs() -> None:
        started = time.monotonic()
        while not done.wait(SIGN_SECONDS):
            # A storage that is away takes the next sign, or a later one.
            with suppress(Exception):
                # An event, for lines of the log go by `python_log_level` in dagster.yaml.
                sign = f"{SIGN} {time.monotonic() - started:.0f} s"
                context.instance.report_engine_event(sign, context.run)
                if _is_cancelled(context):
                    os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=give_signs, name="signs-of-life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _is_cancelled(context: Context) -> bool:
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is not None and run.status is dg.DagsterRunStatus.CANCELING


def is_at_work(instance: dg.DagsterInstance, job_name: str, now: float | None = None) -> bool:
    """Whether a run of the job is queued or at work; ends runs that gave no sign of life for too long.

    That is 45 s; before the first sign, 120 s if the process isn't known to be gone.

    `now` is in seconds since 1970, for tests.
    """
    now = time.time() if now is None else now
    found = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=IN_FLIGHT))
    silent = [(run, silence) for run in found if (silence := _silence(instance, run, now)) is not None]
    for run, silence in silent:
        instance.report_run_failed(run, f"No sign of life for {silence:.0f} s: its process was ended.")
    return len(found) > len(silent)


def _silence(instance: dg.DagsterInstance, run: dg.DagsterRun, now: float) -> float | None:
    """How long a run has been silent, if that is too long; None while it may be at work."""
    if run.status in WAITING:
        return None
    last = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    silence = now - last[0].event_log_entry.timestamp if last else 0.0
    if silence <= SILENT_SECONDS:
        return None
    is_starting = silence <= START_SECONDS and not _has_given_signs(instance, run)
    return None if is_starting and not is_known_to_be_gone(instance, run) else silence


def _has_given_signs(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    return any(entry.message.startswith(SIGN) for entry in instance.all_logs(run.run_id))
