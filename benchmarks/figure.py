"""One line of the table of figures: ours, the reference, their ratio, and whether the aim is met.

Belongs here: the arithmetic of a ratio and how it is shown. How a figure is measured does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

MB = 1e6
MEMORY_LIMIT_MB = 1_000.0
"""What bringing tables up to date may take, however large a day is."""


@dataclass(frozen=True)
class Figure:
    """`ours` and `reference` are in `unit`; the aim is a ratio, reached from below or kept under.

    `aim` None means that the figure is shown without an aim.
    """

    name: str
    unit: str
    ours: float
    reference: float
    reference_name: str
    aim: float | None
    at_most: bool = False
    ratios: tuple[float, ...] = ()

    @property
    def ratio(self) -> float:
        """Ours ÷ reference; with rounds, the median of their ratios: what disturbs a pair disturbs both."""
        return median(self.ratios) if self.ratios else self.ours / self.reference

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is met; None when there is none."""
        if self.aim is None:
            return None
        return self.ratio <= self.aim if self.at_most else self.ratio >= self.aim

    @classmethod
    def of_rounds(
        cls,
        name: str,
        unit: str,
        rounds: Sequence[tuple[float, float]],
        reference_name: str,
        aim: float | None,
        *,
        at_most: bool = False,
    ) -> "Figure":
        """From rounds of (ours, reference), measured in turn: the medians of each, and of the ratios."""
        ours, reference = (median(column) for column in zip(*rounds, strict=True))
        ratios = tuple(one / other for one, other in rounds)
        return cls(name, unit, ours, reference, reference_name, aim, at_most, ratios)


def show(figures: Sequence[Figure]) -> None:
    """The table of figures, on stdout."""
    table = Table(title="Benchmarks (ours ÷ reference, measured in the same run)", title_justify="left")
    for heading in ("figure", "unit", "ours", "reference", "ratio", "aim", "met"):
        table.add_column(heading, justify="left" if heading in ("figure", "unit", "met") else "right")
    for figure in figures:
        table.add_row(*_cells(figure))
    Console(width=None if Console().is_terminal else 160, highlight=False).print(table)


def _cells(figure: Figure) -> tuple[str, ...]:
    sign = "≤" if figure.at_most else "≥"
    spread = f" ({min(figure.ratios):.2f}-{max(figure.ratios):.2f})" if figure.ratios else ""
    return (
        figure.name,
        figure.unit,
        _number(figure.ours),
        f"{_number(figure.reference)} {figure.reference_name}",
        f"{figure.ratio:.2f}{spread}",
        "" if figure.aim is None else f"{sign} {figure.aim:g}",
        {True: "yes", False: "NO", None: ""}[figure.is_met],
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
