"""The store's proxy fails the requests that it was told to, before or after they took effect."""

import http.client
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from oai_usage_pipeline_tests.faults.store_proxy import Answer, Fault, StoreProxy, running_store_proxy

BODY = b"0123456789" * 1000


class Store(socketserver.ThreadingTCPServer):
    """Keeps what is put; `/chunked` is answered in chunks."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.held: dict[str, bytes] = {}

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that the proxy resets is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Store

    def do_PUT(self) -> None:
        self.server.held[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        body = self.server.held[self.path]
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - http.server's own name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(store: Store) -> Iterator[StoreProxy]:
    with StoreProxy(store.server_address[1]) as proxy:
        yield proxy


def ask(proxy: StoreProxy, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    connection.request(method, path, body)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, content


def test_without_a_fault_requests_pass_on_one_connection(proxy: StoreProxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    for method, path, body, expected in (
        ("PUT", "/plain", BODY, b""),
        ("PUT", "/chunked", BODY, b""),
        ("GET", "/plain", None, BODY),
        ("HEAD", "/plain", None, b""),
        ("GET", "/chunked", None, BODY),
    ):
        connection.request(method, path, body)
        assert connection.getresponse().read() == expected
    connection.close()
    assert proxy.connection_count == 1
    assert [request.method for request in proxy.requests()] == ["PUT", "PUT", "GET", "HEAD", "GET"]


@pytest.mark.parametrize("takes_effect", [False, True])
@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_a_status_is_answered_before_or_after_the_write(
    status: int, takes_effect: bool, store: Store, proxy: StoreProxy
) -> None:
    fault = Fault("PUT", "^/a$", status, takes_effect)
    proxy.inject(fault)
    assert ask(proxy, "PUT", "/a", BODY)[0] == status
    assert ("/a" in store.held) is takes_effect
    assert ask(proxy, "PUT", "/a", BODY)[0] == 201
    assert proxy.met(fault) == 1


@pytest.mark.parametrize("takes_effect", [False, True])
@pytest.mark.parametrize("answer", ["drop", "reset"])
def test_a_connection_ends_before_or_after_the_write(
    answer: Answer, takes_effect: bool, store: Store, proxy: StoreProxy
) -> None:
    proxy.inject(Fault("PUT", "^/a$", answer, takes_effect))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(proxy, "PUT", "/a", BODY)
    assert ("/a" in store.held) is takes_effect


def test_a_stalled_reply_leaves_the_connection_open(store: Store, proxy: StoreProxy) -> None:
    proxy.inject(Fault("PUT", "^/a$", "stall", takes_effect=True))
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=0.3)
    connection.request("PUT", "/a", BODY)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    assert store.held["/a"] == BODY


def test_a_cut_reply_ends_in_its_middle(proxy: StoreProxy) -> None:
    ask(proxy, "PUT", "/a", BODY)
    proxy.inject(Fault("GET", "^/a$", "cut"))
    with pytest.raises(http.client.IncompleteRead) as cut:
        ask(proxy, "GET", "/a")
    assert cut.value.partial == BODY[: len(BODY) // 2]


def test_a_fault_meets_the_nth_match_and_as_many_as_it_says(proxy: StoreProxy) -> None:
    proxy.inject(Fault("PUT", "^/a", 500, nth=2, times=2))
    paths = ["/a1", "/other", "/a2", "/a3", "/a4"]
    assert [ask(proxy, "PUT", path, b"")[0] for path in paths] == [201, 201, 500, 500, 201]


def test_a_proxy_in_a_process_of_its_own_does_the_same(store: Store) -> None:
    with running_store_proxy(store.server_address[1]) as (port, proxy):
        fault = Fault("PUT", "^/a$", 503, takes_effect=True)
        proxy.inject(fault)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("PUT", "/a", BODY)
        assert connection.getresponse().status == 503
        connection.close()
        assert store.held["/a"] == BODY
        assert [request.fault for request in proxy.requests()] == [fault]
