"""TLS in front of the broker, as the azure-eventhub SDK expects it of a real namespace.

Belongs here: a relay that ends TLS. The broker itself has no TLS.
"""

import asyncio
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from oai_usage_pipeline_tests.self_signed import self_signed

# The port that the SDK insists on when it uses TLS.
AMQPS_PORT = 5671
CHUNK = 256 * 1024


class TlsFront:
    """Relays `host:5671` with TLS to a port of the broker, in a thread of its own."""

    def __init__(self, host: str, broker_port: int, folder: Path) -> None:
        self.certificate = folder / "certificate.pem"
        self._host, self._broker_port = host, broker_port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made = self_signed(host)
        self.certificate.write_bytes(made.certificate)
        key_file = folder / "key.pem"
        key_file.write_bytes(made.key)
        self._context.load_cert_chain(self.certificate, key_file)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._stop = asyncio.Event()
        self._listening = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        finally:
            self._listening.set()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._relay, self._host, AMQPS_PORT, ssl=self._context)
        async with server:
            self._listening.set()
            await self._stop.wait()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        ways = [_copy(reader, back_writer), _copy(back_reader, writer)]
        tasks = [asyncio.ensure_future(way) for way in ways]
        # Whichever side ends first, the other goes with it.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for end in (writer, back_writer):
            end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
