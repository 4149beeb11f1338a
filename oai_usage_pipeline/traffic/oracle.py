"""What the pipeline's tables must show for a ledger: plain sums over its entries.

Arithmetic only; comparing it with a table belongs to whoever has the table.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from oai_usage_pipeline.traffic.ledger import LedgerEntry

LEDGER_TOKENS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_input_tokens",
    "reasoning_output_tokens",
)
"""The token counts that a ledger tells."""

GroupKey = TypeVar("GroupKey", bound=Hashable)


@dataclass
class ExpectedUsage:
    """The sums of one group. A token sum is None where no event of the group reports it: not zero."""

    request_count: int = 0
    status_counts: Counter[str] = field(default_factory=Counter)
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None

    def add(self, entry: LedgerEntry) -> None:
        """Count one event in."""
        self.request_count += 1
        self.status_counts[entry.status] += 1
        self.input_tokens = _plus(self.input_tokens, entry.input_tokens)
        self.output_tokens = _plus(self.output_tokens, entry.output_tokens)
        self.total_tokens = _plus(self.total_tokens, entry.total_tokens)
        self.cached_input_tokens = _plus(self.cached_input_tokens, entry.cached_input_tokens)
        self.reasoning_output_tokens = _plus(self.reasoning_output_tokens, entry.reasoning_output_tokens)


def by_team_and_model(entry: LedgerEntry) -> tuple[str | None, str | None]:
    """The grouping of a bill: who, and what."""
    return entry.team, entry.model


def expected_usage(entries: Iterable[LedgerEntry]) -> dict[tuple[str | None, str | None], ExpectedUsage]:
    """The sums per team and model; None stands for a team or model that the messages don't name."""
    return expected_usage_by(entries, by_team_and_model)


def expected_usage_by(
    entries: Iterable[LedgerEntry], group: Callable[[LedgerEntry], GroupKey]
) -> dict[GroupKey, ExpectedUsage]:
    """The sums per any grouping, for instance `lambda entry: (entry.hour_at, entry.team)`."""
    sums: dict[GroupKey, ExpectedUsage] = {}
    for entry in entries:
        sums.setdefault(group(entry), ExpectedUsage()).add(entry)
    return sums


def _plus(total: int | None, count: int | None) -> int | None:
    return total if count is None else (total or 0) + count
