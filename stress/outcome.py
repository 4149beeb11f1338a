"""What came of one kind of stress, the table of all kinds, and the same as JSON.

Belongs here: the figures and how they are shown. How they come about does not.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import linear_regression, quantiles

from rich.console import Console
from rich.table import Table

from stress.judgement import Tally

CONFIDENT = 3.0
"""The rule of three: n tries without a fault put its probability below 3/n, 95 times of 100."""


@dataclass
class Slope:
    """How memory (MB) and open handles of a process grew by the hour, and over how many minutes."""

    memory_mb_per_hour: float
    handles_per_hour: float
    minutes: float

    @classmethod
    def of(cls, samples: Sequence[tuple[float, float, float]]) -> "Slope | None":
        """From (seconds, MB, handles); the first half is warming up. None where there are too few.

        A leak goes on for as long as the process; what only warms up is over before.
        """
        steady = samples[len(samples) // 2 :]
        if len(steady) < 3:
            return None
        seconds, memory, handles = (list(column) for column in zip(*steady, strict=True))
        return cls(
            linear_regression(seconds, memory).slope * 3600,
            linear_regression(seconds, handles).slope * 3600,
            (seconds[-1] - seconds[0]) / 60,
        )


@dataclass
class Outcome:
    """One kind: how often it was `tried` (`unit`), what went wrong, and what was measured on the way.

    `recoveries` are seconds from a restart to the first commit. `details` are further figures by name.
    """

    name: str
    unit: str
    tried: int = 0
    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    recoveries: list[float] = field(default_factory=list)
    slope: Slope | None = None
    details: dict[str, object] = field(default_factory=dict)

    @property
    def recovery(self) -> tuple[float, float, float] | None:
        """Median, 95th percentile and longest of the recoveries."""
        if len(self.recoveries) < 2:
            return None
        cuts = quantiles(self.recoveries, n=20, method="inclusive")
        return cuts[9], cuts[18], max(self.recoveries)

    @property
    def bound(self) -> float | None:
        """The highest probability of a fault in one try that fits with having seen none; None if one was."""
        return CONFIDENT / self.tried if self.tried and self.tally.is_clean else None


def show(outcomes: Sequence[Outcome]) -> None:
    """The table, the further figures, and every fault in words, on stdout."""
    table = Table(title="Stress", title_justify="left")
    for heading in (
        "tried",
        "lost",
        "doubled",
        "wrong",
        "leaked",
        "recovery p50",
        "p95",
        "max",
        "a fault in",
    ):
        table.add_column(heading, justify="left" if heading == "tried" else "right")
    for each in outcomes:
        table.add_row(*_cells(each))
    console = Console(width=None if Console().is_terminal else 160, highlight=False)
    console.print(table)
    for each in outcomes:
        console.print(f"{each.name}: {', '.join(_told(each))}")
        for fault in each.tally.faults:
            console.print(f"  {fault}", markup=False)


def write(outcomes: Sequence[Outcome], path: Path) -> None:
    """The same as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(each) | _derived(each) for each in outcomes], indent=2) + "\n")


def _derived(outcome: Outcome) -> dict[str, object]:
    return {"recovery": outcome.recovery, "bound": outcome.bound}


def _cells(outcome: Outcome) -> tuple[str, ...]:
    tally = outcome.tally
    times = ("", "", "") if outcome.recovery is None else tuple(f"{each:.1f} s" for each in outcome.recovery)
    bound = "" if outcome.bound is None else f"< 1 of {outcome.tried / CONFIDENT:,.0f}"
    counts = (tally.lost, tally.doubled, tally.wrong, tally.leaked)
    return (f"{outcome.tried:,} {outcome.unit}", *(f"{each:,}" for each in counts), *times, bound)


def _told(outcome: Outcome) -> list[str]:
    found = [f"{name} {value}" for name, value in outcome.details.items()]
    if outcome.slope is not None:
        slope = outcome.slope
        found.append(f"memory {slope.memory_mb_per_hour:+.1f} MB/h over the last {slope.minutes:.0f} minutes")
        found.append(f"handles {slope.handles_per_hour:+.1f}/h")
    return [*found, f"{outcome.seconds:,.0f} s"]
