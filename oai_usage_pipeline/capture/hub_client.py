"""The SDK's client for one use, which can be cut off from another thread when the hub falls silent.

Belongs here: credentials, retries and the way out of a call that the SDK would wait in for ever: it has
no deadline for opening a connection, for a token or for an answer from `$management`. When a call has
lasted too long, and what its errors mean, is decided elsewhere.
"""

import contextlib
import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import certifi
from azure.eventhub import EventHubConsumerClient, TransportType
from azure.eventhub._transport._pyamqp_transport import PyamqpTransport

from oai_usage_pipeline.settings import Settings

HANDSHAKE_SECONDS = 10.0
CLOSE_SECONDS = 3.0

Answer = TypeVar("Answer")
Given = ParamSpec("Given")
Made = TypeVar("Made")


class Silence(Exception):
    """The hub did not answer in time."""


class HubClient:
    """One client with connections of its own; each serves one question or one reception."""

    def __init__(self, settings: Settings) -> None:
        self._transport = _CuttableTransport()
        self.sdk = _sdk_client(settings, self._transport)

    def ask(
        self,
        question: Callable[[EventHubConsumerClient], Answer],
        seconds: float,
        closed: threading.Event,
    ) -> Answer:
        """Put one question; raises Silence after so many seconds or when closed, else the SDK's errors."""
        answers: list[Answer] = []
        errors: list[Exception] = []
        answered = threading.Event()

        def put() -> None:
            try:
                answers.append(question(self.sdk))
            except Exception as error:  # noqa: BLE001 - raised again by the asker
                errors.append(error)
            finally:
                answered.set()

        self.start(put, "ask")
        deadline = time.monotonic() + seconds
        try:
            while not answered.wait(timeout=max(0.0, min(0.5, deadline - time.monotonic()))):
                if closed.is_set() or time.monotonic() >= deadline:
                    raise Silence
        finally:
            self.cut()
        if errors:
            raise errors[0]
        return answers[0]

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        """Do something with the client in a thread that nobody has to wait for."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def close(self, thread: threading.Thread, *, is_silent: bool) -> None:
        """End the reception that runs in `thread`: in good order unless the hub is silent, and soon."""
        if is_silent:
            self.cut()
        self.sdk.close()
        thread.join(timeout=CLOSE_SECONDS)
        if thread.is_alive():
            self.cut()
            thread.join(timeout=CLOSE_SECONDS)

    def cut(self) -> None:
        """Shut the sockets, which wakes whoever waits on them, and let no others be opened."""
        self._transport.cut()


class _CuttableTransport(PyamqpTransport):
    """The SDK's own transport, remembering what it made.

    The SDK takes it as `amqp_transport`, as its tests do. That and the attributes read in `cut` aren't
    documented: `test_hub_silence` would tell if another version had them no more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: list[Any] = []
        self._is_cut = False
        for name in ("create_mgmt_client", "create_receive_client"):
            setattr(self, name, self._remembering(getattr(PyamqpTransport, name)))

    def cut(self) -> None:
        """Shut the sockets of all that was made; whatever would be made afterwards is refused."""
        with self._lock:
            self._is_cut = True
            made = list(self._made)
        for each in made:
            connection = each._connection  # noqa: SLF001
            sock = connection and connection._transport.sock  # noqa: SLF001
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _remembering(self, make: Callable[Given, Made]) -> Callable[Given, Made]:
        def made(*arguments: Given.args, **options: Given.kwargs) -> Made:
            with self._lock:
                if self._is_cut:
                    raise ConnectionAbortedError("cut off")
                client = make(*arguments, **options)
                self._made.append(client)
                return client

        return made


class _ImpatientContext(ssl.SSLContext):
    """TLS whose handshake has a deadline: the SDK's own takes place on a socket without one."""

    def wrap_socket(self, sock: socket.socket, *arguments: Any, **options: Any) -> ssl.SSLSocket:  # noqa: ANN401
        """See SSLContext; the SDK sets its own time-out on the socket afterwards."""
        sock.settimeout(HANDSHAKE_SECONDS)
        return super().wrap_socket(sock, *arguments, **options)


def _sdk_client(settings: Settings, transport: PyamqpTransport) -> EventHubConsumerClient:
    options: dict[str, Any] = {
        # Each reconnect is ours: whether it is still the same hub must be asked after each.
        "retry_total": 0,
        "load_balancing_interval": 1,
        "transport_type": TransportType.Amqp,
        "amqp_transport": transport,
        "ssl_context": tls_context(),
    }
    if settings.connection_string is not None:
        return EventHubConsumerClient.from_connection_string(
            settings.connection_string,
            settings.consumer_group,
            eventhub_name=settings.event_hub_name,
            **options,
        )
    # Imported on use: the sign-in library is slow to load and a local hub has no need of it.
    from azure.identity import DefaultAzureCredential

    return EventHubConsumerClient(
        settings.namespace,
        settings.event_hub_name,
        settings.consumer_group,
        credential=DefaultAzureCredential(),
        **options,
    )


@functools.cache
def tls_context() -> ssl.SSLContext:
    """As the SDK makes it, with the same certificates; loading them takes a while."""
    context = _ImpatientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    return context
