"""A pepper is renewed as docs/REFERENCE.md says: the money of both times goes to the same team."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.audit.accounting import accounting_shares
from oai_usage_pipeline.audit.charges import chargeback_equals_rebuild
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.capture.source import HubEvent
from oai_usage_pipeline.charge.attribution import through_rotation
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.refresh.chargeback import ChargebackMonthly
from oai_usage_pipeline.refresh.cost import UsageCostHourly
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.gold import TOKEN_USAGE_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION
from oai_usage_pipeline.tables import (
    CHARGEBACK_MONTHLY,
    DEPLOYMENTS,
    KEY_ROTATIONS,
    PRICES,
    SUBSCRIPTIONS,
    UNATTRIBUTED,
)
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import ListSource
from oai_usage_pipeline_tests.charge.frames import deployments, prices, subscriptions

KEYS = {"search": "5" * 32, "support": "6" * 32}
FIRST, SECOND, THIRD = b"the first pepper", b"the second pepper", b"the third pepper"
ONE = KeyFingerprint(FIRST, 1)
NOW = datetime(2026, 4, 9, 8, 30, tzinfo=UTC)


class Company:
    """A hub of calls of a million input tokens each, 2.50 USD, captured with one pepper after another."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._hub = ListSource({"0": []})
        lake.table(PRICES).replace(prices({}), {})
        lake.table(DEPLOYMENTS).replace(deployments(), {})
        self.own({"subscription": ONE.of(key), "team": team} for team, key in KEYS.items())

    def own(self, rows: "object") -> None:
        self.lake.table(SUBSCRIPTIONS).replace(subscriptions(*rows), {})  # type: ignore[misc]

    def call(self, fingerprint: KeyFingerprint, day: int, team: str = "search") -> None:
        at = datetime(2026, 3, day, 9, tzinfo=UTC)
        response = {"model": "gpt-4o", "usage": {"prompt_tokens": 1_000_000, "total_tokens": 1_000_000}}
        fields = {
            "EventTime": at.isoformat(),
            "AppSubscriptionKey": KEYS[team],
            "Request": json.dumps({"model": "gpt-4o", "messages": []}),
            "Response": json.dumps(response | {"object": "chat.completion", "id": f"r{day}-{team}"}),
        }
        held = self._hub.partitions["0"]
        number = len(held)
        held.append(HubEvent(number, str(number), int(at.timestamp() * 1000), json.dumps(fields).encode()))
        assert CaptureRun(self._hub, self.lake, fingerprint).execute().errors == []

    def charge(self) -> dict[str, Decimal]:
        """Bring all up to date; what each team is charged for March."""
        derivations = (
            USAGE_EVENTS_DERIVATION,
            TOKEN_USAGE_HOURLY_DERIVATION,
            UsageCostHourly(lambda: NOW),
            self.months,
        )
        for each in derivations:
            refresh_days(self.lake, each, [found.day for found in stale_days(self.lake, each)])
        rows = self.lake.table(CHARGEBACK_MONTHLY).scan().collect()
        return dict(rows.group_by("team").agg(pl.col("cost").sum()).iter_rows())

    @property
    def months(self) -> ChargebackMonthly:
        return ChargebackMonthly(lambda: NOW)


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(Lake(str(tmp_path / "lake")))


def test_money_of_the_old_and_the_new_pepper_goes_to_the_same_team(company: Company) -> None:
    company.call(ONE, day=1)
    company.call(ONE, day=1, team="support")
    assert company.charge() == {"search": Decimal("2.5"), "support": Decimal("2.5")}

    both = KeyFingerprint(SECOND, 2, previous=FIRST)
    company.call(both, day=2)
    assert company.charge() == {"search": Decimal(5), "support": Decimal("2.5")}

    alone = KeyFingerprint(SECOND, 2)
    company.call(alone, day=3)
    assert company.charge() == {"search": Decimal("7.5"), "support": Decimal("2.5")}
    assert stale_days(company.lake, company.months) == []
    assert chargeback_equals_rebuild(company.lake).holds
    [unattributed, *_] = [
        each
        for each in accounting_shares(company.lake, NOW - timedelta(days=32))
        if each.name == UNATTRIBUTED
    ]
    assert (unattributed.count, unattributed.total) == (0, 4)


