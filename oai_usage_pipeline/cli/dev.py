"""`oai-usage dev`: the embedded default, live, with Dagster's UI, until Ctrl-C."""

import shutil
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from oai_usage_pipeline.embedded.children import child, interruptible
from oai_usage_pipeline.embedded.stack import EmbeddedStack
from oai_usage_pipeline.errors import PipelineError


class DevEnded(PipelineError):
    """A part of the live stack ended by itself."""


@click.command("dev")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    help="Calls a second.",
)
@click.option(
    "--port", type=int, default=3000, show_default=True, help="Port of Dagster's UI; 0 picks a free one."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/dev"),
    show_default=True,
    help="Where hub, lake, ledgers and Dagster's runs are kept.",
)
def command(rate: float, port: int, folder: Path) -> None:
    """Broker, continuous traffic and `dagster dev` with sensors on, until Ctrl-C."""
    from oai_usage_pipeline.embedded.callers import write_subscriptions
    from oai_usage_pipeline.orchestration.instance import dagster_home
    from oai_usage_pipeline.orchestration.resources import Pipeline

    stack = EmbeddedStack(folder)
    port = port or _free_port()
    with interruptible(), ExitStack() as running:
        try:
            broker = running.enter_context(stack.running())
            dagster_home()
            seed, ledger = stack.next_ledger()
            write_subscriptions(stack.reference, [*stack.seeds, seed], Pipeline().fingerprint())
            click.echo(
                f"Broker:   127.0.0.1:{broker.port}, {stack.partitions} partitions, kept in {folder / 'hub'}"
            )
            click.echo(f"Traffic:  {rate:g} calls a second, ledger in {ledger}")
            click.echo(f"Dagster:  http://127.0.0.1:{port} (up in about 15 s)")
            click.echo(f"Lake:     {stack.lake}\nCtrl-C ends all of it.")
            traffic = [*_ourselves(), "traffic", "--forever", "--rate", str(rate), "--seed", str(seed)]
            running.enter_context(child([*traffic, "--ledger", str(ledger)]))
            dagster = running.enter_context(child(_dagster_dev(port)))
            status = dagster.wait()
        except KeyboardInterrupt:
            click.echo("\nEnding Dagster, traffic and broker ...")
            return
    raise DevEnded(f"`dagster dev` ended by itself with status {status}: its messages above say why")


def _ourselves() -> list[str]:
    return [sys.executable, "-c", "from oai_usage_pipeline.cli import main; main()"]


def _dagster_dev(port: int) -> list[str]:
    dagster = shutil.which("dagster", path=str(Path(sys.executable).parent)) or "dagster"
    place = ["--host", "127.0.0.1", "--port", str(port)]
    return [dagster, "dev", "-m", "oai_usage_pipeline.definitions", *place, "--log-level", "warning"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
