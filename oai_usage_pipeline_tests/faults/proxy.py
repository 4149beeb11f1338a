"""A TCP proxy on loopback that misbehaves on command, while connections are open.

Belongs here: faults of a connection, whatever is spoken on it. Faults that know HTTP requests are in
`store_proxy`. Not a published package: those found either need a server in another language
(toxiproxy) or can only be slow.

    with Proxy(broker.port) as proxy:
        connect_to(proxy.port)
        proxy.behave(Stall())         # open, but nothing passes; what came meanwhile passes later
        proxy.behave(ResetAfter(100)) # 100 more bytes to the client, then RST on both sides
        proxy.behave(Honest())
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

CHUNK = 65536
READER_LIMIT = 16 * 2**20


@dataclass(frozen=True)
class Honest:
    """Everything passes at once."""


@dataclass(frozen=True)
class Drop:
    """Open connections are closed, and new ones as soon as they are accepted."""


@dataclass(frozen=True)
class Stall:
    """Connections are accepted and stay open; nothing passes until another mode is set.

    With `after`, everything passes until that text was seen, in either direction.
    """

    after: bytes = b""


@dataclass(frozen=True)
class Throttle:
    """So many bytes a second pass, in each direction of each connection."""

    bytes_per_second: float


@dataclass(frozen=True)
class ResetAfter:
    """So many bytes more pass to the clients, all connections together; then all are reset (RST), once.

    After that the proxy is honest again.
    """

    byte_count: int


Mode = Honest | Drop | Stall | Throttle | ResetAfter


@dataclass(eq=False)
class Connection:
    """One client with its way to the server behind."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    upstream_reader: asyncio.StreamReader
    upstream_writer: asyncio.StreamWriter

    def close(self) -> None:
        """End both sides in good order (FIN)."""
        for writer in (self.writer, self.upstream_writer):
            writer.close()

    def reset(self) -> None:
        """End both sides at once (RST), whatever is still on its way."""
        for writer in (self.writer, self.upstream_writer):
            _reset(writer)


class Proxy:
    """Between clients and 127.0.0.1:`target_port`; entering starts it on a free port, `port`."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.connection_count = 0
        self._mode: Mode = Honest()
        self._changed = asyncio.Event()
        self._remaining = 0
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> int:
        """Listen on a free port, and say which."""
        self._thread.start()
        self.port = self._run(self._listen())
        return self.port

    def stop(self) -> None:
        """Close all connections and listen no more."""
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def aim(self, target_port: int) -> None:
        """New connections go there from now on: the server was started again on another port."""
        self.target_port = target_port

    def behave(self, mode: Mode) -> None:
        """Behave like this from now on, on open connections too; in force when the call returns."""
        self._run(self._switch(mode))

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    async def _switch(self, mode: Mode) -> None:
        self._mode = mode
        if isinstance(mode, ResetAfter):
            self._remaining = mode.byte_count
        if isinstance(mode, Drop):
            for each in list(self._connections):
                each.close()
        self._changed.set()
        self._changed = asyncio.Event()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=READER_LIMIT)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _stop(self) -> None:
        self._server.close()
        for each in list(self._connections):
            each.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connection_count += 1
        try:
            if not isinstance(self._mode, Drop):
                await self._connect(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The client or the server went away, or the proxy ends.
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection("127.0.0.1", self.target_port, limit=READER_LIMIT)
        connection = Connection(reader, writer, *upstream)
        self._connections.add(connection)
        try:
            await self._serve(connection)
        finally:
            connection.close()
            self._connections.discard(connection)

    async def _serve(self, connection: Connection) -> None:
        """Serve a connection until one side ends; a protocol's own proxy does it request by request."""
        pumps = [
            asyncio.ensure_future(self._pump(connection, to_client=to_client)) for to_client in (False, True)
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, connection: Connection, *, to_client: bool) -> None:
        source = connection.upstream_reader if to_client else connection.reader
        while data := await source.read(CHUNK):
            await self._pass(connection, data, to_client=to_client)

    async def _pass(self, connection: Connection, data: bytes, *, to_client: bool) -> None:
        """Let bytes through in the way that the mode of the moment has."""
        writer = connection.writer if to_client else connection.upstream_writer
        while data:
            mode = self._mode
            if isinstance(mode, Stall):
                if mode.after and mode.after not in data:
                    await _write(writer, data)
                    return
                if mode.after:
                    await _write(writer, data)
                    await self._switch(Stall())
                    return
                await self._changed.wait()
            elif isinstance(mode, Throttle):
                size = max(1, int(mode.bytes_per_second / 10))
                await _write(writer, data[:size])
                data = data[size:]
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), size / mode.bytes_per_second)
            elif isinstance(mode, ResetAfter) and to_client and len(data) >= self._remaining:
                await _write(writer, data[: self._remaining])
                await self._reset_all()
                raise ConnectionResetError
            else:
                if isinstance(mode, ResetAfter) and to_client:
                    self._remaining -= len(data)
                await _write(writer, data)
                return

    async def _reset_all(self) -> None:
        for each in list(self._connections):
            each.reset()
        await self._switch(Honest())


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: without lingering, nothing that is on its way is delivered in order first."""
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
