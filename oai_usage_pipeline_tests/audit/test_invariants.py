"""Check the checkers: each invariant holds on a sound lake and fails on one damaged in its way."""

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from oai_usage_pipeline.audit import charges, invariants
from oai_usage_pipeline.audit.findings import Finding, Invariant
from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.audit.shares import status_share
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reference.landing import land_reference
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.tables import (
    CHARGEBACK_MONTHLY,
    OPENAI_EVENTS,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
    USAGE_EVENTS,
    TableContract,
)
from oai_usage_pipeline_tests.landed import Landing

DIFFERENT_GOLD = r"gold of 2026-03-\d\d differs from the sums of silver"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    Landing(lake).send(80, spread_days=1)
    land_reference(lake, tmp_path / "no reference files")
    for derivation in DERIVATIONS:
        refresh_days(lake, derivation, [each.day for each in stale_days(lake, derivation)])
    return lake


def delta(lake: Lake, contract: TableContract) -> DeltaTable:
    return DeltaTable(lake.uri(contract))


def lose_an_event(lake: Lake) -> None:
    delta(lake, OPENAI_EVENTS).delete("partition_id = '0' AND sequence_number = 7")


def lose_the_last_event(lake: Lake) -> None:
    delta(lake, OPENAI_EVENTS).delete("partition_id = '0' AND sequence_number = 39")


def double_an_event(lake: Lake) -> None:
    row = lake.table(OPENAI_EVENTS).scan().filter(sequence_number=7, partition_id="1").collect()
    write_deltalake(delta(lake, OPENAI_EVENTS), row, mode="append")


def double_an_event_on_another_day(lake: Lake) -> None:
    row = lake.table(OPENAI_EVENTS).scan().filter(sequence_number=7, partition_id="1").collect()
    later = row.with_columns(pl.col("enqueued_date").dt.offset_by("1d"))
    write_deltalake(delta(lake, OPENAI_EVENTS), later, mode="append")


def move_silver_to_another_day(lake: Lake) -> None:
    delta(lake, USAGE_EVENTS).update(
        updates={"enqueued_date": "enqueued_date - INTERVAL '1' DAY"},
        predicate="partition_id = '0' AND sequence_number = 7",
    )


def move_a_position_ahead(lake: Lake) -> None:
    row = lake.table(OPENAI_EVENTS).scan().select("event_hub", "incarnation").first().collect().row(0)
    position = Transaction(f"capture/{row[0]}/{row[1]}/0", 1000)
    write_deltalake(
        delta(lake, OPENAI_EVENTS),
        OPENAI_EVENTS.empty(),
        mode="append",
        commit_properties=CommitProperties(app_transactions=[position]),
    )


def show_a_key(lake: Lake) -> None:
    key = "AppSubscriptionKey"
    delta(lake, OPENAI_EVENTS).update(
        updates={key: "'0123456789abcdef0123456789abcdef'"}, predicate="sequence_number = 3"
    )


def change_tokens_in_silver(lake: Lake) -> None:
    delta(lake, USAGE_EVENTS).update(
        updates={"input_tokens": "input_tokens + 1"}, predicate="input_tokens IS NOT NULL"
    )


def change_a_cost(lake: Lake) -> None:
    delta(lake, USAGE_COST_HOURLY).update(
        updates={"cost": "cost + CAST(0.000000000001 AS DECIMAL(38, 12))"}, predicate="cost IS NOT NULL"
    )


def charge_for_a_call_too_many(lake: Lake) -> None:
    delta(lake, CHARGEBACK_MONTHLY).update(
        updates={"request_count": "request_count + 1"}, predicate="team = 'unattributed'"
    )


def charge_a_thousand_times_as_much(lake: Lake) -> None:
    delta(lake, CHARGEBACK_MONTHLY).update(
        updates={"cost": "cost * 1000"}, predicate="cost IS NOT NULL AND cost > 0"
    )


def charge_another_team(lake: Lake) -> None:
    delta(lake, CHARGEBACK_MONTHLY).update(updates={"team": "'somebody else'"})


def charge_in_another_currency(lake: Lake) -> None:
    delta(lake, CHARGEBACK_MONTHLY).update(updates={"currency": "'EUR'"})


def hide_what_is_estimated(lake: Lake) -> None:
    delta(lake, CHARGEBACK_MONTHLY).update(updates={"estimated_cost": "NULL"})


def lose_a_month_of_chargeback(lake: Lake) -> None:
    delta(lake, CHARGEBACK_MONTHLY).delete("usage_month = '2026-03-01'")


def lose_a_silver_row(lake: Lake) -> None:
    delta(lake, USAGE_EVENTS).delete("sequence_number = 5")


