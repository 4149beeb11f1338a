"""`subscriptions.imported.csv`: what API Management knows and `subscriptions.csv` lacks, to be filled in.

Belongs here: choosing those rows and writing them to a file of their own. No file of the user's is
changed, and none is replaced.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reference.apim import ApimSubscription
from oai_usage_pipeline.reference.raw_keys import looks_like_key
from oai_usage_pipeline.reference.subscriptions import FILE as SUBSCRIPTIONS_FILE
from oai_usage_pipeline.reference.subscriptions import read_subscriptions
from oai_usage_pipeline.tables import SUBSCRIPTIONS

FILE = "subscriptions.imported.csv"

_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class NewSubscription:
    """A row to fill in; `state` is API Management's, for the person's eyes."""

    subscription: str
    name: str | None
    owner: str | None
    state: str | None


def new_subscriptions(known: Iterable[ApimSubscription], folder: Path) -> list[NewSubscription]:
    """Those that no row of the folder's `subscriptions.csv` names, sorted by id.

    Raises ConfigurationError when that file is wrong, or when there is an imported one already.
    """
    _refuse_existing(folder / FILE)
    there = set(read_subscriptions(folder)["subscription"])
    return [
        NewSubscription(each.id, _plain(each.name), _plain(each.owner), each.state)
        for each in sorted(known, key=lambda each: each.id)
        if each.id not in there and not looks_like_key(each.id)
    ]


def write_imported(rows: Iterable[NewSubscription], folder: Path) -> Path:
    """Write the rows with `team` empty to a new file in the folder, made if need be; returns its path."""
    path = folder / FILE
    text = io.StringIO()
    text.write(f"# Fill in team (and what else you know), then move these lines to {SUBSCRIPTIONS_FILE}.\n")
    writer = csv.DictWriter(text, fieldnames=list(SUBSCRIPTIONS.schema), lineterminator="\n")
    writer.writeheader()
    writer.writerows({"subscription": row.subscription, "name": row.name, "owner": row.owner} for row in rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
    except FileExistsError:
        _refuse_existing(path)
        raise
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from None
    return path


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise ConfigurationError(
            f"{path} is there already, perhaps with work in it: move its lines to {SUBSCRIPTIONS_FILE} and "
            "remove it, then import again"
        )


def _plain(text: str | None) -> str | None:
    """One line that a spreadsheet takes for text: anyone may choose the name of a subscription."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())
    return f"'{line}" if line.startswith(_FORMULA) else line or None
