"""A live pass behind a long history against one on a fresh lake, and late on a busy day against early on it.

Belongs here: how long the history is, and when the passes are; gold is made anew from the same one. Cost is
to follow new events, not old ones, so both sides take in as many new events, in turn. Time is the
processor's: other work on the machine doesn't lengthen it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import rebuild
from benchmarks.child import PEAK_MEMORY, Result, measured
from benchmarks.figure import MB, MEMORY_LIMIT_MB, Figure
from benchmarks.live_pass import BYTES_READ, PROCESSOR_TIME

AIM = 1.3
START = "2026-02-01T00:00:00+00:00"
DAY = 86_400
DAYS = 30
BATCH = 2_000
COMMITS, QUICK_COMMITS = 500, 3
FULL_COMMITS = 5_000
COMMITS_AN_HOUR, QUICK_COMMITS_AN_HOUR = 20, 1
NEW_EVENTS, PASSES, ROUNDS = 1_000, 4, 3

AFTER_HISTORY = "2026-03-03T12:00:00+00:00"
FIRST_HOUR, LAST_HOUR = "2026-02-01T00:59:00+00:00", "2026-02-01T23:59:00+00:00"


def run(*, quick: bool, commits: int = COMMITS) -> list[Figure]:
    """Processor time and bytes read of a pass, its peak of memory, and gold made anew."""
    with TemporaryDirectory() as folder:
        return [*_history(Path(folder), quick=quick, commits=commits), *_live_day(Path(folder), quick=quick)]


def run_full(*, quick: bool) -> list[Figure]:
    """The same behind as long a history as the aim names."""
    return run(quick=quick, commits=FULL_COMMITS)


def _history(folder: Path, *, quick: bool, commits: int) -> list[Figure]:
    commits = QUICK_COMMITS if quick else commits
    old = _filled(folder / "history", commits, DAYS * DAY)
    measured("history:keep_up", lake=old, at=AFTER_HISTORY)
    fresh = _filled(folder / "fresh", 1, DAY)
    rounds = _rounds((old, AFTER_HISTORY), (fresh, AFTER_HISTORY), quick=quick)
    passes = _figures(f"pass behind {commits:,} commits, {commits * BATCH:,} events", rounds, "fresh lake")
    return [*passes, *rebuild.compare(old, len(rounds))]


def _live_day(folder: Path, *, quick: bool) -> list[Figure]:
    an_hour = QUICK_COMMITS_AN_HOUR if quick else COMMITS_AN_HOUR
    late = _filled(folder / "late", commits := 24 * an_hour, DAY)
    early = _filled(folder / "early", an_hour, DAY // 24)
    rounds = _rounds((late, LAST_HOUR), (early, FIRST_HOUR), quick=quick)
    return _figures(f"pass at a day's last hour, {commits * BATCH:,} events", rounds, "its first hour")


def _filled(lake: Path, commits: int, seconds: int) -> str:
    measured("history:fill", lake=str(lake), start=START, seconds=seconds, commits=commits, events=BATCH)
    return str(lake)


def _rounds(ours: tuple[str, str], reference: tuple[str, str], *, quick: bool) -> list[tuple[Result, Result]]:
    return [(_passes(*ours), _passes(*reference)) for _ in range(1 if quick else ROUNDS)]


def _passes(lake: str, at: str) -> Result:
    return measured("live_pass:run", lake=lake, at=at, events=NEW_EVENTS, passes=PASSES)


def _figures(name: str, rounds: list[tuple[Result, Result]], reference: str) -> list[Figure]:
    def compared(what: str, unit: str, scale: float) -> Figure:
        pairs = [(ours[what] * scale, other[what] * scale) for ours, other in rounds]
        return Figure.of_rounds(f"{name}: {what}", unit, pairs, reference, AIM, at_most=True)

    peak = max(ours[PEAK_MEMORY] for ours, _ in rounds) / MB
    return [
        compared(PROCESSOR_TIME, "ms", 1000),
        compared(BYTES_READ, "MB", 1 / MB),
        Figure(f"{name}: peak memory", "MB", peak, MEMORY_LIMIT_MB, "limit", 1, at_most=True),
    ]
