"""Real receivers on loopback: a webhook, the same over TLS, and a mail server. They keep what they are sent.

Belongs here: servers. What must arrive at them is for the tests.
"""

import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from oai_usage_pipeline_tests.self_signed import self_signed


@dataclass
class Webhook:
    """An HTTP server that `waits`, then answers with `status`; `bodies` and `paths` are what it was sent."""

    address: str = ""
    status: int = 200
    waits: Callable[[], object] = bool
    location: str | None = None
    paths: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def webhook(certificate: Path | None = None) -> Iterator[Webhook]:
    """A running webhook; with a certificate over TLS."""
    kept = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.paths.append(self.path)
            kept.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            kept.waits()
            self.send_response(kept.status)
            if kept.location:
                self.send_header("Location", kept.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    kept.address = f"127.0.0.1:{server.server_address[1]}"
    with _running(server):
        yield kept


@dataclass
class Mailbox:
    """A mail server's address, and what it was sent."""

    address: str = ""
    mails: list[EmailMessage] = field(default_factory=list)


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A running SMTP server that takes everything."""
    kept = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 local")
            while word := self.rfile.readline().strip().upper():
                if word == b"DATA":
                    self._say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    kept.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))
                self._say("221 bye" if word == b"QUIT" else "250 fine")
                if word == b"QUIT":
                    return

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    kept.address = f"127.0.0.1:{server.server_address[1]}"
    with _running(server):
        yield kept


@contextmanager
def _running(server: socketserver.TCPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate_for_loopback(folder: Path) -> Path:
    """Key and certificate of 127.0.0.1 in one file, signed by itself."""
    file = folder / "loopback.pem"
    file.write_bytes(b"".join(self_signed("127.0.0.1")))
    return file
