"""A proxy before an HTTP store that fails chosen requests, before or after they took effect.

Belongs here: what a request is, and which fault meets which. Faults of the connection alone, whatever
it carries, are those of `proxy`, and work here too.

    with running_store_proxy(azurite.port) as (port, proxy):
        proxy.inject(Fault("PUT", LOG_ENTRY, 500, takes_effect=True))
"""

import asyncio
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import responses
from multiprocessing.managers import BaseManager
from typing import Literal, cast

from oai_usage_pipeline_tests.faults.proxy import CHUNK, Connection, Proxy

LOG_ENTRY = r"/_delta_log/\d{20}\.json$"
LISTING = r"[?&]comp=list"
DATA_FILE = r"\.parquet$"
LAST_CHECKPOINT = r"/_last_checkpoint$"

Answer = int | Literal["drop", "stall", "reset", "cut"]
"""What the client gets: a status, a closed connection, silence, RST, or half of the true reply."""


@dataclass(frozen=True)
class Fault:
    """What happens to requests of a method whose target (path and query) has a match of `target`.

    `takes_effect`: the store gets the request and its reply is lost; otherwise it never hears of it.
    A cut reply always took effect. The fault begins with the `nth` such request from now on and
    meets `times` of them, one after the other.
    """

    method: str
    target: str
    answer: Answer
    takes_effect: bool = False
    nth: int = 1
    times: int = 1


@dataclass(frozen=True)
class Request:
    """One request that passed: what it asked, and which fault it met."""

    method: str
    target: str
    fault: Fault | None


@dataclass(frozen=True)
class Message:
    """A request or a reply as it came, its first line apart."""

    first_line: str
    head: bytes
    body: bytes


class StoreProxy(Proxy):
    """Serves request by request."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self._requests: list[Request] = []
        self._faults: dict[Fault, int] = {}

    def inject(self, *faults: Fault) -> None:
        """Let these faults happen from now on, in place of the former, and forget the requests so far."""
        self._faults = dict.fromkeys(faults, 0)
        self._requests = []

    def requests(self) -> list[Request]:
        """All requests since faults were last injected, in the order in which they came."""
        return list(self._requests)

    def met(self, fault: Fault) -> int:
        """How many requests a fault has met."""
        return sum(request.fault == fault for request in self._requests)

    async def _serve(self, connection: Connection) -> None:
        while (request := await _read(connection.reader)) is not None:
            method, target, _ = request.first_line.split(" ", 2)
            fault = self._choose(method, target)
            self._requests.append(Request(method, target, fault))
            reply = None
            if fault is None or fault.takes_effect or fault.answer == "cut":
                await self._pass(connection, request.head + request.body, to_client=False)
                reply = await _read(connection.upstream_reader, bodiless=method == "HEAD")
            if fault is not None:
                await self._answer(connection, fault.answer, reply)
            elif reply is not None:
                await self._pass(connection, reply.head + reply.body, to_client=True)
            if reply is None and fault is None:
                return

    def _choose(self, method: str, target: str) -> Fault | None:
        for fault in self._faults:
            if fault.method == method and re.search(fault.target, target):
                self._faults[fault] += 1
                if 0 <= self._faults[fault] - fault.nth < fault.times:
                    return fault
        return None

    async def _answer(self, connection: Connection, answer: Answer, reply: Message | None) -> None:
        if isinstance(answer, int):
            await self._pass(connection, _reply(answer), to_client=True)
            return
        if answer == "stall":
            await connection.reader.read(CHUNK)  # Until the client has had enough and closes.
        if answer == "cut" and reply is not None:
            await self._pass(connection, reply.head + reply.body[: len(reply.body) // 2], to_client=True)
        if answer == "reset":
            connection.reset()
        raise ConnectionAbortedError  # Ends this connection: both sides are closed.


class _Manager(BaseManager):
    """Runs a StoreProxy in a process of its own."""


_Manager.register("StoreProxy", StoreProxy)


@contextmanager
def running_store_proxy(target_port: int) -> Iterator[tuple[int, StoreProxy]]:
    """A StoreProxy in a process of its own, and its port.

    Some calls of delta-rs (`load_cdf`) hold Python's lock while they wait for the store: a proxy in a
    thread of the same process would then never answer them. Its methods can be called as usual, its
    attributes can't be read.
    """
    with _Manager(ctx=multiprocessing.get_context("spawn")) as manager:
        proxy = cast(StoreProxy, manager.StoreProxy(target_port))  # type: ignore[attr-defined]
        yield proxy.start(), proxy
        proxy.stop()


async def _read(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Message | None:
    """The next request or reply; None where the peer has closed instead."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first_line = head.split(b"\r\n", 1)[0].decode("latin-1")
    headers = dict(re.findall(rb"\r\n([^:\r\n]+): *([^\r\n]*)", head.lower()))
    if bodiless or re.match(r"HTTP/\S+ (1\d\d|204|304)", first_line):
        return Message(first_line, head, b"")
    if headers.get(b"transfer-encoding") == b"chunked":
        return Message(first_line, head, await _chunks(reader))
    return Message(first_line, head, await reader.readexactly(int(headers.get(b"content-length", b"0"))))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body as it stands on the wire."""
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
        body += size + chunk
        if chunk == b"\r\n":
            return body


def _reply(status: int) -> bytes:
    """What Azure says with such a status, as far as clients look at it."""
    reason = responses[status]
    code = {409: "LeaseIdMissing", 429: "TooManyRequests", 503: "ServerBusy"}.get(status, "InternalError")
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>injected</Message></Error>'.encode()
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    return f"{head}x-ms-error-code: {code}\r\n\r\n".encode() + body
