"""Whether a run is at work: runs give signs of life, and one that has given none for long is over.

A process that was killed can't say so, and Dagster's default launcher doesn't ask: its run would
stay "started" for ever, and whoever waits for it with it. Ending such a run is safe even if it still
lives, since two runs on the same work can't hurt each other.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

SIGN_SECONDS = 10.0
SILENT_SECONDS = 45.0

IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
WAITING = {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED}


@contextmanager
def signs_of_life(context: dg.AssetExecutionContext) -> Iterator[None]:
    """While this lasts, the run's event log gets a line every 10 s."""
    done = threading.Event()

    def give_signs() -> None:
        started = time.monotonic()
        while not done.wait(SIGN_SECONDS):
            context.log.debug("At work for %.0f s", time.monotonic() - started)

    thread = threading.Thread(target=give_signs, name="signs-of-life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def is_at_work(instance: dg.DagsterInstance, job_name: str, now: float | None = None) -> bool:
    """Whether a run of the job is queued or at work; ends runs that gave no sign of life for 45 s.

    `now` is in seconds since 1970, for tests.
    """
    now = time.time() if now is None else now
    found = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=IN_FLIGHT))
    silent = [run for run in found if _is_silent(instance, run, now)]
    for run in silent:
        instance.report_run_failed(run, f"No sign of life for {SILENT_SECONDS:.0f} s: its process was ended.")
    return len(found) > len(silent)


def _is_silent(instance: dg.DagsterInstance, run: dg.DagsterRun, now: float) -> bool:
    if run.status in WAITING:
        return False
    last = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return bool(last) and now - last[0].event_log_entry.timestamp > SILENT_SECONDS
