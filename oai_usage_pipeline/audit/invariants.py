"""The promises of the pipeline as checks on the lake as it stands; those about money are in `charges`.

Belongs here: each promise as one function from the lake to a finding in a sentence. The command
`oai-usage verify` and the Dagster asset checks both show these findings.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import polars as pl

from oai_usage_pipeline.audit.charges import chargeback_equals_rebuild, cost_equals_rebuild
from oai_usage_pipeline.audit.files import files_are_whole
from oai_usage_pipeline.audit.findings import Finding, Invariant, difference, finding, stale_days_of
from oai_usage_pipeline.audit.holes import holes_of
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.derivation import day_of
from oai_usage_pipeline.refresh.gold import gold_of
from oai_usage_pipeline.refresh.incomplete import IncompleteHours
from oai_usage_pipeline.refresh.silver import CHUNK_ROWS
from oai_usage_pipeline.refresh.stale import StaleTable, stale_tables
from oai_usage_pipeline.tables import (
    EVENT_KEY,
    OPENAI_EVENTS,
    TOKEN_USAGE_HOURLY,
    USAGE_DIMENSIONS,
    USAGE_EVENTS,
)
from oai_usage_pipeline.usage.derive import derive

FINGERPRINT = "^v[0-9]+-[0-9a-f]{32}$"
"""Written down here once more: a check must not share the code that it checks."""

PARTITION = ["event_hub", "incarnation", "partition_id"]


def verify(lake: Lake) -> Iterator[Finding]:
    """Every invariant in turn; reads the whole lake. Raises NoTable where there is none to check."""
    lake.existing(OPENAI_EVENTS)
    for invariant in INVARIANTS:
        yield invariant(lake)


def positions_match(lake: Lake) -> Finding:
    """A partition's committed position is the last sequence number in bronze."""
    table = lake.existing(OPENAI_EVENTS)
    wrong = []
    partitions = _partitions(lake)
    for event_hub, incarnation, partition_id, last in partitions.select(*PARTITION, "last").iter_rows():
        position = table.position(Hub(event_hub, incarnation, ()).app_id(partition_id))
        if position != last:
            wrong.append(f"{event_hub} partition {partition_id}: position {position}, last event {last}")
    return finding(
        "positions_match",
        wrong,
        f"All {len(partitions)} positions equal the last event in bronze",
        {"partitions": len(partitions), "wrong": len(wrong)},
    )


def nothing_lost(lake: Lake) -> Finding:
    """The sequence numbers of a partition have no hole but those that somebody has acknowledged."""
    partitions = _partitions(lake)
    holed = partitions.filter(pl.col("last") - pl.col("first") + 1 != pl.col("distinct"))
    wrong, missing, acknowledged = [], 0, 0
    for row in holed.iter_rows(named=True):
        hub = Hub(row["event_hub"], row["incarnation"], ())
        holes = holes_of(lake, hub, row["partition_id"])
        missing += holes.count
        acknowledged += holes.acknowledged_count
        if holes.count:
            wrong.append(
                f"{row['event_hub']} partition {row['partition_id']}: {holes.count} events missing between "
                f"{row['first']} and {row['last']}, and nobody has acknowledged them: {holes}. "
                "Where `oai-usage gaps` doesn't list them, `oai-usage repair` gets them back, or records them"
            )
    events = int(partitions["distinct"].sum())
    given_up = f", but for {acknowledged} that are acknowledged as missing (see `oai-usage gaps`)"
    return finding(
        "nothing_lost",
        wrong,
        f"{events} events follow each other without a hole in {len(partitions)} partitions"
        + (given_up if acknowledged else ""),
        {"events": events, "missing": missing, "acknowledged": acknowledged},
    )