def test_a_second_rotation_is_followed_back_to_the_first_row(company: Company) -> None:
    company.call(ONE, day=1)
    company.call(KeyFingerprint(SECOND, 2, previous=FIRST), day=2)
    company.call(KeyFingerprint(THIRD, 3, previous=SECOND), day=3)
    assert company.charge() == {"search": Decimal("7.5")}


def test_a_key_that_was_not_seen_before_the_previous_pepper_went_is_nobodys(company: Company) -> None:
    company.call(ONE, day=1)
    company.call(ONE, day=1, team="support")
    company.call(KeyFingerprint(SECOND, 2, previous=FIRST), day=2)
    company.call(KeyFingerprint(SECOND, 2), day=3, team="support")
    assert company.charge() == {"search": Decimal(5), "support": Decimal("2.5"), UNATTRIBUTED: Decimal("2.5")}


def test_a_pair_that_comes_later_makes_its_month_stale_and_a_pair_of_nobodys_key_does_not(
    company: Company,
) -> None:
    two = KeyFingerprint(SECOND, 2)
    company.call(two, day=2)
    assert company.charge() == {UNATTRIBUTED: Decimal("2.5")}
    nobody = ("v2-" + "7" * 32, "v1-" + "7" * 32, NOW)
    company.lake.table(KEY_ROTATIONS).append(rotations(nobody), {})
    assert stale_days(company.lake, company.months) == []
    pair = (two.of(KEYS["search"]), ONE.of(KEYS["search"]), NOW)
    company.lake.table(KEY_ROTATIONS).append(rotations(pair), {})
    assert [each.day for each in stale_days(company.lake, company.months)] == ["2026-03-01"]
    assert company.charge() == {"search": Decimal("2.5")}


def rotations(*rows: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=KEY_ROTATIONS.schema, orient="row")


def owners(known: pl.DataFrame) -> list[tuple[str, str]]:
    return known.select("subscription", "team").sort(pl.all()).rows()


def test_a_row_of_its_own_wins_whatever_its_validity() -> None:
    known = subscriptions({"subscription": "v1", "team": "old"}, {"subscription": "v2", "valid_from": NOW})
    assert owners(through_rotation(known, rotations(("v2", "v1", NOW)))) == [("v1", "old"), ("v2", "search")]


def test_every_row_of_the_older_fingerprint_holds_for_the_newer() -> None:
    known = subscriptions(
        {"subscription": "v1", "team": "a", "valid_to": NOW},
        {"subscription": "v1", "team": "b", "valid_from": NOW},
    )
    found = through_rotation(known, rotations(("v2", "v1", NOW)))
    copies = found.filter(pl.col("subscription") == "v2").sort("team")
    assert copies.drop("subscription").equals(known.drop("subscription").sort("team"))


def test_two_pairs_that_lead_to_the_same_rows_are_one_owner() -> None:
    known = subscriptions({"subscription": "v1"}, {"subscription": "also v1"})
    pairs = rotations(("v2", "v1", NOW), ("v2", "also v1", NOW))
    assert owners(through_rotation(known, pairs)).count(("v2", "search")) == 1


def test_pairs_in_a_circle_or_of_unknown_keys_end(company: Company) -> None:
    circle = rotations(("v2", "v3", NOW), ("v3", "v2", NOW), ("v4", "v1", NOW), ("v4", "s", NOW))
    known = subscriptions({"subscription": "s"})
    assert owners(through_rotation(known, circle)) == [("s", "search"), ("v4", "search")]


def test_a_key_that_a_wrong_previous_pepper_paired_is_found_by_the_right_one(company: Company) -> None:
    company.call(KeyFingerprint(SECOND, 2, previous=THIRD), day=1)
    assert company.charge() == {UNATTRIBUTED: Decimal("2.5")}
    company.call(KeyFingerprint(SECOND, 2, previous=FIRST), day=2)
    assert company.charge() == {"search": Decimal(5)}


def test_the_pipeline_knows_both_peppers_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"": SECOND.decode(), "_VERSION": "2", "_PREVIOUS": FIRST.decode()}
    for name, value in settings.items():
        monkeypatch.setenv(f"OAI_USAGE_KEY_PEPPER{name}", value)
    made = Pipeline().fingerprint()
    assert made.of(KEYS["search"]) == KeyFingerprint(SECOND, 2).of(KEYS["search"])
    assert made.previous is not None
    assert made.previous.of(KEYS["search"]) == ONE.of(KEYS["search"])
