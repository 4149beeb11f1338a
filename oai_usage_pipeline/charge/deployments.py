"""Which row of `deployments` a gold row belongs to, and what follows: SKU, model, region.

Belongs here: finding the row. What a deployment costs is for `pricing` and `provisioned`.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import polars as pl

from oai_usage_pipeline.charge.periods import Row, holds, with_period
from oai_usage_pipeline.tables import PROVISIONED, TOKEN_USAGE_HOURLY

ANY = "*"
WILDCARDS = "*?["

_VERSION = re.compile(r"-[0-9][0-9-]*")

_KEY = ("deployment", "model", "period")
_FOUND = {
    "deployment_row": pl.Int64(),
    "deployment_type": pl.String(),
    "deployment_model": pl.String(),
    "deployment_region": pl.String(),
    "deployment_reason": pl.String(),
}


def placed(gold: pl.DataFrame, deployments: pl.DataFrame) -> pl.DataFrame:
    """Gold rows with the columns of `_FOUND`; null `model` and `region` come from the deployment's row.

    The row is that of the deployment's name valid at `hour_at`, else the row `*`; one that names the
    model goes before one that doesn't. `deployment_row` is its index in `deployments`.
    `deployment_reason` says why there is none: `deployment_type_unknown`, or `deployment_ambiguous`
    when two rows fit equally well.
    """
    rows = with_period(gold, deployments)
    keys = rows.select(_KEY).unique()
    known = deployments.rows(named=True)
    found = pl.DataFrame([_found(known, *key) for key in keys.iter_rows()], schema=_FOUND, orient="row")
    return (
        rows.join(keys.hstack(found), on=_KEY, how="left", nulls_equal=True, maintain_order="left")
        .with_columns(
            model=pl.coalesce("model", "deployment_model"), region=pl.coalesce("region", "deployment_region")
        )
        .drop("period", "deployment_model", "deployment_region")
    )


def filled(gold: pl.DataFrame, deployments: pl.DataFrame) -> pl.DataFrame:
    """Gold rows whose null `model` and `region` come from their deployment's row, as cost rows have them."""
    return placed(gold, deployments).select(*TOKEN_USAGE_HOURLY.schema)


def is_provisioned() -> pl.Expr:
    """Whether a placed gold row is of a deployment that is paid by the hour, not by the token."""
    return pl.col("deployment_type").str.ends_with(PROVISIONED).fill_null(value=False)


def plain_model(row: Row) -> str | None:
    """The one model that a deployment's row names; None where it names none or a pattern."""
    model: str | None = row["model"]
    return None if model is None or any(sign in model for sign in WILDCARDS) else model


def _found(known: Sequence[Row], deployment: str | None, model: str | None, at: datetime) -> tuple[Any, ...]:
    fitting = [
        (_rank(row), number)
        for number, row in enumerate(known)
        if row["deployment"] in (deployment, ANY) and _is_models(row, model) and holds(row, at)
    ]
    best = min(fitting, default=None)
    if best is None:
        return None, None, None, None, "deployment_type_unknown"
    if sum(rank == best[0] for rank, _ in fitting) > 1:
        return None, None, None, None, "deployment_ambiguous"
    row = known[best[1]]
    return best[1], row["deployment_type"], plain_model(row), row["region"], None


def _rank(row: Row) -> tuple[bool, bool]:
    return row["deployment"] == ANY, row["model"] is None


def _is_models(row: Row, model: str | None) -> bool:
    """Whether a row holds for calls of a model; a row of any deployment names none for a call without."""
    if model is None and row["deployment"] == ANY:
        return row["model"] is None
    return _is_model(row["model"], model)


def _is_model(named: str | None, model: str | None) -> bool:
    """Whether a deployment's model is the one of a call: answers name it with its version, people without."""
    if named is None or model is None:
        return True
    named, model = named.lower(), model.lower()
    if fnmatchcase(model, named):
        return True
    return model.startswith(named) and _VERSION.fullmatch(model.removeprefix(named)) is not None