def nothing_doubled(lake: Lake) -> Finding:
    """No event is in bronze twice."""
    partitions = _partitions(lake).with_columns(doubled=pl.col("rows") - pl.col("distinct"))
    wrong = [
        f"{row['event_hub']} partition {row['partition_id']}: {row['doubled']} rows too many"
        for row in partitions.filter(pl.col("doubled") != 0).iter_rows(named=True)
    ]
    rows = int(partitions["rows"].sum())
    return finding(
        "nothing_doubled",
        wrong,
        f"Each of {rows} events is in bronze once",
        {"events": rows, "doubled": int(partitions["doubled"].sum())},
    )


def no_key_in_clear(lake: Lake) -> Finding:
    """Callers' keys are in bronze as fingerprints only; the offending values are not shown."""
    key = pl.col("AppSubscriptionKey")
    is_clear = (key != "") & ~key.str.contains(FINGERPRINT)
    found = _count(lake.existing(OPENAI_EVENTS).scan().filter(is_clear))
    wrong = [f"{found} rows hold a caller's key that is no fingerprint"] if found else []
    return finding("no_key_in_clear", wrong, "Every caller's key is a fingerprint", {"in_clear": found})


def days_are_current(lake: Lake) -> Finding:
    """Silver, gold, cost and chargeback have followed their sources."""
    return days_behind(stale_tables(lake), timedelta(0))


def days_behind(stale: Iterable[StaleTable], grace: timedelta) -> Finding:
    """The same of what is stale, where a day may be behind for some time: a pass under way is no fault."""
    latest = datetime.now(UTC) - grace
    wrong = [
        f"{table.table} of {each.day} is behind by {each.new_rows} rows"
        for table in stale
        for each in table.changes
        if each.behind_since <= latest
    ]
    return finding(
        days_are_current.__name__,
        wrong,
        "Every day of silver, gold and cost, and every month, is up to date",
        {"stale_days": len(wrong)},
        advice="bring them up to date with `oai-usage run --until-idle`, or many of them with "
        "`oai-usage backfill --stale`",
    )


def silver_accounts_for_bronze(lake: Lake) -> Finding:
    """Every bronze event has its row in silver, and silver has no other; days behind are left out."""
    stale = stale_days_of(lake, USAGE_EVENTS)
    bronze, silver = lake.existing(OPENAI_EVENTS), lake.existing(USAGE_EVENTS)
    events, figures = 0, dict.fromkeys(UNACCOUNTED, 0)
    # Day by day, since the keys of all history need not fit into memory.
    for day in sorted((bronze.days() | silver.days()) - stale):
        landed = day_of(bronze, day).select(EVENT_KEY)
        derived = day_of(silver, day).filter(pl.col("event_index") == 0).select(EVENT_KEY)
        events += _count(landed)
        figures["missing"] += _count(landed.join(derived, on=EVENT_KEY, how="anti"))
        figures["foreign"] += _count(derived.join(landed, on=EVENT_KEY, how="anti"))
        figures["doubled"] += _count(derived.group_by(EVENT_KEY).len().filter(pl.col("len") > 1))
    return finding(
        "silver_accounts_for_bronze",
        [f"{figures[each]} {what}" for each, what in UNACCOUNTED.items() if figures[each]],
        f"Each of {events} bronze events is accounted for in silver",
        figures,
    )


UNACCOUNTED = {
    "missing": "bronze events have no row in silver",
    "foreign": "silver rows have no event in bronze",
    "doubled": "events are in silver more than once",
}


def gold_equals_silver(lake: Lake) -> Finding:
    """Gold is the aggregate of silver's calls, marked where gaps are; days behind are left out."""
    silver, gold = lake.existing(USAGE_EVENTS), lake.existing(TOKEN_USAGE_HOURLY)
    incomplete = IncompleteHours.read(lake)
    days = (_usage_days(silver) | gold.days()) - stale_days_of(lake, TOKEN_USAGE_HOURLY)
    wrong, rows, records = [], 0, 0
    for day in sorted(days):
        found = day_of(gold, day).collect()
        expected = incomplete.marked(gold_of(silver, day), day)
        wrong += difference(
            found, expected, list(USAGE_DIMENSIONS), f"gold of {day} differs from the sums of silver"
        )
        rows += len(found)
        records += int(
            expected.select(pl.col("request_count").sum() + pl.col("duplicate_count").sum()).item()
        )
    return finding(
        "gold_equals_silver",
        wrong,
        f"{rows} gold rows equal the sums of {records} silver rows",
        {"gold_rows": rows},
    )


