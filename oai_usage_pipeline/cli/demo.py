"""`oai-usage demo`: the whole way once, on this machine, with what to look at in the end."""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from oai_usage_pipeline.embedded.stack import HUB, EmbeddedStack
from oai_usage_pipeline.settings import Settings

if TYPE_CHECKING:
    from oai_usage_pipeline.orchestration.resources import Pipeline

STAGES = 5


@click.command("demo")
@click.option(
    "--events", type=click.IntRange(min=1), default=20_000, show_default=True, help="Events to send."
)
@click.option(
    "--days", type=click.IntRange(min=0), default=3, show_default=True, help="Days they are spread over."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/demo"),
    show_default=True,
    help="Where hub, lake and ledgers are kept; a second run goes on there.",
)
def command(events: int, days: int, folder: Path) -> None:
    """Broker, generated traffic, capture to chargeback through Dagster, ledger comparison, money."""
    started = time.monotonic()
    stack = EmbeddedStack(folder)
    _show_log_lines()
    _stage(1, "Starting the local Event Hubs broker")
    with stack.running() as broker:
        click.echo(f"  {stack.partitions} partitions on 127.0.0.1:{broker.port}, kept in {folder / 'hub'}")
        _stage(2, f"Sending {events:,} calls through the azure-eventhub SDK")
        _send(stack, events, days)
        _stage(3, "Capturing, deriving, aggregating and pricing with Dagster")
        _run(stack)
        _stage(4, "Comparing gold and bronze with the ledger of what was sent")
        is_equal = _compare(stack)
        _stage(5, "What each team is charged")
        _show_chargeback()
    click.echo(f"Done in {time.monotonic() - started:.0f} s.\n")
    if not is_equal:
        raise SystemExit(1)
    _next_steps(folder)


def _send(stack: EmbeddedStack, events: int, days: int) -> None:
    from oai_usage_pipeline.cli.traffic import configured_hub, shown_progress
    from oai_usage_pipeline.traffic.generator import generate
    from oai_usage_pipeline.traffic.ledger import Ledger, LedgerHeader
    from oai_usage_pipeline.traffic.sender import send

    seed, path = stack.next_ledger()
    start = datetime.now(UTC)
    header = LedgerHeader(seed, start.isoformat(), events, days)
    with shown_progress(events) as progress, Ledger(path, header) as ledger:
        send(configured_hub(), generate(seed, start, events, days), ledger, progress=progress)
    click.echo(f"  ledger in {path}")


def _run(stack: EmbeddedStack) -> None:
    from oai_usage_pipeline.embedded.callers import write_subscriptions
    from oai_usage_pipeline.orchestration.instance import dagster_instance
    from oai_usage_pipeline.orchestration.passes import run_until_idle
    from oai_usage_pipeline.orchestration.resources import Pipeline

    pipeline = Pipeline()
    write_subscriptions(stack.reference, stack.seeds, pipeline.fingerprint())
    with dagster_instance() as instance:
        run_until_idle(instance, pipeline, report=click.echo)


def _compare(stack: EmbeddedStack) -> bool:
    from oai_usage_pipeline.cli.tables import show
    from oai_usage_pipeline.embedded.comparison import compare, usage_lines
    from oai_usage_pipeline.orchestration.resources import Pipeline

    pipeline = Pipeline()
    comparison = compare(pipeline.lake(), stack.ledgers, pipeline.fingerprint())
    click.echo()
    show(
        "Usage by team and model (a dash: no call reported tokens)", usage_lines(comparison), group_by="team"
    )
    for figure in ("request_count", "input_tokens", "output_tokens", "total_tokens"):
        gold, ledger = comparison.total(figure)
        click.echo(f"  {figure:<14} gold {gold:>15,}   ledger {ledger:>15,}   difference {gold - ledger:,}")
    differences = comparison.differences
    groups = len(comparison.ledger)
    if differences:
        click.secho(f"Gold differs from the ledger in {len(differences)} figures:", fg="red", bold=True)
        click.echo("\n".join(f"  {difference}" for difference in differences[:20]))
    else:
        click.secho(f"Difference 0 in every figure of {groups} groups (team, operation, model).", fg="green")
    return _check_events(stack, pipeline) and not differences


def _check_events(stack: EmbeddedStack, pipeline: "Pipeline") -> bool:
    from oai_usage_pipeline.embedded.hub_files import HubFiles
    from oai_usage_pipeline.embedded.ledger_check import check_events

    hub = HubFiles(f"{Settings.load().namespace}/{HUB}", stack.folder / "hub" / HUB)
    check = check_events(pipeline.lake(), [hub], stack.ledgers, pipeline.fingerprint())
    click.secho(f"{check.sentence}.", fg="green" if check.holds else "red")
    return check.holds


def _show_chargeback() -> None:
    from oai_usage_pipeline.cli.month import show_statements
    from oai_usage_pipeline.orchestration.resources import Pipeline

    show_statements(Pipeline().lake(), teams_only=True)


def _stage(number: int, title: str) -> None:
    Console(highlight=False).print(f"[bold]{number}/{STAGES}[/bold] {title}")


def _show_log_lines() -> None:
    """The pipeline's own progress lines; Dagster's are in its event log."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("  %(message)s"))
    logger = logging.getLogger("oai_usage_pipeline")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)


def _next_steps(folder: Path) -> None:
    click.echo("What to try next:")
    for what, why in (
        ("make demo", "again: it goes on where this run ended"),
        ("make dev", "live traffic, and the assets in Dagster's UI"),
        (
            f"OAI_USAGE_LAKE_URI={folder / 'lake'} .venv/bin/oai-usage verify",
            "check every promise on this lake",
        ),
    ):
        click.echo(f"  {what:<60} {why}")
