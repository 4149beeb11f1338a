"""`oai-usage traffic`: send generated calls to the configured hub and keep a ledger of them.

Options, progress and signals only; events are made and sent in `oai_usage_pipeline.traffic`.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.settings import Settings
from oai_usage_pipeline.traffic.generator import generate
from oai_usage_pipeline.traffic.ledger import Ledger, LedgerHeader
from oai_usage_pipeline.traffic.pace import Pace
from oai_usage_pipeline.traffic.sender import Hub, send

FOREVER_RATE = 20.0
"""Events a second of `--forever` without `--rate`: a lively gateway that a laptop doesn't notice."""

_LINE_EVERY = 5000


@click.command("traffic")
@click.option("--events", "count", type=click.IntRange(min=1), metavar="N", help="How many events to send.")
@click.option(
    "--forever", is_flag=True, help=f"Send until interrupted, {FOREVER_RATE:g} a second unless --rate."
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="R", help="Events a second.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed and start, same bytes.")
@click.option("--days", type=click.IntRange(min=0), default=0, help="Date the events over the last D days.")
@click.option("--start-at", metavar="TIME", help="When sending starts, ISO 8601 with a zone.  [default: now]")
@click.option(
    "--ledger",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="New file for what was sent and what must come out of it (JSON lines).",
)
def command(
    *,
    count: int | None,
    forever: bool,
    rate: float | None,
    seed: int,
    days: int,
    start_at: str | None,
    path: Path,
) -> None:
    """Send generated Azure OpenAI calls to the configured Event Hub, and keep a ledger of them."""
    if forever == (count is not None):
        raise click.UsageError("Give either --events N or --forever.")
    rate = FOREVER_RATE if forever and rate is None else rate
    start = _instant(start_at)
    events = generate(seed, start, count, days, rate)
    hub = configured_hub()
    with (
        _stop_on_signals() as stop,
        shown_progress(count) as progress,
        Ledger(path, LedgerHeader(seed, start.isoformat(), count, days, rate)) as ledger,
    ):
        sent = send(hub, events, ledger, Pace(rate, stop), progress)
    click.echo(f"{sent:,} events sent, ledger in {path}")


def configured_hub() -> Hub:
    """The hub that the settings name; raises ConfigurationError."""
    settings = Settings.load()
    return Hub(settings.event_hub_name, settings.connection_string, settings.event_hub_namespace)


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = datetime.min
    if instant.tzinfo is None:
        raise ConfigurationError(
            f"--start-at {text!r} is no instant: expected ISO 8601 with a zone, like 2025-06-01T12:00:00Z"
        )
    return instant.astimezone(UTC)


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM end the sending between two batches, so the ledger stays consistent.

    Set explicitly: a shell starts background jobs with SIGINT ignored.
    """
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shown_progress(count: int | None) -> Iterator[Callable[[int], None]]:
    """A live bar on a terminal, a line every few thousand events elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    columns = (SpinnerColumn(), TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("sending", total=count)
        yield lambda sent: bar.update(task, completed=sent)


def _lines() -> Callable[[int], None]:
    shown = 0

    def show(sent: int) -> None:
        nonlocal shown
        if sent // _LINE_EVERY > shown:
            shown = sent // _LINE_EVERY
            click.echo(f"{sent:,} events sent", err=True)

    return show
