"""What was seen wrong and who was told of it, and so what is news to whom.

Belongs here: the rules of when a message is due. What is wrong is for the caller, words are for `message`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import BaseModel, Field, ValidationError

from oai_usage_pipeline.alerts.lag import Mark

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Condition:
    """Something that is wrong now.

    `name` stays the same while it lasts; `sentence` has the figures and may hold words of others; `advice` is
    where to go. `since` is when it began, if that is known better than by when it was first seen.
    """

    name: str
    sentence: str
    advice: str
    since: datetime | None = None
    reminder: timedelta = DAY


class Episode(BaseModel, frozen=True):
    """One time that a condition lasted: when it began, and when it was last seen."""

    since: datetime
    seen: datetime


class Told(BaseModel, frozen=True):
    """What a receiver knows of a condition: when it began, and when the receiver was last told."""

    since: datetime
    at: datetime


@dataclass(frozen=True)
class News:
    """What a receiver doesn't know yet: what began, what still lasts after a reminder's time, what ended.

    Each with when it began; what ended by its name.
    """

    begun: list[tuple[Condition, datetime]] = field(default_factory=list)
    lasting: list[tuple[Condition, datetime]] = field(default_factory=list)
    ended: list[tuple[str, datetime]] = field(default_factory=list)

    @property
    def is_any(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.begun or self.lasting or self.ended)


class Memory(BaseModel, frozen=True):
    """All that is kept from one look to the next: episodes by condition, what was told by receiver and
    condition, and the marks that capture has yet to reach by partition."""

    episodes: dict[str, Episode] = Field(default_factory=dict)
    told: dict[str, dict[str, Told]] = Field(default_factory=dict)
    marks: dict[str, Mark] = Field(default_factory=dict)

    @classmethod
    def of(cls, text: str | None) -> "Memory":
        """What `model_dump_json` gave; nothing is remembered of a text that another version has left."""
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValidationError:
            return cls()


def episodes(
    before: Mapping[str, Episode], found: Iterable[Condition], now: datetime, settling: timedelta
) -> dict[str, Episode]:
    """The episodes that last: what is wrong now, and what was until less than `settling` ago.

    So a condition that comes and goes is one episode.
    """
    lasting = {name: each for name, each in before.items() if now - each.seen < settling}
    for each in found:
        known = before.get(each.name)
        since = each.since or (known.since if known else now)
        lasting[each.name] = Episode(since=since, seen=now)
    return lasting


def news(
    told: Mapping[str, Told],
    found: Iterable[Condition],
    lasting: Mapping[str, Episode],
    now: datetime,
    settling: timedelta,
) -> News:
    """What to tell a receiver that was `told` so much; a condition is told once it has lasted for `settling`.

    `lasting` are the episodes as of now.
    """
    begins = {each.name: (each, lasting[each.name].since) for each in found}
    return News(
        begun=[
            (each, since)
            for name, (each, since) in begins.items()
            if name not in told and now - since >= settling
        ],
        lasting=[
            (each, told[name].since)
            for name, (each, _) in begins.items()
            if name in told and now - told[name].at >= each.reminder
        ],
        ended=[(name, each.since) for name, each in told.items() if name not in lasting],
    )


def told_after(told: Mapping[str, Told], delivered: News, now: datetime) -> dict[str, Told]:
    """What the receiver knows once the news were delivered."""
    ended = {name for name, _ in delivered.ended}
    known = {name: each for name, each in told.items() if name not in ended}
    mentioned = delivered.begun + delivered.lasting
    return known | {each.name: Told(since=since, at=now) for each, since in mentioned}
