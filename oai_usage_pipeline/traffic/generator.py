"""Generated events: message bodies with what must come out of each, reproducible by seed and start.

Puts the pieces together: who calls (`teams`), when (`timeline`), what (`mix`), and what is left of
it after `damage`. The mapping to a ledger line belongs in `expectation`, sending in `sender`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count as count_from
from itertools import islice

from oai_usage_pipeline.traffic.damage import Damage, not_json, truncated
from oai_usage_pipeline.traffic.exchange import Call, Exchange
from oai_usage_pipeline.traffic.expectation import expect
from oai_usage_pipeline.traffic.ledger import LedgerEntry
from oai_usage_pipeline.traffic.material import Material
from oai_usage_pipeline.traffic.mix import MIX
from oai_usage_pipeline.traffic.newtonsoft import TICKS_PER_SECOND, envelope, event_time
from oai_usage_pipeline.traffic.teams import PARTITION_SLOTS, TEAMS, USERS_PER_TEAM, callers
from oai_usage_pipeline.traffic.timeline import Timeline

_USER_SHARE = 0.4
_WINDOWS_SHARE = 0.25


@dataclass(frozen=True)
class GeneratedEvent:
    """A message body, the partition key to send it under, and its line in the ledger."""

    body: bytes
    partition_key: str
    entry: LedgerEntry


def generate(
    seed: int, start_at: datetime, count: int | None, days: int = 0, rate: float | None = None
) -> Iterator[GeneratedEvent]:
    """`count` events (None: endless); the same arguments give the same bytes.

    `start_at` (with a zone) is when sending starts. Events are dated over the `days` before it; or,
    when sent at `rate` a second, from it on; or else a millisecond apart just before it. Raises
    ConfigurationError for days without a count.
    """
    generator = _Generator(seed, Timeline.choose(start_at, count, days, rate))
    return map(generator.event, islice(count_from(), count))


class _Generator:
    """Holds the random material of one run; events must be drawn in order."""

    def __init__(self, seed: int, timeline: Timeline) -> None:
        self._seed = seed
        self._timeline = timeline
        self._material = Material(seed)
        self._callers = callers(seed)
        self._team_weights = [team.weight for team in TEAMS]
        self._kind_weights = [kind.weight for kind in MIX]

    def event(self, n: int) -> GeneratedEvent:
        """Event n of the run."""
        random = self._material.random
        caller = random.choices(self._callers, self._team_weights)[0]
        kind = random.choices(MIX, self._kind_weights)[0]
        ticks = self._timeline.ticks(n, self._material)
        call = Call(
            self._marker(n), caller, event_time(ticks), ticks // TICKS_PER_SECOND, self._user(caller.team)
        )
        line_end = "\r\n" if self._material.chance(_WINDOWS_SHARE) else "\n"
        exchange = _with_line_ends(kind.make(self._material, call), line_end)
        whole = self._message(call, exchange, kind.damage, line_end)
        body = truncated(whole)
        damage = kind.damage if body == whole else Damage.TRUNCATED
        partition_key = caller.partition_key(random.randrange(PARTITION_SLOTS))
        entry = expect(n, kind.name, damage, call, partition_key, exchange, body)
        return GeneratedEvent(body, partition_key, entry)

    def _message(self, call: Call, exchange: Exchange, damage: Damage, line_end: str) -> bytes:
        if damage is Damage.NOT_JSON:
            return not_json(self._material, call.marker)
        response = None if damage is Damage.NULL_RESPONSE else exchange.response
        return envelope(call.event_time, call.caller.key, exchange.request, response, line_end).encode()

    def _marker(self, n: int) -> str:
        """Unique within a seed, and most likely between seeds: what ids are made of."""
        return f"{self._seed & 0xFFFFFFFF:08x}{n:012x}"

    def _user(self, team: str) -> str | None:
        if not self._material.chance(_USER_SHARE):
            return None
        return f"{team}-user-{self._material.random.randrange(USERS_PER_TEAM)}"


def _with_line_ends(exchange: Exchange, line_end: str) -> Exchange:
    """Newtonsoft ends lines like its operating system; a stream's text is passed on untouched."""
    if line_end == "\n":
        return exchange
    response = exchange.response if exchange.is_stream else exchange.response.replace("\n", line_end)
    return replace(exchange, request=exchange.request.replace("\n", line_end), response=response)
