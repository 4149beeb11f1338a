"""Which silver rows are records of one and the same call, so that it is counted once.

Two gateways' logs of one call, a log line and the tokens that another one brings, a stored response
that is fetched again: they share the gateway's request id or the response's id. The rule:

1. Rows with the same request id are one call, whatever they count: the gateway gives an id once.
2. Rows with the same response id are one call, unless the gateway gave them different request ids (an
   answer from a cache goes to several callers; fetching one is no call), or their counts differ (test
   doubles use a response id again).
3. Unless more than `CALL_WINDOW` passes from one row to the next.
4. What counts is the record that tells most: reported tokens before units, failures, estimates and
   rejections, then the shape that tells most, then the first. What it doesn't say (which deployment) is
   taken from the others, in the same order. Who called, and when, is told by those that didn't only
   fetch the answer, if there are any.

A fetched response lies, by its `created_at`, at the instant of the call that made it, however much
later it was fetched. Pure; which rows are looked at belongs in `refresh.gold`.
"""

from datetime import timedelta

import polars as pl

from oai_usage_pipeline.tables import (
    ESTIMATE_COLUMNS,
    EVENT_KEY,
    EVENT_SHAPES,
    TOKEN_COLUMNS,
    USAGE_EVENTS,
)

CALL_WINDOW = timedelta(hours=1)
"""Records of one call follow each other no later: the longest calls take minutes."""

CALL_IDS = ("request_id", "response_id")
DUPLICATES = "duplicate_count"
"""The column of `one_row_per_call` that says how many further records a call has."""

_COUNTS = ("input_tokens", "output_tokens")
_MOST_TELLING = ("metered", "unit_billed", "failed", "unmetered", "pending", "rejected")
_FROM_THE_BEST_ONLY = (
    *EVENT_KEY,
    *("event_index", "enqueued_at", "enqueued_date", "event_shape"),
    *TOKEN_COLUMNS,
    *("audio_duration_ms", "image_count", "image_size", "image_quality", "character_count"),
    *ESTIMATE_COLUMNS,
    *("is_retrieval", "status", "reason", "schema_version"),
)
_FROM_ANY = tuple(name for name in USAGE_EVENTS.schema if name not in _FROM_THE_BEST_ONLY)


def repeated_ids(*ids: pl.DataFrame) -> pl.Series:
    """Hashes of the ids that occur more than once in the frames' columns of `CALL_IDS`.

    Hashes, so that the ids of millions of rows fit in memory: two ids with one hash are only looked at
    for nothing.
    """
    found = []
    for name in CALL_IDS:
        hashes = pl.concat([frame[name].drop_nulls() for frame in ids]).hash()
        found.append(hashes.filter(hashes.is_duplicated()).unique())
    return pl.concat(found).unique()


def is_repeated(repeated: pl.Series) -> pl.Expr:
    """Whether a row has one of the ids that `repeated_ids` found."""
    if repeated.is_empty():
        return pl.lit(value=False)
    each = [pl.col(name).is_not_null() & pl.col(name).hash().is_in(repeated.implode()) for name in CALL_IDS]
    return pl.any_horizontal(each)


def one_row_per_call(rows: pl.DataFrame) -> pl.DataFrame:
    """Silver rows merged by call, with the column `DUPLICATES`; the order of the rows has no say."""
    ranked = rows.select(*USAGE_EVENTS.schema).sort(*_rank(), nulls_last=False).with_row_index("rank")
    callers_first = pl.col("is_retrieval").fill_null(value=False), pl.col("rank")
    return (
        _with_calls(ranked)
        .group_by("call", maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in _FROM_THE_BEST_ONLY),
            *(pl.col(name).sort_by(callers_first).drop_nulls().first() for name in _FROM_ANY),
            (pl.len() - 1).cast(pl.Int64).alias(DUPLICATES),
        )
    )


def _rank() -> tuple[pl.Expr, ...]:
    status = pl.col("status").replace_strict({name: at for at, name in enumerate(_MOST_TELLING)})
    shape = pl.col("event_shape").replace_strict(
        {name: at for at, name in enumerate(EVENT_SHAPES)}, default=len(EVENT_SHAPES)
    )
    fetched = pl.col("is_retrieval").fill_null(value=False)
    return status, fetched, shape, *(pl.col(name) for name in (*EVENT_KEY, "event_index"))


def _with_calls(ranked: pl.DataFrame) -> pl.DataFrame:
    """Column `call`, the least rank of its rows: by request id, then by the response id of those."""
    rows = _joined(ranked.with_columns(call=pl.col("rank")), "request_id")
    spread = {name: _first_known(name).over("call", order_by="rank") for name in ("response_id", *_COUNTS)}
    rows = rows.with_columns(asked=pl.col("call"), **{f"its_{name}": each for name, each in spread.items()})
    rows = _joined(rows.with_columns(other=_has_another_request()), "its_response_id", "other")
    differs = [pl.col(f"its_{name}").drop_nulls().n_unique().over("call") > 1 for name in _COUNTS]
    return rows.with_columns(
        call=pl.when(pl.any_horizontal(differs)).then(pl.col("asked")).otherwise(pl.col("call"))
    )


def _joined(rows: pl.DataFrame, *names: str) -> pl.DataFrame:
    """`call` made the least of those rows that share the ids, where no gap in time parts them."""
    gap = pl.col("event_at").diff().over(names, order_by="event_at") > CALL_WINDOW
    part = gap.fill_null(value=False).cum_sum().over(names, order_by="event_at")
    call = pl.col("call")
    return (
        rows.with_columns(part=part)
        .with_columns(
            call=pl.when(pl.col(names[0]).is_null()).then(call).otherwise(call.min().over(*names, "part"))
        )
        .drop("part")
    )


def _has_another_request() -> pl.Expr:
    """The request id of a row whose answer was given to an earlier request, too; null for all others.

    Fetching an answer is a request of its own, but no other call.
    """
    own = pl.when(~pl.col("is_retrieval").fill_null(value=False)).then(pl.col("request_id"))
    first = own.sort_by("rank").drop_nulls().first().over("its_response_id")
    return pl.when(own != first).then(own)


def _first_known(name: str) -> pl.Expr:
    return pl.col(name).drop_nulls().first()
