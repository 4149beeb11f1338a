"""The imaginary teams that call the models: their names, subscription keys, users and partition keys.

Identities only; what the teams call and how often each kind of call happens belongs in `mix`.
"""

import hashlib
from dataclasses import dataclass

PARTITION_SLOTS = 8
"""Partition keys per team. Few teams alone hash badly onto a few partitions: with six keys one of
four partitions often stays empty, with 48 each gets between 15 and 33 percent, and batches of one
key still fill up."""

USERS_PER_TEAM = 5


@dataclass(frozen=True)
class Team:
    """One caller: a human name and its weight in the traffic."""

    name: str
    weight: int


TEAMS = (
    Team("customer-support", 30),
    Team("search", 22),
    Team("legal", 16),
    Team("marketing", 14),
    Team("data-science", 12),
    Team("human-resources", 6),
)


def team_keys(seed: int) -> dict[str, str]:
    """The subscription key (32 hex characters, like API Management's) of each team, by team name.

    Depends on nothing but the seed, so a reader of the ledger can relate a fingerprint to a team
    although the ledger holds no key.
    """
    return {team.name: _digest(f"traffic {seed} {team.name}")[:32] for team in TEAMS}


@dataclass(frozen=True)
class Caller:
    """A team with its key; `key_sha256` names the key in the ledger without revealing it."""

    team: str
    key: str
    key_sha256: str

    def partition_key(self, slot: int) -> str:
        """The Event Hubs partition key of the team's `slot`: stable, and derived from the key one-way."""
        return f"{self.key_sha256[:8]}-{slot}"


def callers(seed: int) -> list[Caller]:
    """The callers of a seed, in the order of `TEAMS`."""
    return [Caller(team, key, key_sha256(key)) for team, key in team_keys(seed).items()]


def key_sha256(key: str) -> str:
    """A key's SHA-256 in hex, cut to 16 characters: enough to tell keys apart, useless to a thief."""
    return _digest(key)[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
