"""The fixtures that the azure-eventhub SDK's own live tests ask for, backed by the local broker.

Belongs here: a pytest plugin for the process that runs those tests, in place of the suite's conftest
(which makes Azure resources). The environment names the TLS front (`SDK_LIVE_HOST`,
`SDK_LIVE_CERTIFICATE`), the key (`SDK_LIVE_KEY`) and the hubs (`SDK_LIVE_HUBS`); each test has a hub to
itself.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import certifi
import pytest
from azure.core.settings import settings
from azure.eventhub import EventHubProducerClient, EventHubSharedKeyCredential, TransportType
from azure.eventhub._pyamqp import ReceiveClient
from azure.eventhub._pyamqp.authentication import SASTokenAuth
from azure.eventhub.aio import EventHubSharedKeyCredential as AsyncSharedKeyCredential

HOST = os.environ["SDK_LIVE_HOST"]
KEY_NAME, KEY = os.environ["SDK_LIVE_KEY"].split("=", 1)
PARTITIONS = ("0", "1")


def pytest_configure(config: pytest.Config) -> None:
    # The certificate of the TLS front stands in for the world's authorities; the SDK is untouched.
    certifi.where = lambda: os.environ["SDK_LIVE_CERTIFICATE"]
    for marker in ("liveTest", "livetest", "no_amqpproxy"):
        config.addinivalue_line("markers", f"{marker}: set by the SDK's suite")


def connection_string(key_name: str, key: str, hub: str, host: str = HOST) -> str:
    return f"Endpoint=sb://{host}/;SharedAccessKeyName={key_name};SharedAccessKey={key};EntityPath={hub}"


@pytest.fixture
def live_eventhub(request: pytest.FixtureRequest) -> dict[str, str]:
    # Collection order is the same in all workers, so the number is the test's own.
    hub = f"{os.environ['SDK_LIVE_HUBS']}{request.session.items.index(request.node)}"
    return {
        "resource_group": "none",
        "hostname": HOST,
        "key_name": KEY_NAME,
        "access_key": KEY,
        "namespace": "local",
        "event_hub": hub,
        "consumer_group": "$Default",
        "partition": "0",
        "connection_str": connection_string(KEY_NAME, KEY, hub),
    }


def _credential(*, is_async: bool = False) -> Any:
    """Stands in for Entra ID: the broker knows shared access signatures only."""
    return (AsyncSharedKeyCredential if is_async else EventHubSharedKeyCredential)(KEY_NAME, KEY)


@pytest.fixture(scope="session")
def get_credential() -> Callable[[], Any]:
    return _credential


@pytest.fixture(scope="session")
def get_credential_async() -> Callable[[], Any]:
    return partial(_credential, is_async=True)


@pytest.fixture(params=[False], ids=["pyamqp"], scope="session")
def uamqp_transport(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="session")
def timeout_factor() -> int:
    return 1


@pytest.fixture(scope="session")
def client_args() -> dict[str, Any]:
    return {}


@pytest.fixture(params=[TransportType.Amqp, TransportType.AmqpOverWebsocket], ids=["amqp", "ws"])
def socket_transport(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def faultinjector() -> None:
    """Asked for by a test that is never run; without it the suite could not be listed."""


@pytest.fixture
def sleep() -> bool:
    """Whether the reconnect tests wait for the service's idle time-out or cut the connection."""
    return False


@pytest.fixture
def enable_tracing() -> Iterator[type]:
    from tracing_common import FakeSpan  # type: ignore[import-not-found]  # a module of the SDK's suite

    settings.tracing_implementation.set_value(FakeSpan)
    yield FakeSpan
    settings.tracing_implementation.set_value(None)


@pytest.fixture(scope="session")
def fake_span() -> type:
    from tracing_common import FakeSpan

    found: type = FakeSpan
    return found


@pytest.fixture
def invalid_hostname(live_eventhub: dict[str, str]) -> str:
    return connection_string(KEY_NAME, KEY, live_eventhub["event_hub"], host="no-such-host.invalid")


@pytest.fixture
def invalid_key(live_eventhub: dict[str, str]) -> str:
    return connection_string(KEY_NAME, "invalid", live_eventhub["event_hub"])


@pytest.fixture
def invalid_policy(live_eventhub: dict[str, str]) -> str:
    return connection_string("invalid", KEY, live_eventhub["event_hub"])


def _receivers(hub: str, timeout: int) -> Iterator[list[ReceiveClient]]:
    uri = f"sb://{HOST}/{hub}"
    with ExitStack() as opened:
        receivers = []
        for partition in PARTITIONS:
            source = f"amqps://{HOST}/{hub}/ConsumerGroups/$Default/Partitions/{partition}"
            auth = SASTokenAuth(uri, uri, KEY_NAME, KEY)
            receiver: Any = ReceiveClient(  # type: ignore[no-untyped-call]  # no types inside the SDK
                HOST, source, auth=auth, network_trace=False, timeout=timeout, link_credit=500
            )
            receiver.open()
            opened.callback(receiver.close)
            receivers.append(receiver)
        yield receivers


def _senders(hub: str) -> Iterator[list[Any]]:
    client = EventHubProducerClient(HOST, hub, _credential())
    with client, ExitStack() as opened:
        senders = [client._create_producer(partition_id=p) for p in client.get_partition_ids()]
        for sender in senders:
            opened.callback(sender.close)
        yield senders


@pytest.fixture
def connstr_receivers(live_eventhub: dict[str, str]) -> Iterator[Any]:
    for receivers in _receivers(live_eventhub["event_hub"], timeout=0):
        yield live_eventhub["connection_str"], receivers


@pytest.fixture
def auth_credentials(live_eventhub: dict[str, str]) -> Any:
    return HOST, live_eventhub["event_hub"], _credential


@pytest.fixture
def auth_credentials_async(live_eventhub: dict[str, str]) -> Any:
    return HOST, live_eventhub["event_hub"], partial(_credential, is_async=True)


@pytest.fixture
def auth_credential_receivers(live_eventhub: dict[str, str]) -> Iterator[Any]:
    for receivers in _receivers(live_eventhub["event_hub"], timeout=30):
        yield HOST, live_eventhub["event_hub"], _credential, receivers


@pytest.fixture
def auth_credential_receivers_async(live_eventhub: dict[str, str]) -> Iterator[Any]:
    for receivers in _receivers(live_eventhub["event_hub"], timeout=30):
        yield HOST, live_eventhub["event_hub"], partial(_credential, is_async=True), receivers


@pytest.fixture
def auth_credential_senders(live_eventhub: dict[str, str]) -> Iterator[Any]:
    for senders in _senders(live_eventhub["event_hub"]):
        yield HOST, live_eventhub["event_hub"], _credential, senders


@pytest.fixture
def auth_credential_senders_async(live_eventhub: dict[str, str]) -> Iterator[Any]:
    for senders in _senders(live_eventhub["event_hub"]):
        yield HOST, live_eventhub["event_hub"], partial(_credential, is_async=True), senders
