"""Silver to gold: sums that add up, nulls that stay nulls, and nothing that wraps round."""

from datetime import datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.tables import (
    STATUSES,
    TOKEN_COLUMNS,
    TOKEN_USAGE_HOURLY,
    USAGE_DIMENSIONS,
    USAGE_EVENTS,
)
from oai_usage_pipeline.usage.aggregate import SUM_CEILING, aggregate, combine
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT


def silver(*rows: dict[str, object]) -> pl.DataFrame:
    usual: dict[str, object] = {
        "event_hub": "hub",
        "event_at": ENQUEUED_AT,
        "usage_date": ENQUEUED_AT.date(),
        "subscription": "v1-a",
        "model": "m",
        "operation": "chat.completions",
        "status": "metered",
    }
    return pl.DataFrame([usual | row for row in rows], schema=USAGE_EVENTS.schema)


def test_gold_counts_requests_statuses_and_tokens_of_each_group() -> None:
    gold = aggregate(
        silver(
            {"input_tokens": 1, "total_tokens": 3},
            {"input_tokens": 10, "event_at": ENQUEUED_AT + timedelta(minutes=59)},
            {"status": "unmetered"},
            {"model": "other", "status": "rejected"},
        )
    )
    assert gold.schema == pl.Schema(TOKEN_USAGE_HOURLY.schema)
    first, second = gold.to_dicts()
    assert (first["request_count"], first["metered_count"], first["unmetered_count"]) == (3, 2, 1)
    assert (first["input_tokens"], first["output_tokens"], first["total_tokens"]) == (11, None, 3)
    assert (second["model"], second["request_count"], second["rejected_count"]) == ("other", 1, 1)
    assert first["hour_at"] == ENQUEUED_AT


def test_a_sum_of_zeros_is_zero_and_a_sum_of_nothing_is_null() -> None:
    (row,) = aggregate(silver({"input_tokens": 0}, {})).to_dicts()
    assert (row["input_tokens"], row["output_tokens"]) == (0, None)


def test_null_dimensions_make_groups_of_their_own() -> None:
    gold = aggregate(silver({"subscription": None}, {"subscription": None}, {}))
    assert gold.select("subscription", "request_count").rows() == [(None, 2), ("v1-a", 1)]


def test_a_sum_beyond_64_bits_reads_the_ceiling_and_never_wraps() -> None:
    half = aggregate(silver({"input_tokens": SUM_CEILING}, {"input_tokens": 1}))
    assert half["input_tokens"].to_list() == [SUM_CEILING]
    assert combine(half, half, half)["input_tokens"].to_list() == [SUM_CEILING]


def test_nothing_aggregates_to_nothing_of_the_same_columns() -> None:
    for gold in (aggregate(silver()), combine(), combine(aggregate(silver()))):
        assert gold.equals(TOKEN_USAGE_HOURLY.empty())
        assert gold.schema == pl.Schema(TOKEN_USAGE_HOURLY.schema)


def test_a_lazy_frame_gives_the_same_rows() -> None:
    rows = silver({"input_tokens": 1}, {"model": None}, {"user_id": "u"})
    assert aggregate(rows.lazy()).equals(aggregate(rows))


_row = st.fixed_dictionaries(
    {
        "event_at": st.sampled_from(
            [ENQUEUED_AT + timedelta(minutes=minutes) for minutes in (0, 59, 60, 125)]
        ),
        "subscription": st.sampled_from([None, "v1-a", "v1-b"]),
        "model": st.sampled_from([None, "m", ""]),
        "status": st.sampled_from(STATUSES),
        **{name: st.none() | st.integers(0, 9) | st.just(2**62) for name in TOKEN_COLUMNS},
    }
)
_rows = st.lists(_row, max_size=12)


@settings(max_examples=60)
@given(_rows, st.integers(0, 12), st.integers(0, 12))
def test_the_parts_combined_are_the_whole_aggregated(
    rows: list[dict[str, object]], one: int, other: int
) -> None:
    whole = silver(*rows)
    low, high = sorted((one, other))
    parts = [
        aggregate(whole.slice(0, low)),
        aggregate(whole.slice(low, high - low)),
        aggregate(whole.slice(high)),
    ]
    assert combine(*parts).equals(aggregate(whole))
    assert combine(combine(*parts[:2]), parts[2]).equals(aggregate(whole))


@settings(max_examples=60)
@given(_rows)
def test_gold_is_what_adding_up_by_hand_gives(rows: list[dict[str, object]]) -> None:
    by_hand: dict[tuple[object, ...], dict[str, int | None]] = {}
    for row in silver(*rows).iter_rows(named=True):
        event_at: datetime = row["event_at"]
        hour = {"hour_at": event_at.replace(minute=0)}
        sums = by_hand.setdefault(
            tuple((row | hour)[name] for name in USAGE_DIMENSIONS), {"request_count": 0}
        )
        sums["request_count"] = (sums["request_count"] or 0) + 1
        sums[f"{row['status']}_count"] = (sums.get(f"{row['status']}_count") or 0) + 1
        for name in TOKEN_COLUMNS:
            if row[name] is not None:
                sums[name] = min((sums.get(name) or 0) + row[name], SUM_CEILING)
    gold = aggregate(silver(*rows))
    assert gold.height == len(by_hand)
    for row in gold.iter_rows(named=True):
        sums = by_hand[tuple(row[name] for name in USAGE_DIMENSIONS)]
        assert {name: row[name] for name in TOKEN_COLUMNS} == {name: sums.get(name) for name in TOKEN_COLUMNS}
        counts = ["request_count", *(f"{status}_count" for status in STATUSES)]
        assert {name: row[name] for name in counts} == {name: sums.get(name, 0) for name in counts}


@given(st.permutations(range(6)))
def test_the_order_of_events_changes_nothing(order: list[int]) -> None:
    rows: list[dict[str, object]] = [
        {"model": str(number % 3), "input_tokens": number} for number in range(6)
    ]
    assert aggregate(silver(*(rows[at] for at in order))).equals(aggregate(silver(*rows)))
