"""`oai-usage broker`: the local Event Hubs stand-in, in the foreground until it is told to stop.

Belongs here: options, and turning the broker's errors into messages. What it does lives in `broker`.
"""

import logging
from pathlib import Path

import click

from oai_usage_pipeline.broker.errors import BrokerError
from oai_usage_pipeline.broker.hub import MAX_PARTITIONS, Retention
from oai_usage_pipeline.broker.server import LOOPBACK, Settings, serve
from oai_usage_pipeline.broker.tokens import SasKey
from oai_usage_pipeline.errors import ConfigurationError


@click.command("broker")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5672, show_default=True, help="0 picks a free port."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The folder that keeps the events; made if it is not there.",
)
@click.option("--hub", "hubs", multiple=True, required=True, help="The name of a hub; may be repeated.")
@click.option(
    "--partitions",
    type=click.IntRange(1, MAX_PARTITIONS),
    multiple=True,
    default=(4,),
    show_default=True,
    help="Once for all hubs, or once for each --hub in the same order. A hub can gain partitions later.",
)
@click.option(
    "--sas-key", metavar="NAME=KEY", help="Check shared access signatures; without it any is accepted."
)
@click.option("--retention-events", type=click.IntRange(1), help="Keep only so many events a partition.")
@click.option("--retention-hours", type=click.FloatRange(0, min_open=True), help="Keep events only so long.")
@click.option("--host", default=LOOPBACK, show_default=True, help="The address to listen on.")
@click.option(
    "--allow-other-hosts", is_flag=True, help="Allow a --host that others can reach (there is no TLS)."
)
@click.option(
    "--first-sequence",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The number of the first event in the partitions of a hub that is made now.",
)
@click.option(
    "--misbehave",
    multiple=True,
    metavar="KIND[:KEY=VALUE,...]",
    help="For tests only: a fault to show, see docs/BROKER.md; may be repeated.",
)
@click.option(
    "--misbehave-seed", type=int, default=0, show_default=True, help="What chance in --misbehave follows."
)
@click.option("--verbose", is_flag=True, help="Log why connections are closed.")
def command(
    port: int,
    data: Path,
    hubs: tuple[str, ...],
    partitions: tuple[int, ...],
    sas_key: str | None,
    retention_events: int | None,
    retention_hours: float | None,
    host: str,
    allow_other_hosts: bool,
    first_sequence: int,
    misbehave: tuple[str, ...],
    misbehave_seed: int,
    verbose: bool,
) -> None:
    """Run a local Event Hubs-compatible broker and print its connection string once it listens."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s"
    )
    settings = Settings(
        data=data,
        hubs=_hubs(hubs, partitions),
        port=port,
        host=host,
        sas_key=None if sas_key is None else _sas_key(sas_key),
        retention=Retention(retention_events, retention_hours),
        allow_other_hosts=allow_other_hosts,
        first_sequence=first_sequence,
        misbehave=misbehave,
        misbehave_seed=misbehave_seed,
    )
    try:
        serve(settings, on_listening=click.echo)
    except BrokerError as error:
        raise ConfigurationError(str(error)) from None


def _hubs(names: tuple[str, ...], partitions: tuple[int, ...]) -> dict[str, int]:
    if len({name.lower() for name in names}) < len(names):
        raise ConfigurationError("Two hubs have the same name: give each --hub a name of its own.")
    if len(partitions) == 1:
        partitions *= len(names)
    if len(partitions) != len(names):
        raise ConfigurationError(
            f"Found {len(names)} hubs and {len(partitions)} partition counts: give --partitions once for "
            "all, or once for each --hub."
        )
    return dict(zip(names, partitions, strict=True))


def _sas_key(text: str) -> SasKey:
    name, equals, key = text.partition("=")
    if not (name and equals and key):
        raise ConfigurationError("--sas-key has the form NAME=KEY.")
    return SasKey(name, key)
