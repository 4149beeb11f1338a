"""The judge of every kind of stress: a lake against its hub and ledgers, and what was found in one tally.

Belongs here: what counts as lost, doubled and wrong. How the trouble is made does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oai_usage_pipeline.audit.findings import Finding, Invariant
from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.embedded.hub_files import HubFiles
from oai_usage_pipeline.embedded.ledger_check import check_events
from oai_usage_pipeline.errors import PipelineError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.settings import LOCAL_PEPPER
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

FINGERPRINT = KeyFingerprint(LOCAL_PEPPER.encode())
SHOWN_FAULTS = 20


@dataclass
class Tally:
    """What went wrong, in events, figures and secrets; `faults` says it in sentences, a few of them."""

    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    leaked: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing at all went wrong."""
        return not (self.lost or self.doubled or self.wrong or self.leaked)

    def note(self, fault: str) -> None:
        """Count something that is neither lost nor doubled, and say what."""
        self.wrong += 1
        if len(self.faults) < SHOWN_FAULTS:
            self.faults.append(fault)

    def add(self, other: "Tally") -> None:
        """Take another's counts in."""
        self.lost += other.lost
        self.doubled += other.doubled
        self.wrong += other.wrong
        self.leaked += other.leaked
        self.faults = [*self.faults, *other.faults][:SHOWN_FAULTS]


def judge_invariants(lake: Lake, tally: Tally, when: str) -> None:
    """What must hold at any moment, right after a kill too: I3, no hole, nothing twice."""
    for invariant in (positions_match, nothing_lost, nothing_doubled):
        found = _finding(invariant, lake)
        if found is not None:
            tally.note(f"{when}: {found}")


def judge_events(
    lake: Lake,
    hub: HubFiles,
    ledgers: Sequence[Path],
    tally: Tally,
    when: str,
    after: dict[str, int] | None = None,
) -> int:
    """Every event against what was sent (I1, I2), after a capture to the head; returns how many."""
    check = check_events(lake, [hub], ledgers, FINGERPRINT, after)
    tally.lost += len(check.lost) + len(check.unsent)
    tally.doubled += len(check.doubled)
    tally.wrong += len(check.altered) + len(check.foreign)
    if not check.holds and len(tally.faults) < SHOWN_FAULTS:
        tally.faults.append(f"{when}: {check.sentence}")
    return check.event_count


def _finding(invariant: Invariant, lake: Lake) -> str | None:
    try:
        found: Finding = invariant(lake)
    except PipelineError as error:
        return f"{invariant.__name__}: {error}"
    return None if found.holds else found.sentence
