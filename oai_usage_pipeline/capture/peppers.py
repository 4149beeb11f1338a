"""A pepper that contradicts what the lake was written with is refused before anything is captured.

Belongs here: the record of which pepper each version stands for, and what is wrong with a new one. Making
fingerprints is for `usage`; pairing those of two peppers, for `rotations`.

Versions count by one, and a pepper belongs to one version. What is kept of it is a check value of 24 bits:
a mistake slips by once in 16 million, and a guess of the pepper can't be confirmed by so few.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import polars as pl

from oai_usage_pipeline.errors import ConfigurationError, PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import KEY_PEPPERS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

ATTEMPTS = 20

_COUNTER = "key_peppers"
"""The application transaction that every writer moves: two with different peppers can't both succeed."""


def check_pepper(
    lake: Lake, fingerprint: KeyFingerprint, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Hold the peppers in use against the record; a version that isn't there yet is added to it.

    Raises ConfigurationError when they contradict it, LakeUnavailable when it can't be read or written.
    """
    for _ in range(ATTEMPTS):
        table = lake.table(KEY_PEPPERS)
        table.refuse_cut_files()
        rows = table.read(table.scan().select("pepper_version", "check_value"))
        known: dict[int, str] = dict(rows.iter_rows())
        _refuse(known, fingerprint)
        if fingerprint.version in known:
            return
        row = (fingerprint.version, fingerprint.check_value, clock())
        try:
            table.append(
                pl.DataFrame([row], schema=KEY_PEPPERS.schema, orient="row"),
                {_COUNTER: (table.position(_COUNTER) or 0) + 1},
            )
        except PositionConflict:
            continue
        return
    raise PositionConflict(f"{KEY_PEPPERS.name}: other writers keep getting ahead: try again")


def _refuse(known: Mapping[int, str], fingerprint: KeyFingerprint) -> None:
    _refuse_one(known, fingerprint, "OAI_USAGE_KEY_PEPPER", "OAI_USAGE_KEY_PEPPER_VERSION")
    if fingerprint.previous is not None or fingerprint.version not in known:
        _refuse_step(known, fingerprint)
    if fingerprint.previous is not None:
        _refuse_one(
            known,
            fingerprint.previous,
            "OAI_USAGE_KEY_PEPPER_PREVIOUS",
            "OAI_USAGE_KEY_PEPPER_VERSION, less one for the previous pepper,",
        )


def _refuse_step(known: Mapping[int, str], fingerprint: KeyFingerprint) -> None:
    """A version follows the one before it; a new one needs that one's pepper, to pair fingerprints."""
    before, newest = fingerprint.version - 1, max((v for v in known if v < fingerprint.version), default=None)
    if newest is None:
        return
    if before not in known:
        raise ConfigurationError(
            f"OAI_USAGE_KEY_PEPPER_VERSION is {fingerprint.version}, but this lake has no fingerprints of "
            f"version {before}, which OAI_USAGE_KEY_PEPPER_PREVIOUS would be: its last are of "
            f"version {newest}. Versions count by one: set OAI_USAGE_KEY_PEPPER_VERSION to {newest + 1}"
        )
    if fingerprint.previous is None:
        raise ConfigurationError(
            f"OAI_USAGE_KEY_PEPPER_VERSION is {fingerprint.version}, which is new to this lake, but "
            "OAI_USAGE_KEY_PEPPER_PREVIOUS is not set: nobody would answer for the calls of the keys in use. "
            f"Set it to the pepper of version {before}, until those keys have been seen again "
            "(docs/REFERENCE.md)"
        )


def _refuse_one(
    known: Mapping[int, str], fingerprint: KeyFingerprint, pepper_name: str, version_name: str
) -> None:
    version, found = fingerprint.version, fingerprint.check_value
    same = [each for each, check_value in known.items() if check_value == found and each != version]
    if known.get(version, found) != found:
        hint = f"it is that of version {same[0]}" if same else "it is one that this lake doesn't know"
        raise ConfigurationError(
            f"{pepper_name} is not the pepper that this lake's fingerprints of version {version} were made "
            f"with: {hint}. The same key would get another fingerprint of the same version, and nobody would "
            "answer for its calls. Set the pepper back; to renew it, raise OAI_USAGE_KEY_PEPPER_VERSION by "
            "one and set OAI_USAGE_KEY_PEPPER_PREVIOUS to the old pepper (docs/REFERENCE.md)"
        )
    if same:
        raise ConfigurationError(
            f"{pepper_name} is the pepper of version {same[0]} in this lake, but {version_name} says "
            f"{version}: keys would get a second fingerprint for nothing. Set the version back, or choose "
            "a new pepper"
        )
