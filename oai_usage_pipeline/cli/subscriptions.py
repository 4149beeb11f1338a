"""`oai-usage subscriptions`: check, land and import the reference files that people keep.

Belongs here: options and what is printed. Reading, landing and asking Azure belong in `reference`.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
import polars as pl


@dataclass(frozen=True)
class _Subscription:
    """A row of `subscriptions` as it is shown."""

    subscription: str
    name: str | None
    team: str
    cost_centre: str | None
    owner: str | None
    environment: str | None
    valid_from: str | None
    valid_to: str | None


@dataclass(frozen=True)
class _Deployment:
    """A row of `deployments` as it is shown."""

    deployment: str
    model: str | None
    deployment_type: str
    region: str | None
    ptu_count: int | None
    capacity_tokens_per_hour: int | None
    valid_from: str | None
    valid_to: str | None


@click.group("subscriptions")
def command() -> None:
    """Check, land and import who is behind a subscription (see docs/REFERENCE.md)."""


@command.command("check")
def check() -> None:
    """Check the reference files and show their rows; exit 1 with all that is wrong with them."""
    from oai_usage_pipeline.cli.tables import show
    from oai_usage_pipeline.reference.landing import read_reference
    from oai_usage_pipeline.settings import Settings
    from oai_usage_pipeline.tables import DEPLOYMENTS, PRICES, SUBSCRIPTIONS

    folder = Settings.load().reference_location
    rows = {contract.name: found for contract, found in read_reference(folder)}
    show("Subscriptions", [_Subscription(**row) for row in _shown(rows[SUBSCRIPTIONS.name])])
    show("Deployments", [_Deployment(**row) for row in _shown(rows[DEPLOYMENTS.name])])
    prices = rows[PRICES.name]
    own = prices.filter("is_override").height
    click.echo(f"{prices.height:,} prices, {own:,} of them from prices.csv. The files in {folder} are valid.")


@command.command("land")
def land() -> None:
    """Bring the tables up to date with the reference files now, and say which changed."""
    from oai_usage_pipeline.lake.lake import Lake
    from oai_usage_pipeline.reference.landing import land_reference
    from oai_usage_pipeline.settings import Settings

    settings = Settings.load()
    for landed in land_reference(Lake(settings.lake_location), settings.reference_location):
        change = "replaced" if landed.is_changed else "unchanged"
        click.echo(f"{landed.name:<13} {change:<9} {landed.row_count:>6,} rows, version {landed.version}")


@command.command("import")
@click.option("--from-apim", is_flag=True, required=True, help="Ask Azure's management API for them.")
@click.option("--subscription-id", required=True, metavar="ID", help="Azure subscription of the service.")
@click.option("--resource-group", required=True, metavar="NAME", help="Resource group of the service.")
@click.option("--service", required=True, metavar="NAME", help="Name of the API Management service.")
@click.option(
    "--endpoint",
    default="https://management.azure.com",
    show_default=True,
    metavar="URL",
    help="The management API of another Azure cloud.",
)
def import_(
    *, from_apim: bool, subscription_id: str, resource_group: str, service: str, endpoint: str
) -> None:
    """Write subscriptions that subscriptions.csv lacks to subscriptions.imported.csv, to be filled in."""
    del from_apim
    from oai_usage_pipeline.cli.tables import show
    from oai_usage_pipeline.reference.apim import Service, entra_token, list_subscriptions
    from oai_usage_pipeline.reference.imported import new_subscriptions, write_imported
    from oai_usage_pipeline.settings import Settings

    # The sign-in library would tell the terminal about each way that it tried.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    folder = Settings.load().reference_location
    asked = Service(subscription_id, resource_group, service)
    found = list(list_subscriptions(asked, entra_token(endpoint), endpoint))
    rows = new_subscriptions(found, folder)
    if not rows:
        click.echo(f"Nothing is new: subscriptions.csv names every subscription of {service}.")
        return
    path = write_imported(rows, folder)
    show(f"New subscriptions of {service}", rows)
    click.echo(
        f"{len(rows):,} of {len(found):,} subscriptions are new. Fill in their team in {path} and move the "
        "lines to subscriptions.csv."
    )


def _shown(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows for people: hours as the files write them."""
    from oai_usage_pipeline.reference.cells import shown_hour

    def text(value: Any) -> Any:  # noqa: ANN401 - a cell of whatever column
        return shown_hour(value) if isinstance(value, datetime) else value

    return [{column: text(value) for column, value in row.items()} for row in rows.iter_rows(named=True)]