def silver_equals_rebuild(lake: Lake) -> Finding:
    """Deriving a day again from bronze gives the silver that is there; days behind are left out."""
    keys = [*EVENT_KEY, "event_index"]
    bronze, silver = lake.existing(OPENAI_EVENTS), lake.existing(USAGE_EVENTS)
    current = sorted(silver.days() - stale_days_of(lake, USAGE_EVENTS))
    wrong = []
    for day in current:
        found = day_of(silver, day).collect()
        chunks = day_of(bronze, day).collect_batches(chunk_size=CHUNK_ROWS)
        expected = pl.concat([USAGE_EVENTS.empty(), *(derive(chunk) for chunk in chunks)])
        expected = _of_the_same_age(expected, found, keys)
        wrong += difference(found, expected, keys, f"silver of {day} differs from a rebuild")
    return finding(
        "silver_equals_rebuild",
        wrong,
        f"Rebuilding {len(current)} days of silver from bronze changes nothing",
        {"days": len(current), "different": len(wrong)},
    )


def _of_the_same_age(rebuilt: pl.DataFrame, found: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Rebuilt silver as the versions derived it that the found rows name, where those needn't be redone.

    What a later version added is null in older rows.
    """
    contract = USAGE_EVENTS
    light = [change for change in contract.history if change.version > contract.rebuilt_since]
    if not light:
        return rebuilt
    age = pl.coalesce("found_version", "schema_version")
    is_right = age.is_between(contract.rebuilt_since, contract.version)
    aged = rebuilt.join(found.select(*keys, pl.col("schema_version").alias("found_version")), keys, "left")
    return aged.with_columns(
        pl.when(is_right).then(age).otherwise("schema_version").alias("schema_version"),
        *(pl.when(age >= change.version).then(name).alias(name) for change in light for name in change.added),
    ).drop("found_version")


INVARIANTS: tuple[Invariant, ...] = (
    files_are_whole,
    positions_match,
    nothing_lost,
    nothing_doubled,
    no_key_in_clear,
    days_are_current,
    silver_accounts_for_bronze,
    gold_equals_silver,
    silver_equals_rebuild,
    cost_equals_rebuild,
    chargeback_equals_rebuild,
)


def _partitions(lake: Lake) -> pl.DataFrame:
    """First and last sequence number, rows and distinct numbers of each partition."""
    table = lake.existing(OPENAI_EVENTS)
    days = [_numbers(day_of(table, day)) for day in sorted(table.days())]
    by_day = pl.concat([_numbers(OPENAI_EVENTS.empty().lazy()), *days]).sort("first")
    before = pl.col("last").cum_max().shift().over(PARTITION)
    if by_day.select((pl.col("first") <= before).any()).item():
        # Numbers grow with time, so no two days share one, unless rows were tampered with.
        return _numbers(table.scan())
    return (
        by_day.group_by(PARTITION)
        .agg(pl.col("first").min(), pl.col("last").max(), pl.col("rows").sum(), pl.col("distinct").sum())
        .sort(PARTITION)
    )


def _numbers(events: pl.LazyFrame) -> pl.DataFrame:
    number = pl.col("sequence_number")
    return (
        events.group_by(PARTITION)
        .agg(
            number.min().alias("first"),
            number.max().alias("last"),
            pl.len().cast(pl.Int64).alias("rows"),
            number.n_unique().cast(pl.Int64).alias("distinct"),
        )
        .sort(PARTITION)
        .collect(engine="streaming")
    )


def _usage_days(silver: LakeTable) -> set[str]:
    """Days that gold should have."""
    dates = silver.scan().select(pl.col("usage_date").unique()).collect(engine="streaming")
    return {str(each) for each in dates["usage_date"]}


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect(engine="streaming").item())
