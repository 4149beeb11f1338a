"""Two prices that are equally good for one use: which one is charged would be a matter of luck.

Belongs here: when two rows of one file are equally specific and both hold. How the more specific of two is
told is for `charge`; that its rules and these agree, a test holds.
"""

import re
import string
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from functools import lru_cache
from itertools import combinations

from oai_usage_pipeline.reference.cells import shown_hour
from oai_usage_pipeline.reference.findings import Finding
from oai_usage_pipeline.reference.overlaps import Holding, Overlap, overlaps
from oai_usage_pipeline.reference.price_list import Price

WILDCARDS = frozenset("*?[")
_ANY = frozenset(string.ascii_lowercase + string.digits + "-._:/ ")
"""What a `?` may stand for, as far as names of models go."""

_Step = frozenset[str] | None
"""One character of a pattern: those that fit; None is a `*`."""


def conflicts(rows: Iterable[tuple[int, Price]]) -> Iterator[Finding]:
    """A finding for each price that is no better and no worse than an earlier line's, at some time."""
    rows = list(rows)
    yield from _found(rows, of_pair=None)
    patterns: dict[tuple[int, Hashable], set[str]] = defaultdict(set)
    for _, price in rows:
        if WILDCARDS & set(price.model):
            patterns[len(price.model), _place(price)].add(price.model)
    pairs = {pair for alike in patterns.values() for pair in combinations(sorted(alike), 2)}
    for pair in sorted(pairs):
        if can_both_match(*pair):
            both = [(line, price) for line, price in rows if price.model in pair]
            yield from _found(both, of_pair=pair)


def _place(price: Price) -> tuple[Hashable, ...]:
    return (price.region, *price.subject[1:])


def _found(rows: list[tuple[int, Price]], of_pair: tuple[str, str] | None) -> Iterator[Finding]:
    holdings = [
        Holding(
            ("" if of_pair else price.model, *_place(price)),
            line,
            price.valid_from,
            price.valid_to,
        )
        for line, price in rows
    ]
    models = {(line, price.model) for line, price in rows}
    for found in overlaps(holdings):
        same = of_pair and any(
            (found.earlier.line, name) in models and (found.later.line, name) in models for name in of_pair
        )
        if not same:
            yield _finding(found, of_pair)


def _finding(found: Overlap, of_pair: tuple[str, str] | None) -> Finding:
    model, region, *rest = found.later.key
    what = ", ".join(str(part) for part in rest if part)
    who = f"{of_pair[0]} and {of_pair[1]} can both match a model" if of_pair else f"{model}"
    begins = f"from {shown_hour(found.valid_from)}" if found.valid_from else "from ever"
    ends = f"until {shown_hour(found.valid_to)}" if found.valid_to else "without end"
    return Finding(
        found.later.line,
        "",
        f"{who}: two prices for {what} in region {region}, here and in line {found.earlier.line}, both hold "
        f"{begins} {ends}: end the one with valid_to where the other begins with valid_from, or remove one",
    )


@lru_cache(maxsize=4096)
def can_both_match(one: str, other: str) -> bool:
    """Whether a name exists that both patterns (`*`, `?`, `[...]`) match."""
    if _starts_differently(one, other):
        return False
    return _meet(_steps(one), _steps(other))


def _starts_differently(one: str, other: str) -> bool:
    head, other_head = (re.split(r"[*?\[]", pattern, maxsplit=1)[0] for pattern in (one, other))
    return not (head.startswith(other_head) or other_head.startswith(head))


def _steps(pattern: str) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    at = 0
    while at < len(pattern):
        sign, end = pattern[at], pattern.find("]", at + 2)
        if sign == "[" and end > 0:
            steps.append(_set(pattern[at + 1 : end]))
            at = end
        else:
            steps.append({"*": None, "?": _ANY}.get(sign, frozenset(sign)))
        at += 1
    return tuple(steps)


def _set(inner: str) -> frozenset[str]:
    negated, inner = inner.startswith("!"), inner.removeprefix("!")
    found: set[str] = set()
    while inner:
        if len(inner) > 2 and inner[1] == "-":
            found |= {chr(code) for code in range(ord(inner[0]), ord(inner[2]) + 1)}
            inner = inner[3:]
        else:
            found.add(inner[0])
            inner = inner[1:]
    return _ANY - found if negated else frozenset(found)


def _meet(one: tuple[_Step, ...], other: tuple[_Step, ...]) -> bool:
    """Walk both at once; a state is how much of each is used up."""
    seen = {(0, 0)}
    open_states = [(0, 0)]
    while open_states:
        a, b = open_states.pop()
        if a == len(one) and b == len(other):
            return True
        for state in _next_states(one, a, other, b):
            if state not in seen:
                seen.add(state)
                open_states.append(state)
    return False


def _next_states(
    one: tuple[_Step, ...], a: int, other: tuple[_Step, ...], b: int
) -> Iterator[tuple[int, int]]:
    x, y = one[a : a + 1], other[b : b + 1]
    if x == (None,):
        yield a + 1, b
        if y:
            yield a, b + 1
    if y == (None,):
        yield a, b + 1
        if x:
            yield a + 1, b
    if x and y and x[0] is not None and y[0] is not None and x[0] & y[0]:
        yield a + 1, b + 1
