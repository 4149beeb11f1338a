"""A TCP proxy that is honest until some bytes have passed, and then forwards nothing more."""

import contextlib
import socket
import threading
from types import TracebackType


class SilentProxy:
    """Entering gives the port to connect to; the sockets stay open in silence until leaving."""

    def __init__(self, port: int, after: bytes) -> None:
        self._port = port
        self._after = after
        self._is_silent = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._server]

    def __enter__(self) -> int:
        threading.Thread(target=self._accept, daemon=True).start()
        port: int = self._server.getsockname()[1]
        return port

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                upstream = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, upstream]
                for pair in ((client, upstream), (upstream, client)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._is_silent.is_set():
                    continue
                target.sendall(data)
                if self._after in data:
                    self._is_silent.set()
