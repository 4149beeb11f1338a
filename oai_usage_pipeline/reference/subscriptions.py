"""`subscriptions.csv`: who is behind a subscription, and from when until when.

Belongs here: the columns of that file and what they may hold. Finding the row of a call is for `charge`.
"""

import re
from pathlib import Path

import polars as pl
from pydantic import field_validator

from oai_usage_pipeline.reference.cells import Exact, Text, Validity
from oai_usage_pipeline.reference.files import read_table
from oai_usage_pipeline.reference.raw_keys import FINGERPRINT, looks_like_key
from oai_usage_pipeline.tables import IDLE_CAPACITY, SUBSCRIPTIONS, UNATTRIBUTED

FILE = "subscriptions.csv"

_ALMOST_FINGERPRINT = re.compile(r"v[0-9]*-?[0-9a-f]{20,}", re.IGNORECASE)
_NOT_IN_AN_ID = re.compile(r"[*#&+:<>?]")
"""Characters that no id of a subscription has (API Management's REST reference, parameter `sid`)."""


class SubscriptionRow(Validity):
    """One row: a caller's key (as its fingerprint) or its API Management subscription, and who pays."""

    subscription: Exact
    name: Text | None = None
    team: Text
    cost_centre: Text | None = None
    owner: Text | None = None
    environment: Text | None = None

    @field_validator("subscription")
    @classmethod
    def _no_key_but_its_fingerprint(cls, value: str) -> str:
        if FINGERPRINT.fullmatch(value):
            return value
        if _ALMOST_FINGERPRINT.fullmatch(value):
            raise ValueError(
                "expected a fingerprint whole, as `oai-usage fingerprint` prints it: v1- and 32 lower-case "
                "hexadecimals"
            )
        if looks_like_key(value):
            raise ValueError(
                "this looks like a caller's key, and no key may stand in a file: make its fingerprint with "
                "`oai-usage fingerprint`, write that, and renew the key if others could read it here"
            )
        if _NOT_IN_AN_ID.search(value):
            raise ValueError(
                "expected a fingerprint or the id of an API Management subscription, which has none of "
                "* # & + : < > ?"
            )
        return value

    @field_validator("name", "team", "cost_centre", "owner", "environment")
    @classmethod
    def _no_key_at_all(cls, value: str | None) -> str | None:
        if value is not None and looks_like_key(value):
            raise ValueError(
                "this looks like a caller's key, and no key may stand in a file: is a separator missing?"
            )
        return value

    @field_validator("team")
    @classmethod
    def _no_name_of_ours(cls, value: str) -> str:
        if value.casefold() in (UNATTRIBUTED, IDLE_CAPACITY):
            raise ValueError(
                "this is what the pipeline itself calls usage that no team is charged for: use another name"
            )
        return value


def read_subscriptions(folder: Path) -> pl.DataFrame:
    """The rows of the folder's file in the columns of SUBSCRIPTIONS; none when there is no file.

    Raises ConfigurationError with everything that is wrong with it.
    """
    path = folder / FILE
    if not path.exists():
        return SUBSCRIPTIONS.empty()
    return read_table(path, SUBSCRIPTIONS, SubscriptionRow, key=("subscription",))
