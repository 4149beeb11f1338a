"""Our side of the comparison: gold and cost of a period, by day and model.

Belongs here: reading the lake, and which days of it are known to be incomplete. Nothing is changed.
"""

from datetime import date, timedelta

import polars as pl

from oai_usage_pipeline.errors import LakeUnavailable, NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reconcile.names import model_family
from oai_usage_pipeline.tables import (
    DEPLOYMENTS,
    OPENAI_EVENTS,
    TOKEN_BUCKETS,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
    TableContract,
)

TOKENS = ("input_tokens", "output_tokens", "billed_unsplit_tokens")
PARTITION = ("event_hub", "incarnation", "partition_id")

HOLE_SEARCH = timedelta(days=7)
"""How far around the period a hole's edges are looked for: the retention of a standard hub."""

EVIDENCE = (
    *("request_count", "unmetered_count", "estimated_count", "pending_count", "rejected_count"),
    *("estimated_input_tokens", "estimated_output_tokens"),
)


def our_usage(lake: Lake, first: date, last: date) -> pl.DataFrame:
    """Gold by `usage_date`, `deployment`, `model`: columns TOKENS and EVIDENCE, null is "not reported"."""
    rows = _period(lake, TOKEN_USAGE_HOURLY, first, last)
    sums = [_sum(column) for column in (*TOKENS, *EVIDENCE)]
    return rows.group_by("usage_date", "deployment", "model").agg(sums).collect()


def our_costs(lake: Lake, first: date, last: date) -> pl.DataFrame:
    """Cost by `usage_date`, `model`, `currency`, `is_provisioned`.

    `cost` and `estimated_cost` are null where no price is known; `unpriced_rows` counts the rows of cost
    that lack one, whatever their unit, idle hours included; `token_count` the tokens of all token buckets.
    """
    is_tokens = pl.col("bucket").is_in(list(TOKEN_BUCKETS))
    is_unpriced = pl.col("price_id").is_null() & pl.col("quantity").is_not_null()
    rows = _period(lake, USAGE_COST_HOURLY, first, last)
    return (
        rows.with_columns(
            # `provisioned`, and `provisioned_idle` for what nobody used: Azure charges both alike.
            is_provisioned=pl.col("bucket").str.starts_with("provisioned").fill_null(value=False),
            token_count=pl.when(is_tokens).then("quantity"),
            unpriced_rows=pl.when(is_unpriced).then(1),
        )
        .group_by("usage_date", "model", "currency", "is_provisioned")
        .agg(_sum(each) for each in ("cost", "estimated_cost", "token_count", "unpriced_rows"))
        .collect()
    )


def models_of_deployments(lake: Lake) -> dict[str, str]:
    """Deployment, in lower case -> family of its model, from the reference table where there is one.

    A deployment that changed its model is left out: the table's dates are finer than the metrics' days.
    """
    try:
        rows = lake.existing(DEPLOYMENTS).scan().select("deployment", "model").drop_nulls().unique().collect()
    except NoTable:
        return {}
    families: dict[str, set[str]] = {}
    for deployment, model in rows.iter_rows():
        families.setdefault(deployment.lower(), set()).add(model_family(model))
    return {deployment: found.pop() for deployment, found in families.items() if len(found) == 1}


def incomplete_days(lake: Lake, first: date, last: date) -> frozenset[date]:
    """Days on which bronze lacks events: a hole in the numbers of a partition, from its day before to after.

    Days are those of the hub's clock (`enqueued_date`), which a call's own day follows within seconds.
    """
    try:
        rows = lake.existing(OPENAI_EVENTS).scan()
    except NoTable:
        return frozenset()
    day, number = pl.col("enqueued_date"), pl.col("sequence_number")
    days = (
        rows.filter(day.is_between(first - HOLE_SEARCH, last + HOLE_SEARCH))
        .group_by(*PARTITION, "enqueued_date")
        .agg(low=number.min(), high=number.max(), held=pl.len())
        .collect()
        .sort(*PARTITION, "enqueued_date")
        .with_columns(before=pl.col("high").shift().over(PARTITION), day_before=day.shift().over(PARTITION))
    )
    found: set[date] = set()
    for row in days.iter_rows(named=True):
        if row["held"] < row["high"] - row["low"] + 1:
            found.add(row["enqueued_date"])
        if row["before"] is not None and row["low"] != row["before"] + 1:
            found.update(pl.date_range(row["day_before"], row["enqueued_date"], eager=True))
    return frozenset(day for day in found if first <= day <= last)


def _period(lake: Lake, contract: TableContract, first: date, last: date) -> pl.LazyFrame:
    try:
        rows = lake.existing(contract).scan()
    except NoTable:
        return contract.empty().lazy()
    lacks = [column for column in contract.schema if column not in rows.collect_schema().names()]
    if lacks:
        raise LakeUnavailable(
            f"{contract.name} was made by an older version: it lacks {', '.join(lacks[:5])}. Bring it up "
            "to date with `oai-usage run --until-idle`"
        )
    return rows.filter(pl.col("usage_date").is_between(first, last))


def _sum(column: str) -> pl.Expr:
    """Null where nothing is reported; polars' own sum would say 0."""
    return pl.when(pl.col(column).count() > 0).then(pl.col(column).sum())
