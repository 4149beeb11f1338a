"""One kind of misbehaviour, ordered by whoever starts the broker: what, where and when. For tests only.

Belongs here: the words of `--misbehave` and counting until a fault is due. What a fault then does is for
the spoiled connections, nodes and links.
"""

import math
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from oai_usage_pipeline.broker.errors import BrokerError

EVENTS, ATTACH, CBS, MANAGEMENT, CONNECT = "events", "attach", "$cbs", "$management", "connect"


class Kind(NamedTuple):
    """Where a kind of fault can occur (the first is the default), and its number: name and default.

    A number without a default has to be given.
    """

    places: tuple[str, ...]
    number: str | None = None
    default: int | None = None


KINDS = {
    "silence": Kind((EVENTS, ATTACH, CBS, MANAGEMENT, CONNECT)),
    "server-busy": Kind((EVENTS, ATTACH, MANAGEMENT)),
    "refused": Kind((CBS, ATTACH, MANAGEMENT)),
    "expired": Kind((EVENTS,)),
    "stolen": Kind((EVENTS, ATTACH)),
    "detached": Kind((EVENTS,)),
    "closed": Kind((EVENTS,)),
    "reset": Kind((EVENTS,)),
    "duplicates": Kind((EVENTS,), "count", 1),
    "replay": Kind((EVENTS,), "back", 100),
    "reorder": Kind((EVENTS,)),
    "gap": Kind((EVENTS,), "count", 1),
    "slow": Kind((EVENTS,), "rate", 100),
    "expire": Kind((CONNECT, EVENTS), "below"),
    "grow": Kind((CONNECT, EVENTS), "to"),
}
WHEN = ("at", "every", "p", "times")


class Schedule(NamedTuple):
    """When a fault is due: before occasion `at`, then after every so many, or each time with a chance of `p`.

    Occasions are counted from 0 in each partition, or in the whole broker where there is no partition.
    `every` 0 means from then on always. `times` bounds how often (None: without bound).
    """

    at: int = 0
    every: int | None = None
    p: float | None = None
    times: int | None = None

    def after(self, count: int, dice: random.Random) -> float:
        """The occasion from which it is due again, once it was due at `count`."""
        if self.every is not None:
            return count + self.every
        if self.p is None:
            return math.inf
        # How many occasions pass until one with this chance comes true.
        return count + 1 + int(math.log(1 - dice.random()) / math.log1p(-self.p)) if self.p < 1 else count + 1


@dataclass
class Fault:
    """A fault on the lookout; `number` is what the kind's own key says, 0 where it has none."""

    kind: str
    place: str
    number: int
    partition: str | None
    schedule: Schedule
    seed: str
    _next: dict[str, float] = field(default_factory=dict)
    _done: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _dice: dict[str, random.Random] = field(default_factory=dict)

    def is_due(self, count: int, partition: str = "") -> bool:
        """Whether it occurs before this occasion; asking counts as having it."""
        if partition not in self._next:
            self._dice[partition] = random.Random(f"{self.seed}/{partition}")  # noqa: S311 - to be repeatable
            self._next[partition] = self._first(self._dice[partition])
        times = self.schedule.times
        if count < self._next[partition] or (times is not None and self._done[partition] >= times):
            return False
        self._done[partition] += 1
        self._next[partition] = self.schedule.after(count, self._dice[partition])
        return True

    def _first(self, dice: random.Random) -> float:
        if self.schedule.p is None:
            return self.schedule.at
        return self.schedule.after(self.schedule.at - 1, dice)


def fault_of(text: str, seed: int) -> Fault:
    """Read KIND or KIND:key=value,…; raises BrokerError naming what it doesn't understand."""
    name, _, rest = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        raise _misunderstood(text, f"{name!r} is no kind of misbehaviour; there are {', '.join(KINDS)}")
    keys = dict(each.partition("=")[::2] for each in rest.split(",") if each)
    known = {*WHEN, "on", "partition"} | ({kind.number} if kind.number else set())
    unknown = sorted(keys.keys() - known)
    if unknown:
        raise _misunderstood(
            text, f"{name} has no key {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        )
    place = keys.get("on", kind.places[0])
    if place not in kind.places:
        raise _misunderstood(text, f"{name} can be on {', '.join(kind.places)}, not on {place!r}")
    try:
        return Fault(
            name, place, _number(kind, keys), keys.get("partition"), _schedule(keys), f"{seed}/{text}"
        )
    except ValueError as error:
        raise _misunderstood(text, str(error)) from None


def _number(kind: Kind, keys: dict[str, str]) -> int:
    if kind.number is None:
        return 0
    found = keys.get(kind.number, kind.default)
    if found is None:
        raise ValueError(f"{kind.number}=N is missing")
    return _whole(kind.number, found)


def _schedule(keys: dict[str, str]) -> Schedule:
    numbers = {name: _whole(name, keys[name]) for name in ("at", "every", "times") if name in keys}
    chance = float(keys["p"]) if "p" in keys else None
    if chance is not None and (not 0 < chance <= 1 or "every" in numbers):
        raise ValueError("p is above 0 and at most 1, and goes without every")
    repeats = "every" in numbers or chance is not None
    times = numbers.get("times", None if repeats else 1)
    return Schedule(numbers.get("at", 0), numbers.get("every"), chance, times)


def _whole(name: str, value: str | int) -> int:
    if not str(value).isdecimal():
        raise ValueError(f"{name} is a whole number, not {value!r}")
    return int(value)


def _misunderstood(text: str, why: str) -> BrokerError:
    return BrokerError(f"--misbehave {text}: {why}.")
