"""`python -m stress`: try to break it for the given time, show the table, and fail if it worked.

Belongs here: which kinds there are, how the time is shared among them, and the exit code.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from stress.borrowed import run_ambiguous, run_fuzz, run_machine
from stress.commands import run_commands
from stress.kills import run_kills
from stress.outcome import Outcome, show, write
from stress.soak import run_soak

Kind = Callable[[Path, int, Callable[[int], bool], Callable[[str], None]], Outcome]

KINDS: dict[str, tuple[Kind, float]] = {
    # Each with its share of the time.
    "kills": (run_kills, 3),
    "commands": (run_commands, 2),
    "ambiguous": (run_ambiguous, 1.5),
    "machine": (run_machine, 1.5),
    "fuzz": (run_fuzz, 1),
    "soak": (run_soak, 2),
}


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0.1), default=10.0, show_default=True)
@click.option("--only", default=",".join(KINDS), show_default=True, help="Kinds, with commas between.")
@click.option("--at-most", type=click.IntRange(min=1), help="End a kind when it was tried so often.")
@click.option("--seed", type=int, default=lambda: time.time_ns() % 10_000, show_default="by the clock")
@click.option(
    "--json",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("build/stress.json"),
    show_default=True,
    help="Where the figures are written, too.",
)
def main(*, minutes: float, only: str, at_most: int | None, seed: int, path: Path) -> None:
    """Try for so many minutes to lose, double, alter or leak an event."""
    names = only.split(",")
    if unknown := set(names) - set(KINDS):
        raise click.UsageError(f"There is no kind {', '.join(sorted(unknown))}: there are {', '.join(KINDS)}")
    share = minutes * 60 / sum(KINDS[name][1] for name in names)
    click.echo(f"{minutes:g} minutes of {', '.join(names)}, seed {seed}")
    outcomes = [_tried(name, seed, share * KINDS[name][1], at_most) for name in names]
    show(outcomes)
    write(outcomes, path)
    click.echo(f"As JSON in {path}")
    if not all(each.tally.is_clean for each in outcomes):
        raise SystemExit(1)


def _tried(name: str, seed: int, seconds: float, at_most: int | None) -> Outcome:
    """One kind for so many seconds; what it has begun it brings to its end."""
    started = time.monotonic()

    def goes_on(tried: int) -> bool:
        return time.monotonic() < started + seconds and (at_most is None or tried < at_most)

    def report(line: str) -> None:
        click.echo(f"{time.monotonic() - started:5.0f} s  {name}: {line}")

    with TemporaryDirectory(prefix="stress-") as folder:
        outcome = KINDS[name][0](Path(folder) / name, seed, goes_on, report)
    outcome.seconds = time.monotonic() - started
    return outcome


if __name__ == "__main__":
    main()
