"""The promises of the pipeline as checks on the lake as it stands.

Belongs here: each promise as one function from the lake to a finding in a sentence. The command
`oai-usage verify` and the Dagster asset checks both show these findings.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl
from polars.testing import assert_frame_equal

from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.day import stale_days
from oai_usage_pipeline.refresh.gold import gold_of
from oai_usage_pipeline.refresh.silver import CHUNK_ROWS
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


@dataclass(frozen=True)
class Finding:
    """Whether one invariant holds, in a sentence, with the figures behind it."""

    invariant: str
    holds: bool
    sentence: str
    figures: dict[str, int] = field(default_factory=dict)


Invariant = Callable[[Lake], Finding]


def verify(lake: Lake) -> Iterator[Finding]:
    """Every invariant in turn; reads the whole lake. Raises NoTable where there is none to check."""
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
    return _finding(
        "positions_match",
        wrong,
        f"All {len(partitions)} positions equal the last event in bronze",
        {"partitions": len(partitions), "wrong": len(wrong)},
    )


def nothing_lost(lake: Lake) -> Finding:
    """The sequence numbers of a partition have no hole."""
    partitions = _partitions(lake).with_columns(
        missing=pl.col("last") - pl.col("first") + 1 - pl.col("distinct")
    )
    holes = partitions.filter(pl.col("missing") != 0)
    wrong = [
        f"{row['event_hub']} partition {row['partition_id']}: {row['missing']} events missing between "
        f"{row['first']} and {row['last']}"
        for row in holes.iter_rows(named=True)
    ]
    events = int(partitions["distinct"].sum())
    return _finding(
        "nothing_lost",
        wrong,
        f"{events} events follow each other without a hole in {len(partitions)} partitions",
        {"events": events, "missing": int(partitions["missing"].sum())},
    )


def nothing_doubled(lake: Lake) -> Finding:
    """No event is in bronze twice."""
    partitions = _partitions(lake).with_columns(doubled=pl.col("rows") - pl.col("distinct"))
    wrong = [
        f"{row['event_hub']} partition {row['partition_id']}: {row['doubled']} rows too many"
        for row in partitions.filter(pl.col("doubled") != 0).iter_rows(named=True)
    ]
    rows = int(partitions["rows"].sum())
    return _finding(
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
    return _finding("no_key_in_clear", wrong, "Every caller's key is a fingerprint", {"in_clear": found})


def days_are_current(lake: Lake) -> Finding:
    """Silver and gold have followed their sources."""
    return days_behind(lake, timedelta(0))


def days_behind(lake: Lake, grace: timedelta) -> Finding:
    """The same, where a day may be behind for some time: a pass under way is no fault."""
    latest = datetime.now(UTC) - grace
    wrong = [
        f"{derivation.target.name} of {each.day} is behind by {each.new_rows} rows"
        for derivation in DERIVATIONS
        for each in stale_days(lake, derivation)
        if each.behind_since <= latest
    ]
    return _finding(
        days_are_current.__name__,
        wrong,
        "Every day of silver and gold is up to date",
        {"stale_days": len(wrong)},
        advice="bring them up to date with `oai-usage run --until-idle`",
    )


def silver_accounts_for_bronze(lake: Lake) -> Finding:
    """Every bronze event has its row in silver, and silver has no other; days behind are left out."""
    keys = [*EVENT_KEY, "enqueued_date"]
    stale = _stale(lake, USAGE_EVENTS)
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
    return _finding(
        "silver_accounts_for_bronze",
        wrong,
        f"Each of {_count(bronze)} bronze events is accounted for in silver",
        {"missing": missing, "foreign": foreign, "doubled": doubled},
    )


def gold_equals_silver(lake: Lake) -> Finding:
    """Gold is the aggregate of silver's calls, row for row; days behind are left out."""
    silver = lake.existing(USAGE_EVENTS)
    days = _usage_days(lake) - _stale(lake, TOKEN_USAGE_HOURLY)
    wrong, rows, records = [], 0, 0
    for day in sorted(days):
        found = _day(lake, TOKEN_USAGE_HOURLY, day).collect()
        expected = gold_of(silver, day)
        wrong += _difference(
            found, expected, list(USAGE_DIMENSIONS), f"gold of {day} differs from the sums of silver"
        )
        rows += len(found)
        records += int(expected.select(pl.col("request_count").sum() + pl.col("duplicate_count").sum()).item())
    return _finding(
        "gold_equals_silver",
        wrong,
        f"{rows} gold rows equal the sums of {records} silver rows",
        {"gold_rows": rows},
    )


def silver_equals_rebuild(lake: Lake) -> Finding:
    """Deriving a day again from bronze gives the silver that is there; days behind are left out."""
    keys = [*EVENT_KEY, "event_index"]
    current = sorted(lake.existing(USAGE_EVENTS).days() - _stale(lake, USAGE_EVENTS))
    wrong = []
    for day in current:
        found = _day(lake, USAGE_EVENTS, day).collect()
        chunks = _day(lake, OPENAI_EVENTS, day).collect_batches(chunk_size=CHUNK_ROWS)
        expected = pl.concat([USAGE_EVENTS.empty(), *(derive(chunk) for chunk in chunks)])
        wrong += _difference(found, expected, keys, f"silver of {day} differs from a rebuild")
    return _finding(
        "silver_equals_rebuild",
        wrong,
        f"Rebuilding {len(current)} days of silver from bronze changes nothing",
        {"days": len(current), "different": len(wrong)},
    )


INVARIANTS: tuple[Invariant, ...] = (
    positions_match,
    nothing_lost,
    nothing_doubled,
    no_key_in_clear,
    days_are_current,
    silver_accounts_for_bronze,
    gold_equals_silver,
    silver_equals_rebuild,
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


def _stale(lake: Lake, target: TableContract) -> set[str]:
    derivation = next(each for each in DERIVATIONS if each.target is target)
    return {each.day for each in stale_days(lake, derivation)}


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


def _difference(found: pl.DataFrame, expected: pl.DataFrame, keys: list[str], sentence: str) -> list[str]:
    columns = expected.columns
    try:
        assert_frame_equal(found.select(columns).sort(keys), expected.sort(keys))
    except AssertionError:
        return [f"{sentence} ({len(found)} rows found, {len(expected)} expected)"]
    return []


def _finding(
    invariant: str, wrong: list[str], sentence: str, figures: dict[str, int], advice: str | None = None
) -> Finding:
    if not wrong:
        return Finding(invariant, holds=True, sentence=sentence, figures=figures)
    shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    return Finding(
        invariant, holds=False, sentence=f"{shown}: {advice}" if advice else shown, figures=figures
    )
