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
    TableContract,
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
    found = lake.existing(OPENAI_EVENTS).scan().select(is_clear.sum()).collect().item() or 0
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
    keys = [*EVENT_KEY, "enqueued_date"]
    stale = stale_days_of(lake, USAGE_EVENTS)
    bronze = _without(lake, OPENAI_EVENTS, "enqueued_date", stale).select(keys)
    silver = _without(lake, USAGE_EVENTS, "enqueued_date", stale)
    silver = silver.filter(pl.col("event_index") == 0).select(keys)
    missing = _count(bronze.join(silver, on=keys, how="anti"))
    foreign = _count(silver.join(bronze, on=keys, how="anti"))
    doubled = _count(silver.group_by(keys).len().filter(pl.col("len") > 1))
    wrong = [
        f"{number} {what}"
        for number, what in (
            (missing, "bronze events have no row in silver"),
            (foreign, "silver rows have no event in bronze"),
            (doubled, "events are in silver more than once"),
        )
        if number
    ]
    return finding(
        "silver_accounts_for_bronze",
        wrong,
        f"Each of {_count(bronze)} bronze events is accounted for in silver",
        {"missing": missing, "foreign": foreign, "doubled": doubled},
    )


def gold_equals_silver(lake: Lake) -> Finding:
    """Gold is the aggregate of silver's calls, marked where gaps are; days behind are left out."""
    silver = lake.existing(USAGE_EVENTS)
    incomplete = IncompleteHours.read(lake)
    days = _usage_days(lake) - stale_days_of(lake, TOKEN_USAGE_HOURLY)
    wrong, rows, records = [], 0, 0
    for day in sorted(days):
        found = _day(lake, TOKEN_USAGE_HOURLY, day).collect()
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
    current = sorted(lake.existing(USAGE_EVENTS).days() - stale_days_of(lake, USAGE_EVENTS))
    wrong = []
    for day in current:
        found = _day(lake, USAGE_EVENTS, day).collect()
        chunks = _day(lake, OPENAI_EVENTS, day).collect_batches(chunk_size=CHUNK_ROWS)
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
    number = pl.col("sequence_number")
    return (
        lake.existing(OPENAI_EVENTS)
        .scan()
        .group_by(PARTITION)
        .agg(
            number.min().alias("first"),
            number.max().alias("last"),
            pl.len().cast(pl.Int64).alias("rows"),
            number.n_unique().cast(pl.Int64).alias("distinct"),
        )
        .sort(PARTITION)
        .collect(engine="streaming")
    )


def _without(lake: Lake, contract: TableContract, day_column: str, stale: set[str]) -> pl.LazyFrame:
    day = pl.col(day_column).cast(pl.String)
    return lake.existing(contract).scan().filter(~day.is_in(sorted(stale)))


def _day(lake: Lake, contract: TableContract, day: str) -> pl.LazyFrame:
    return lake.existing(contract).scan().filter(pl.col(contract.day_column) == pl.lit(day).str.to_date())


def _usage_days(lake: Lake) -> set[str]:
    """Days of gold, and those that it should have."""
    dates = lake.existing(USAGE_EVENTS).scan().select(pl.col("usage_date").unique()).collect()
    return {str(each) for each in dates["usage_date"]} | lake.existing(TOKEN_USAGE_HOURLY).days()


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect(engine="streaming").item())
