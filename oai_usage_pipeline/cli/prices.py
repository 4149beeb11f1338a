"""`oai-usage prices`: look at the prices in force, and fetch Azure's retail prices of now.

Belongs here: options and what is printed. Prices and their history belong in `reference`.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from oai_usage_pipeline.reference.price_refresh import Refreshed

_MOST_SHOWN = 10
_MOST_REGIONS = 2


@dataclass(frozen=True)
class _Shown:
    """A price as it is shown; regions of one price share a line."""

    model: str
    type: str
    region: str
    bucket: str
    price: str
    per: str
    since: str | None
    until: str | None
    name: str


@click.group("prices")
def command() -> None:
    """Look at prices, and fetch Azure's retail prices (see docs/PRICES.md)."""


@command.command("list")
@click.option("--model", metavar="GLOB", default="*", help="Models, such as 'gpt-4o*'.  [default: all]")
@click.option("--type", "deployment_type", metavar="TYPE", help="Deployment type, such as GlobalStandard.")
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%MZ"]),
    help="Day or hour (UTC) whose prices are shown.  [default: now]",
)
def show_prices(model: str, deployment_type: str | None, at: datetime | None) -> None:
    """Show the prices that are in force: your own, which win, and the retail prices."""
    from oai_usage_pipeline.cli.tables import show
    from oai_usage_pipeline.reference.prices import price_rows
    from oai_usage_pipeline.settings import Settings

    instant = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    rows = [
        row
        for row in price_rows(Settings.load().reference_location).to_dicts()
        if _holds(row, instant)
        and _is_meant(row["model"], model.lower())
        and deployment_type in (None, row["deployment_type"])
    ]
    currency = f" in {rows[0]['currency']}" if rows else ""
    show(f"Prices{currency} at {instant:%Y-%m-%d %H:%M} UTC", _lines(rows))
    click.echo(f"{len(rows):,} prices, {sum(row['is_override'] for row in rows):,} of them your own.")


@command.command("refresh")
@click.option("--currency", metavar="CODE", help="Such as EUR.  [default: that of your prices, or USD]")
@click.option("--url", metavar="URL", help="Another address of the API, such as a mirror.")
def refresh(currency: str | None, url: str | None) -> None:
    """Fetch Azure's retail prices of now into prices.retail.csv; earlier prices are ended, not lost."""
    from rich.console import Console

    from oai_usage_pipeline.reference.price_refresh import refresh_prices
    from oai_usage_pipeline.reference.retail_prices import URL
    from oai_usage_pipeline.settings import Settings

    folder = Settings.load().reference_location
    console = Console(stderr=True)
    with console.status("Asking for Azure's retail prices ...") as status:

        def progress(pages: int, lines: int) -> None:
            status.update(f"Azure's retail prices: page {pages:,}, {lines:,} lines")

        refreshed = refresh_prices(folder, currency.upper() if currency else None, url or URL, progress)
    _report(refreshed)


def _holds(row: dict[str, Any], at: datetime) -> bool:
    begins, ends = row["valid_from"], row["valid_to"]
    return (begins is None or begins <= at) and (ends is None or at < ends)


def _is_meant(pattern: str, asked: str) -> bool:
    """A glob finds names and patterns; a name also finds the patterns that match it."""
    return fnmatchcase(pattern, asked) or fnmatchcase(asked, pattern)


def _lines(rows: list[dict[str, Any]]) -> list[_Shown]:
    regions: dict[_Shown, list[str]] = defaultdict(list)
    for row in rows:
        regions[_shown(row)].append(row["region"])
    lines = [_Shown(**{**vars(line), "region": _few(sorted(found))}) for line, found in regions.items()]
    return sorted(lines, key=lambda line: (line.model, line.type, line.bucket, line.region))


def _shown(row: dict[str, Any]) -> _Shown:
    details = (row["service_tier"], row["image_size"], row["image_quality"])
    return _Shown(
        model=row["model"],
        type=row["deployment_type"],
        region="",
        bucket=" ".join(part for part in (row["bucket"], *details) if part),
        price=_digits(row["price"]),
        per=row["unit"],
        since=_day(row["valid_from"]),
        until=_day(row["valid_to"]),
        name=row["price_id"] if row["is_override"] else "retail",
    )


def _few(regions: list[str]) -> str:
    more = len(regions) - _MOST_REGIONS
    return ", ".join(regions[:_MOST_REGIONS]) + (f" and {more} more" if more > 0 else "")


def _digits(price: Decimal) -> str:
    return f"{price.normalize():f}"


def _day(instant: datetime | None) -> str | None:
    if instant is None:
        return None
    return f"{instant:%Y-%m-%d %H:%M}".removesuffix(" 00:00")


def _report(refreshed: "Refreshed") -> None:
    merged, offers = refreshed.merged, refreshed.offers
    click.echo(f"{refreshed.path}: {len(merged.prices):,} prices, {len(offers.prices):,} of them listed now.")
    for what, prices in (
        ("new", merged.added),
        ("ended, as the price changed", merged.ended),
        ("corrected: the list contradicts them from their first day on", merged.corrected),
        ("no longer listed, and kept", merged.unlisted),
    ):
        _name(what, [f"{price.name} {_digits(price.price)} {price.unit}" for price in prices])
    for reason, meters in sorted(offers.left_out.items()):
        click.echo(f"{len(meters):>6,} meters left out: {reason}")
    for reason, meters in sorted(offers.not_understood.items()):
        _name(f"meters NOT UNDERSTOOD, so without a price: {reason}", sorted(meters), most=None)


def _name(what: str, names: list[str], most: int | None = _MOST_SHOWN) -> None:
    if not names:
        return
    click.echo(f"{len(names):>6,} {what}")
    for name in names[:most]:
        click.echo(f"       {name}")
    if most is not None and len(names) > most:
        click.echo(f"       ... and {len(names) - most:,} more")
