"""The running broker: listening, serving until told to stop, and ending cleanly.

Belongs here: sockets and signals. The broker takes its settings as values; options and messages for
people are the command's business.
"""

import asyncio
import contextlib
import functools
import ipaddress
import resource
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from oai_usage_pipeline.broker.connection import Connection
from oai_usage_pipeline.broker.errors import BrokerError
from oai_usage_pipeline.broker.hub import Retention
from oai_usage_pipeline.broker.namespace import Namespace
from oai_usage_pipeline.broker.tokens import SasKey

LOOPBACK = "127.0.0.1"
# What a connection string names when no key is checked.
ANY_KEY = SasKey("RootManageSharedAccessKey", "not-checked")
TRIM_INTERVAL = 1.0


class Settings(NamedTuple):
    """How to run a broker; hubs map names to partition counts, port 0 picks a free one.

    `misbehave` are orders as `fault.fault_of` reads them, for tests only.
    """

    data: Path
    hubs: Mapping[str, int]
    port: int = 0
    host: str = LOOPBACK
    sas_key: SasKey | None = None
    retention: Retention = Retention()
    allow_other_hosts: bool = False
    first_sequence: int = 0
    misbehave: tuple[str, ...] = ()
    misbehave_seed: int = 0


def connection_string(host: str, port: int, key: SasKey | None) -> str:
    """Return what clients connect with; UseDevelopmentEmulator means: without TLS."""
    name, secret = key or ANY_KEY
    shown = f"[{host}]" if ":" in host else host
    return (
        f"Endpoint=sb://{shown}:{port};SharedAccessKeyName={name};SharedAccessKey={secret};"
        "UseDevelopmentEmulator=true;"
    )


def serve(settings: Settings, on_listening: Callable[[str], None]) -> None:
    """Run a broker until SIGTERM or SIGINT; `on_listening` gets its connection string.

    Raises BrokerError when the address or the data folder can't be used.
    """
    if not (settings.allow_other_hosts or _is_loopback(settings.host)):
        raise BrokerError(
            f"{settings.host} is not a loopback address, and the broker has no TLS: anyone who reaches it "
            "can read everything. Say so explicitly if that is what you want."
        )
    _raise_file_limit()
    kind = _kind_of_connection(settings)
    namespace = Namespace(settings.data, settings.hubs, settings.retention, settings.first_sequence)
    try:
        asyncio.run(_serve(settings, namespace, kind, on_listening))
    finally:
        namespace.close()


def _kind_of_connection(settings: Settings) -> Callable[..., Connection]:
    """The class of connections; an honest broker doesn't load what spoils them."""
    if not settings.misbehave:
        return Connection
    from oai_usage_pipeline.broker.misbehaviour import Misbehaviour
    from oai_usage_pipeline.broker.spoiled_connection import SpoiledConnection

    misbehaviour = Misbehaviour(settings.misbehave, settings.misbehave_seed)
    return functools.partial(SpoiledConnection, misbehaviour=misbehaviour)


async def _serve(
    settings: Settings,
    namespace: Namespace,
    kind: Callable[..., Connection],
    on_listening: Callable[[str], None],
) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    connections: set[Connection] = set()

    def accept() -> Connection:
        connection = kind(namespace, settings.sas_key, connections.discard)
        connections.add(connection)
        return connection

    try:
        server = await loop.create_server(accept, settings.host, settings.port, backlog=1024)
    except OSError as error:
        raise BrokerError(f"Can't listen on {settings.host}:{settings.port}: {error.strerror}.") from None
    trimming = loop.create_task(_trim(namespace))
    port = server.sockets[0].getsockname()[1]
    on_listening(connection_string(settings.host, port, settings.sas_key))
    await stopping.wait()
    trimming.cancel()
    server.close()
    await _part(connections)


async def _trim(namespace: Namespace) -> None:
    """Enforce retention by age also where nothing is written."""
    while True:
        await asyncio.sleep(TRIM_INTERVAL)
        namespace.trim()


async def _part(connections: set[Connection]) -> None:
    """Tell the clients, give them a moment to take it, and go."""
    for connection in list(connections):
        connection.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while connections:
                await asyncio.sleep(0.01)
    for connection in list(connections):
        connection.abort()
    await asyncio.sleep(0)


def _raise_file_limit() -> None:
    """Each partition and each client takes file handles; the usual limit is lower than it needs to be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
