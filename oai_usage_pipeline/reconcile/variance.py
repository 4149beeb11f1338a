"""One line of a reconciliation: a day, what is compared, both numbers and the likely cause.

Belongs here: the line and the arithmetic on its two numbers. Rows of either side become lines in
`usage_lines` and `cost_lines`.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

from oai_usage_pipeline.reconcile.causes import (
    AGREES,
    GAP,
    NO_MEASUREMENT,
    NO_USAGE,
    NOT_COMPARED,
    Amount,
    Evidence,
    Verdict,
    verdict,
)

_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True)
class VarianceLine:
    """`ours` and `theirs` are null where nothing is reported; `difference` is theirs - ours, and
    `percent` its share of theirs. `measure` is what is counted: input tokens, output tokens, tokens, or
    cost in a currency."""

    usage_date: date
    subject: str
    measure: str
    ours: Amount | None
    theirs: Amount | None
    difference: Amount | None
    percent: Decimal | None
    cause: str
    sentence: str

    @property
    def is_compared(self) -> bool:
        """Whether there were two sides to compare."""
        return self.cause not in NOT_COMPARED

    @property
    def is_beyond(self) -> bool:
        """Whether the difference is beyond the tolerance."""
        return self.is_compared and self.cause != AGREES


def compared(
    day: date, subject: str, measure: str, evidence: Evidence, found: Verdict | None = None
) -> VarianceLine:
    """The line of two numbers; with `found`, its cause is known already."""
    found = found or verdict(evidence)
    missing = evidence.missing
    return VarianceLine(
        day,
        subject,
        measure,
        evidence.ours,
        evidence.theirs,
        missing,
        _percent(missing, evidence.theirs),
        found.cause,
        f"{day}, {subject}, {measure}: {found.sentence}",
    )


def _percent(part: Amount, whole: Amount) -> Decimal | None:
    if not whole:
        return None
    with localcontext(prec=60):
        return (part * Decimal(100) / whole).quantize(_HUNDREDTH)


def one_sided(
    day: date, subject: str, measure: str, ours: Amount | None, theirs: Amount | None, found: Verdict
) -> VarianceLine:
    """The line of a number that nothing stands against: there is no difference to name."""
    sentence = f"{day}, {subject}, {measure}: {found.sentence}"
    return VarianceLine(day, subject, measure, ours, theirs, None, None, found.cause, sentence)


def days_without_data(
    measure: str, ours: set[date], theirs: set[date], incomplete: frozenset[date], their_name: str
) -> list[VarianceLine]:
    """A line for each day on which one side has nothing at all: that is said, and not taken for zero."""
    lines = []
    for day in sorted(ours ^ theirs):
        if day in ours:
            found = Verdict(NO_MEASUREMENT, f"{their_name} hold nothing of this day, which we have usage of")
            lines.append(one_sided(day, "whole day", measure, None, None, found))
        else:
            cause = GAP if day in incomplete else NO_USAGE
            found = Verdict(cause, f"we have nothing of this day, which {their_name} hold")
            lines.append(one_sided(day, "whole day", measure, None, None, found))
    return lines
