"""The reference file of the generated traffic's callers: what a FinOps team would keep for its own.

Belongs here: teams of the generator as rows of `subscriptions.csv`. What such a file may hold is for
`reference`; who calls, for `traffic.teams`.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from oai_usage_pipeline.traffic.teams import team_keys
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

COLUMNS = ("subscription", "name", "team", "cost_centre", "owner", "environment")
COST_CENTRES = {
    "customer-support": "CC-4100",
    "search": "CC-2210",
    "legal": "CC-7000",
    "marketing": "CC-4300",
    "data-science": "CC-2200",
    "human-resources": "CC-7100",
}


def write_subscriptions(folder: Path, seeds: Iterable[int], fingerprint: KeyFingerprint) -> Path:
    """Write `subscriptions.csv` for the callers of all seeds; a new seed is a rotation of the keys."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "subscriptions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for seed in sorted(set(seeds)):
            for team, key in team_keys(seed).items():
                owner = f"{team}-lead@example.com"
                place = (COST_CENTRES.get(team, ""), owner, "production")
                rows.writerow((fingerprint.of(key), f"{team} (key {seed})", team, *place))
    return path
