"""What single tests try a few times, tried for as long as there is time.

Belongs here: running the test-suite's own trials in portions and bringing their figures to one form.
"""

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, core, settings
from hypothesis.stateful import run_state_machine_as_test

from oai_usage_pipeline_tests.capture.capture_machine import CaptureMachine
from oai_usage_pipeline_tests.faults.ambiguous import run_ambiguous_commits
from stress.outcome import Outcome

AMBIGUOUS_A_PORTION = 80
EXAMPLES_A_PORTION = 50
STEPS_AN_EXAMPLE = 50
INPUTS_A_PORTION = 20_000

GoesOn = Callable[[int], bool]
Report = Callable[[str], None]


def run_ambiguous(folder: Path, seed: int, goes_on: GoesOn, report: Report) -> Outcome:
    """Commits without a clear answer from a real Azurite; see the test-suite's `faults/ambiguous.py`."""
    del folder
    outcome, kinds = Outcome("ambiguous", "ambiguous commits"), Counter[str]()
    _log_nothing()
    while goes_on(outcome.tried):
        found = run_ambiguous_commits(AMBIGUOUS_A_PORTION, seed * 10_000 + outcome.tried)
        # A kind that its request never met was an ordinary commit.
        outcome.tried += found.met_count
        outcome.tally.lost += found.lost
        outcome.tally.doubled += found.doubled
        outcome.tally.wrong += found.wrong_positions
        kinds += found.by_kind
        report(f"{outcome.tried} ambiguous commits: {found.lost} lost, {found.doubled} doubled")
    outcome.details = {"kinds": len(kinds)}
    return outcome


def run_machine(folder: Path, seed: int, goes_on: GoesOn, report: Report) -> Outcome:
    """Examples of the capture machine, each of fifty steps; the first failure ends it, with its steps."""
    del folder
    outcome = Outcome("machine", "stateful examples")
    _log_nothing()
    steps = CaptureMachine.steps_taken
    while goes_on(outcome.tried):
        # What pytest's option --hypothesis-seed sets.
        core.global_force_seed = seed * 10_000 + outcome.tried  # type: ignore[assignment]  # its type is inferred
        try:
            run_state_machine_as_test(CaptureMachine, settings=_SETTINGS)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            outcome.tally.note(
                f"seed {core.global_force_seed}: {error}\n" + "\n".join(getattr(error, "__notes__", ()))
            )
            break
        outcome.tried += EXAMPLES_A_PORTION
        report(f"{outcome.tried} examples, {CaptureMachine.steps_taken - steps:,} steps")
    outcome.details = {"steps": CaptureMachine.steps_taken - steps}
    return outcome


def run_fuzz(folder: Path, seed: int, goes_on: GoesOn, report: Report) -> Outcome:
    """Bytes of any kind through capture and silver; see the test-suite's `usage/fuzz.py`."""
    from oai_usage_pipeline_tests.usage.fuzz import fuzz

    del folder
    outcome = Outcome("fuzz", "fuzzed inputs")
    slowest, p99 = 0.0, 0.0
    while goes_on(outcome.tried):
        found = fuzz(INPUTS_A_PORTION, seed * 10_000 + outcome.tried // INPUTS_A_PORTION)
        outcome.tried += found.inputs
        outcome.tally.wrong += found.uncaught + found.wrong + found.slow
        outcome.tally.leaked += found.leaks
        outcome.tally.faults += [f"{what}: {body[:200]}" for what, body in found.failures[:5]]
        slowest, p99 = max(slowest, found.max_ms), max(p99, found.p99_ms)
        report(f"{outcome.tried:,} inputs, the slowest {slowest:.0f} ms")
    outcome.details = {"p99 of the worst portion": f"{p99:.2f} ms", "slowest": f"{slowest:.0f} ms"}
    return outcome


def _log_nothing() -> None:
    """The faults are ours: each would be told."""
    logging.getLogger("oai_usage_pipeline").setLevel(logging.CRITICAL)


_SETTINGS = settings(
    max_examples=EXAMPLES_A_PORTION,
    stateful_step_count=STEPS_AN_EXAMPLE,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
