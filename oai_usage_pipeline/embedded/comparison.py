"""Gold held against the ledgers: requests, statuses and tokens by team, operation and model.

Belongs here: the oracle's arithmetic beside the pipeline's, and their difference. The two share no
code: sums of the ledger are made by `traffic`, gold is read as it lies in the lake.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import ESTIMATE_COLUMNS, STATUSES, TOKEN_USAGE_HOURLY
from oai_usage_pipeline.traffic.ledger import LedgerContents, LedgerEntry, read_ledger
from oai_usage_pipeline.traffic.oracle import LEDGER_TOKENS, ExpectedUsage, expected_usage_by
from oai_usage_pipeline.traffic.teams import team_keys
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

Group = tuple[str | None, str | None, str | None]
"""Team, operation, model; None where the messages name none."""

Figures = dict[str, int | None]
"""The figures of a group by name; None where nothing was reported."""

COMPARED = ("request_count", *(f"{status}_count" for status in STATUSES), *LEDGER_TOKENS)
"""What both sides know: the ledger tells what was reported, and no estimates."""


@dataclass(frozen=True)
class UsageLine:
    """A line of the usage table: a team's use of a model; tokens None where no call reported any.

    Estimated tokens are those of unmetered calls, and not in `tokens`.
    """

    team: str
    model: str
    requests: int
    tokens: int | None
    unmetered: int
    estimated_tokens: int | None
    failed: int
    rejected: int


@dataclass(frozen=True)
class Comparison:
    """Gold and ledger side by side; `differences` are sentences, none when all figures are equal."""

    gold: dict[Group, Figures]
    ledger: dict[Group, Figures]

    @property
    def differences(self) -> list[str]:
        """One sentence for each figure that differs, naming both numbers."""
        groups = sorted(set(self.gold) | set(self.ledger), key=str)
        return [
            f"{' / '.join(name or 'none' for name in group)}: {figure} is {found} in gold and {expected} in "
            "the ledger"
            for group in groups
            for figure, found, expected in _pairs(self.gold.get(group, {}), self.ledger.get(group, {}))
            if found != expected
        ]

    def total(self, figure: str) -> tuple[int, int]:
        """A figure's sum in gold and in the ledger."""
        return _sum(self.gold, figure), _sum(self.ledger, figure)


def compare(lake: Lake, ledgers: Sequence[Path], fingerprint: KeyFingerprint) -> Comparison:
    """Compare all of gold with all that the ledgers say was sent."""
    contents = [read_ledger(path) for path in ledgers]
    teams = _teams(contents, fingerprint)
    return Comparison(gold=_gold(lake, teams), ledger=_ledger(contents))


def usage_lines(comparison: Comparison) -> list[UsageLine]:
    """Gold as a table for people, by team and model, the largest use of each team first."""
    lines: dict[tuple[str, str], Counter[str]] = {}
    for (team, _, model), figures in comparison.gold.items():
        reported = {name: figure for name, figure in figures.items() if figure is not None}
        lines.setdefault((team or "(unknown)", model or "(none)"), Counter()).update(reported)
    return [
        UsageLine(
            team,
            model,
            requests=sums["request_count"],
            tokens=sums.get("total_tokens"),
            unmetered=sums["unmetered_count"],
            estimated_tokens=sum(sums[name] for name in ESTIMATE_COLUMNS) or None,
            failed=sums["failed_count"],
            rejected=sums["rejected_count"],
        )
        for (team, model), sums in sorted(
            lines.items(), key=lambda line: (line[0][0], -line[1]["total_tokens"], line[0][1])
        )
    ]


def _teams(contents: Iterable[LedgerContents], fingerprint: KeyFingerprint) -> dict[str, str]:
    seeds = {content.header.seed for content in contents}
    return {fingerprint.of(key): team for seed in seeds for team, key in team_keys(seed).items()}


def _gold(lake: Lake, teams: dict[str, str]) -> dict[Group, Figures]:
    figures = [*COMPARED, *ESTIMATE_COLUMNS]
    sums = (
        lake.table(TOKEN_USAGE_HOURLY)
        .scan()
        .group_by(pl.col("subscription").replace(teams).alias("team"), "operation", "model")
        # A sum of nothing is null, not the zero that polars would make of it.
        .agg(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in figures)
        .collect()
    )
    return {row[:3]: dict(zip(figures, row[3:], strict=True)) for row in sums.iter_rows()}


def _ledger(contents: Iterable[LedgerContents]) -> dict[Group, Figures]:
    entries = (entry for content in contents for entry in content.acknowledged)
    return {group: _figures(usage) for group, usage in expected_usage_by(entries, _group).items()}


def _group(entry: LedgerEntry) -> Group:
    return entry.team, entry.operation, entry.model


def _figures(usage: ExpectedUsage) -> Figures:
    return {
        "request_count": usage.request_count,
        **{f"{status}_count": usage.status_counts[status] for status in STATUSES},
        **{column: getattr(usage, column) for column in LEDGER_TOKENS},
    }


def _pairs(found: Figures, expected: Figures) -> Iterable[tuple[str, int | None, int | None]]:
    return ((name, found.get(name), expected.get(name)) for name in COMPARED)


def _sum(side: dict[Group, Figures], figure: str) -> int:
    return sum(figures[figure] or 0 for figures in side.values())
