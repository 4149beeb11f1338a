"""The proxy does to a connection what it says, so that the fault tests try what they name."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from oai_usage_pipeline_tests.faults.proxy import Drop, Honest, Proxy, ResetAfter, Stall, Throttle

QUIET = 0.2
"""Seconds in which loopback would have delivered what is on its way."""


class Echo(socketserver.BaseRequestHandler):
    """Sends back what comes."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with Proxy(server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        yield client


def echoed(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return receive(client, len(data))


def receive(client: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (data := client.recv(count - len(got))):
        got += data
    return got


def is_silent(client: socket.socket) -> bool:
    client.settimeout(QUIET)
    try:
        return client.recv(1) is None
    except TimeoutError:
        return True
    finally:
        client.settimeout(10)


def test_an_honest_proxy_passes_everything(client: socket.socket) -> None:
    data = bytes(range(256)) * 4096
    threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
    assert receive(client, len(data)) == data


def test_dropping_closes_open_connections_and_new_ones(proxy: Proxy, client: socket.socket) -> None:
    assert echoed(client, b"before") == b"before"
    proxy.behave(Drop())
    assert client.recv(1) == b""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as late:
        assert late.recv(1) == b""
    proxy.behave(Honest())
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as again:
        assert echoed(again, b"after") == b"after"


def test_stalling_keeps_the_connection_and_holds_the_bytes_back(proxy: Proxy, client: socket.socket) -> None:
    assert echoed(client, b"before") == b"before"
    proxy.behave(Stall())
    client.sendall(b"held")
    assert is_silent(client)
    proxy.behave(Honest())
    assert receive(client, 4) == b"held"


def test_a_stall_begins_after_the_text_that_it_waits_for(proxy: Proxy, client: socket.socket) -> None:
    proxy.behave(Stall(after=b"enough"))
    assert echoed(client, b"more") == b"more"
    client.sendall(b"enough")
    assert is_silent(client)
    proxy.behave(Honest())
    assert receive(client, 6) == b"enough"


def test_a_throttle_lets_so_many_bytes_a_second_pass(proxy: Proxy, client: socket.socket) -> None:
    proxy.behave(Throttle(bytes_per_second=1000))
    began = time.monotonic()
    assert echoed(client, b"x" * 300) == b"x" * 300
    # A lower bound only: a busy machine may be slower, never faster. Two directions overlap.
    assert time.monotonic() - began >= 0.2
    proxy.behave(Honest())
    assert echoed(client, b"y" * 10_000) == b"y" * 10_000


def test_a_reset_cuts_in_mid_frame_and_is_over(proxy: Proxy, client: socket.socket) -> None:
    proxy.behave(ResetAfter(4))
    client.sendall(b"frame of data")
    with pytest.raises(ConnectionResetError):
        receive(client, 13)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as again:
        assert echoed(again, b"after") == b"after"


def test_a_server_that_is_not_there_is_a_closed_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Proxy(port) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        assert client.recv(1) == b""