def change_tokens_in_gold(lake: Lake) -> None:
    delta(lake, TOKEN_USAGE_HOURLY).update(
        updates={"total_tokens": "total_tokens + 1"}, predicate="total_tokens > 0"
    )


def lose_a_gold_day(lake: Lake) -> None:
    delta(lake, TOKEN_USAGE_HOURLY).delete("usage_date = '2026-03-09'")


def land_without_refreshing(lake: Lake) -> None:
    other = Landing(lake)
    other._source.incarnation = "2026-03-11T00:00:00.000Z"
    other.send(10, day=11)


def test_every_invariant_holds_on_a_sound_lake(lake: Lake) -> None:
    findings = list(verify(lake))
    assert [finding.invariant for finding in findings if not finding.holds] == []
    assert len(findings) == len(invariants.INVARIANTS)
    assert findings[2].figures == {"events": 80, "missing": 0, "acknowledged": 0}


def test_a_file_that_is_gone_is_named_before_it_is_read(lake: Lake) -> None:
    file = next(Path(lake.uri(USAGE_EVENTS)).glob("*/*.parquet"))
    file.unlink()
    found = next(verify(lake))
    assert not found.holds
    assert f"usage_events: enqueued_date={file.parent.name[-10:]}/{file.name} is missing" in found.sentence


def test_a_lake_that_is_not_there_is_no_sound_one_and_is_not_made(tmp_path: Path) -> None:
    mistyped = tmp_path / "mistyped"
    with pytest.raises(NoTable, match="check OAI_USAGE_LAKE_URI"):
        list(verify(Lake(str(mistyped))))
    assert not mistyped.exists()


@pytest.mark.parametrize(
    ("damage", "invariant", "sentence"),
    [
        (lose_an_event, invariants.nothing_lost, "partition 0: 1 events missing between 0 and 39"),
        (lose_the_last_event, invariants.positions_match, "partition 0: position 39, last event 38"),
        (double_an_event, invariants.nothing_doubled, "partition 1: 1 rows too many"),
        (double_an_event_on_another_day, invariants.nothing_doubled, "partition 1: 1 rows too many"),
        (
            move_silver_to_another_day,
            invariants.silver_accounts_for_bronze,
            "1 bronze events have no row in silver; 1 silver rows have no event in bronze",
        ),
        (move_a_position_ahead, invariants.positions_match, "partition 0: position 1000, last event 39"),
        (show_a_key, invariants.no_key_in_clear, "2 rows hold a caller's key"),
        (lose_a_silver_row, invariants.silver_accounts_for_bronze, "2 bronze events have no row in silver"),
        (lose_an_event, invariants.silver_accounts_for_bronze, None),
        (change_tokens_in_silver, invariants.silver_equals_rebuild, "silver of 2026-03-10 differs from"),
        (
            change_tokens_in_gold,
            invariants.gold_equals_silver,
            DIFFERENT_GOLD,
        ),
        (
            lose_a_gold_day,
            invariants.gold_equals_silver,
            DIFFERENT_GOLD,
        ),
        (change_a_cost, charges.cost_equals_rebuild, r"cost of 2026-03-\d\d differs from pricing"),
        (charge_for_a_call_too_many, charges.chargeback_equals_rebuild, "2026-03: request_count is"),
        (charge_a_thousand_times_as_much, charges.chargeback_equals_rebuild, "2026-03: cost of unattributed"),
        (charge_another_team, charges.chargeback_equals_rebuild, "2026-03: request_count of somebody else"),
        (
            charge_in_another_currency,
            charges.chargeback_equals_rebuild,
            "2026-03: request_count of .* EUR is",
        ),
        (hide_what_is_estimated, charges.chargeback_equals_rebuild, "2026-03: estimated_cost of"),
        (lose_a_month_of_chargeback, charges.chargeback_equals_rebuild, "2026-03: request_count is 0"),
        (land_without_refreshing, invariants.days_are_current, "usage_events of 2026-03-11 is behind by 10"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_damage_is_found_and_named(
    damage: Callable[[Lake], None], invariant: Invariant, sentence: str | None, lake: Lake
) -> None:
    damage(lake)
    finding: Finding = invariant(lake)
    if sentence is None:
        # The day counts as behind now, so this check leaves it to `days_are_current`.
        assert not invariants.days_are_current(lake).holds
        return
    assert not finding.holds
    assert re.search(sentence, finding.sentence)


def test_shares_name_their_reasons(lake: Lake) -> None:
    share = status_share(lake, "rejected")
    silver = lake.table(USAGE_EVENTS).scan().collect()
    assert share.total == 80
    assert share.count == len(silver.filter(pl.col("status") == "rejected"))
    assert sum(share.reasons.values()) == share.count
