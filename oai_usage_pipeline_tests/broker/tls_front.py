"""TLS in front of the broker, as the azure-eventhub SDK expects it of a real namespace.

Belongs here: a certificate made on the spot and a relay that ends TLS. The broker itself has no TLS.
"""

import asyncio
import datetime
import ipaddress
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# The port that the SDK insists on when it uses TLS.
AMQPS_PORT = 5671
CHUNK = 256 * 1024


class TlsFront:
    """Relays `host:5671` with TLS to a port of the broker, in a thread of its own."""

    def __init__(self, host: str, broker_port: int, folder: Path) -> None:
        self.certificate = folder / "certificate.pem"
        self._host, self._broker_port = host, broker_port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key = _write_certificate(host, self.certificate)
        key_file = folder / "key.pem"
        key_file.write_bytes(key)
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


def _write_certificate(host: str, file: Path) -> bytes:
    """Write a self-signed certificate for an address; returns its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
