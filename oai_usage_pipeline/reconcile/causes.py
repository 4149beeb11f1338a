"""Why two totals differ: causes chosen by arithmetic, each with a sentence that names both numbers.

Belongs here: the rules, in the order in which docs/RECONCILIATION.md states them. Which totals are
compared is a matter of `usage_lines` and `cost_lines`.
"""

from dataclasses import dataclass
from decimal import Decimal

AGREES = "agrees"
UNMETERED = "unmetered streams"
GAP = "gap"
BYPASS = "calls that bypass the gateway"
UNREAD = "pending or rejected calls"
EXCESS = "counted twice or outside their scope"
CUT = "their day is not complete"
UNPRICED = "unpriced usage"
PRICE = "another price"
CURRENCY = "another currency"
NO_USAGE = "no usage on our side"
NO_MEASUREMENT = "no data on their side"
UNEXPLAINED = "unexplained"

NOT_COMPARED = (CURRENCY, NO_MEASUREMENT)
"""What is said, but is no difference: there is nothing to compare with."""

ESTIMATE_MARGIN = Decimal("0.25")
"""How far an estimate may be off and still explain a difference: it is made of texts, without the tokens of
tools, images and the service's own prompts."""

Amount = int | Decimal


@dataclass(frozen=True)
class Verdict:
    """A cause, and the sentence that shows its arithmetic."""

    cause: str
    sentence: str


@dataclass(frozen=True)
class Evidence:
    """All that the choice of a cause may look at.

    `ours` is null when nothing is reported. `estimate` is ours for the unmetered calls, of which
    `unestimated_count` have none; `unmetered_count` is null when unknown, and so are request counts.
    `unit` follows the numbers in sentences.
    """

    ours: Amount | None
    theirs: Amount
    unit: str
    tolerance: Decimal
    estimate: Amount | None = None
    unmetered_count: int | None = 0
    unestimated_count: int = 0
    unread_count: int = 0
    our_requests: int | None = None
    their_requests: int | None = None
    is_incomplete: bool = False
    is_cut: bool = False

    @property
    def missing(self) -> Amount:
        """What they have and we don't; negative when we have more."""
        return self.theirs - (self.ours or 0)

    @property
    def pair(self) -> str:
        """Both numbers, as a sentence begins."""
        ours = "none reported" if self.ours is None else f"{shown(self.ours)} {self.unit}"
        return f"ours {ours}, theirs {shown(self.theirs)} {self.unit}"


def shown(amount: Amount) -> str:
    """A number for people; money without the zeros at its end."""
    return f"{amount:,}" if isinstance(amount, int) else f"{amount.normalize():,f}"


def agree(ours: Amount, theirs: Amount, tolerance: Decimal) -> bool:
    """Whether two numbers differ by no more than `tolerance` percent of the larger one."""
    return _size(theirs - ours) * 100 <= tolerance * max(_size(ours), _size(theirs))


def _size(amount: Amount) -> Decimal:
    return Decimal(amount).copy_abs()


def verdict(evidence: Evidence) -> Verdict:
    """The likely cause of a difference in tokens, or in money whose price isn't in doubt."""
    if agree(evidence.ours or 0, evidence.theirs, evidence.tolerance):
        return Verdict(AGREES, f"{evidence.pair}: within {evidence.tolerance} %")
    return _we_lack(evidence) if evidence.missing > 0 else _we_have_more(evidence)


def _we_lack(evidence: Evidence) -> Verdict:
    lack = f"{evidence.pair}: {shown(evidence.missing)} missing"
    if estimate_explains(evidence):
        assert evidence.estimate is not None
        return Verdict(
            UNMETERED,
            f"{lack}, and {_unmetered(evidence)} estimated at {shown(evidence.estimate)}",
        )
    if evidence.is_incomplete:
        return Verdict(GAP, f"{lack}, and events of this day are missing in the lake")
    return _requests_tell(evidence, lack) or _ours_tell(evidence, lack)


def estimate_explains(evidence: Evidence) -> bool:
    """Whether the difference is our estimate, within its margin."""
    if not evidence.estimate or evidence.unmetered_count == 0:
        return False
    slack = max(ESTIMATE_MARGIN * evidence.estimate, evidence.tolerance * evidence.theirs / 100)
    return _size(evidence.missing - evidence.estimate) <= slack


def _unmetered(evidence: Evidence) -> str:
    count = "" if evidence.unmetered_count is None else f" {evidence.unmetered_count:,}"
    return f"our{count} unmetered calls are"


def _requests_tell(evidence: Evidence, lack: str) -> Verdict | None:
    ours, theirs = evidence.our_requests, evidence.their_requests
    if ours is None or theirs is None or theirs <= ours or agree(ours, theirs, evidence.tolerance):
        return None
    return Verdict(BYPASS, f"{lack}, and they count {theirs:,} requests, our gateway {ours:,}")


def _ours_tell(evidence: Evidence, lack: str) -> Verdict:
    ours, theirs = evidence.our_requests, evidence.their_requests
    if evidence.unestimated_count:
        return Verdict(
            UNMETERED, f"{lack}, and {evidence.unestimated_count:,} unmetered calls have no estimate"
        )
    if evidence.estimate and evidence.missing < evidence.estimate:
        return Verdict(
            UNMETERED,
            f"{lack}, less than the {shown(evidence.estimate)} that {_unmetered(evidence)} estimated at",
        )
    if evidence.unread_count:
        return Verdict(UNREAD, f"{lack}, and {evidence.unread_count:,} calls are pending or were rejected")
    explained = f", of which estimates explain {shown(evidence.estimate)}" if evidence.estimate else ""
    if ours is None or theirs is None:
        return Verdict(BYPASS, f"{lack}{explained}, and nothing on our side accounts for it")
    return Verdict(UNEXPLAINED, f"{lack}{explained}, although they count {theirs:,} requests, we {ours:,}")


def _we_have_more(evidence: Evidence) -> Verdict:
    more = f"{evidence.pair}: {shown(-evidence.missing)} more on our side"
    if evidence.is_cut:
        return Verdict(CUT, f"{more}, and their data of this day may not be complete yet")
    ours, theirs = evidence.our_requests, evidence.their_requests
    counted = f" (requests: ours {ours:,}, theirs {theirs:,})" if None not in (ours, theirs) else ""
    return Verdict(EXCESS, f"{more}{counted}")
