"""`deployments.csv`: how a deployment is billed, and from when until when.

Belongs here: the columns of that file and what they may hold. What a deployment's hour costs is for `charge`.
"""

from pathlib import Path
from typing import Annotated, Self

import polars as pl
from pydantic import model_validator

from oai_usage_pipeline.reference.cells import Count, Exact, Validity, one_of, shown_hour
from oai_usage_pipeline.reference.files import read_table
from oai_usage_pipeline.tables import (
    DEFAULT_DEPLOYMENTS,
    DEPLOYMENT_TYPES,
    DEPLOYMENTS,
    FIRST_DATE,
    PROVISIONED,
)

FILE = "deployments.csv"
ALL_OTHERS = "*"
"""The deployment of the row that holds for every deployment without one of its own."""


class DeploymentRow(Validity):
    """One row: a deployment by its exact name, or `*` for all others, and its type.

    A row that names a model holds for the calls of that model only.
    """

    deployment: Exact
    model: Exact | None = None
    deployment_type: Annotated[str, one_of(DEPLOYMENT_TYPES)]
    region: Exact | None = None
    ptu_count: Count | None = None
    capacity_tokens_per_hour: Count | None = None

    @model_validator(mode="after")
    def _units_are_for_provisioned_ones(self) -> Self:
        is_provisioned = self.deployment_type.endswith(PROVISIONED)
        if is_provisioned and self.ptu_count is None:
            raise ValueError(
                f"a {self.deployment_type} deployment is billed by units: ptu_count is required, but empty"
            )
        if is_provisioned:
            self._begins()
        if is_provisioned and self.deployment == ALL_OTHERS:
            raise ValueError(
                f"units belong to one deployment: a {self.deployment_type} row needs its name instead of "
                f"{ALL_OTHERS}"
            )
        if not is_provisioned and (self.ptu_count or self.capacity_tokens_per_hour):
            raise ValueError(
                f"a {self.deployment_type} deployment has no units: leave ptu_count and "
                f"capacity_tokens_per_hour empty, or correct deployment_type to one ending in {PROVISIONED}"
            )
        return self

    def _begins(self) -> None:
        if self.valid_from is None:
            raise ValueError(
                f"a {self.deployment_type} deployment is paid by the hour, used or not: valid_from is "
                "required, but empty; write the hour at which it was made, such as 2026-04-01T08:00Z"
            )
        if self.valid_from.date() < FIRST_DATE:
            raise ValueError(
                f"valid_from {shown_hour(self.valid_from)} is before there was any Azure OpenAI "
                f"({FIRST_DATE}): its hours would be charged since then"
            )


def read_deployments(folder: Path) -> pl.DataFrame:
    """The rows of the folder's file in the columns of DEPLOYMENTS; `default_deployments` without a file.

    Raises ConfigurationError with everything that is wrong with it.
    """
    path = folder / FILE
    if not path.exists():
        return default_deployments()
    return read_table(path, DEPLOYMENTS, DeploymentRow, key=("deployment", "model"))


def default_deployments() -> pl.DataFrame:
    """The rows of DEFAULT_DEPLOYMENTS as a frame."""
    return pl.DataFrame(DEFAULT_DEPLOYMENTS, schema=DEPLOYMENTS.schema)
